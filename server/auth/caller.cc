#include "server/auth/caller.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace distill::server {
namespace {

// "vision/editor".
absl::StatusOr<ProjectRole> ParseGrant(absl::string_view text) {
  const size_t slash = text.find('/');
  ProjectRole grant;
  if (slash != absl::string_view::npos) {
    grant.project = ProjectId(text.substr(0, slash));
    grant.role = RoleNamed(text.substr(slash + 1));
  }
  const bool known = grant.project.str() == kAllProjects || IsValidIdText(grant.project.str());
  if (known && grant.role != Role::kNone) return grant;
  return absl::UnauthenticatedError(absl::StrCat(
      "cannot tell who calls: the certificate grants a role that does not exist; role=", text));
}

}  // namespace

absl::string_view Name(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kEditor:
      return "editor";
    case Role::kAdmin:
      return "admin";
    case Role::kNone:
      break;
  }
  return "none";
}

Role RoleNamed(absl::string_view name) {
  for (const Role role : {Role::kViewer, Role::kEditor, Role::kAdmin}) {
    if (Name(role) == name) return role;
  }
  return Role::kNone;
}

Role Caller::RoleIn(const ProjectId& project) const {
  Role best = Role::kNone;
  for (const ProjectRole& grant : roles) {
    if (grant.project == project || grant.project.str() == kAllProjects) {
      best = std::max(best, grant.role);
    }
  }
  return best;
}

Role Caller::BestRole() const {
  Role best = Role::kNone;
  for (const ProjectRole& grant : roles) best = std::max(best, grant.role);
  return best;
}

bool Caller::MayActAs(const WorkerId& id) const {
  if (is_anonymous) return true;
  if (worker.empty()) return false;
  return id == worker || absl::StartsWith(id.str(), absl::StrCat(worker.str(), "."));
}

Caller AnonymousCaller() {
  Caller caller;
  caller.name = "anonymous";
  caller.roles = {{ProjectId(kAllProjects), Role::kAdmin}};
  caller.is_anonymous = true;
  return caller;
}

absl::StatusOr<Caller> CallerOfCertificate(absl::Span<const std::string> uris) {
  Caller caller;
  for (absl::string_view uri : uris) {
    if (absl::ConsumePrefix(&uri, "distill://role/")) {
      absl::StatusOr<ProjectRole> grant = ParseGrant(uri);
      if (!grant.ok()) return grant.status();
      caller.roles.push_back(*std::move(grant));
      continue;
    }
    const bool is_worker = absl::ConsumePrefix(&uri, "distill://worker/");
    if (!is_worker && !absl::ConsumePrefix(&uri, "distill://user/")) continue;
    if (!caller.name.empty() || !IsValidIdText(uri)) {
      return absl::UnauthenticatedError(
          "cannot tell who calls: the certificate must name one worker or one user");
    }
    caller.name = absl::StrCat(is_worker ? "worker/" : "user/", uri);
    if (is_worker) caller.worker = WorkerId(uri);
  }
  if (caller.name.empty() || (!caller.worker.empty() && !caller.roles.empty())) {
    return absl::UnauthenticatedError(
        "cannot tell who calls: the certificate names neither a worker nor a user of Distillery; "
        "make one with deploy/ca/ca.sh");
  }
  return caller;
}

}  // namespace distill::server
