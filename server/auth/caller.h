// Who calls, and which roles that gives: read from the name in a certificate, or from a token.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/ids.h"

namespace distill::server {

// Each may do what the one before may. The numbers are those of the protocol's Role.
enum class Role : int32_t { kNone = 0, kViewer = 1, kEditor = 2, kAdmin = 3 };

// "viewer", "editor", "admin"; "none".
absl::string_view Name(Role role);
// kNone for anything else.
Role RoleNamed(absl::string_view name);

// Stands for every project.
inline constexpr char kAllProjects[] = "*";
// The project of whoever names none.
inline constexpr char kDefaultProject[] = "default";

struct ProjectRole {
  ProjectId project;
  Role role = Role::kNone;
};

// A value; copied into every call.
struct Caller {
  // "user/alice", "worker/gpu-01", "token/1f0c9a63d2e84b75"; "anonymous" where nobody has to say.
  std::string name;
  std::vector<ProjectRole> roles;
  // Set for a worker, whose id is this or begins with this and a dot.
  WorkerId worker;
  // Nobody had to prove anything: an administrator, and whatever worker it says it is.
  bool is_anonymous = false;
  // Address, for the audit log.
  std::string peer;

  // In one project; what holds for all projects counts. ProjectId("*") asks for the latter alone.
  Role RoleIn(const ProjectId& project) const;
  // The best one in any project.
  Role BestRole() const;
  // Whether `role` holds in every project, so that no resource need be looked at.
  bool Everywhere(Role role) const { return RoleIn(ProjectId(kAllProjects)) >= role; }
  bool MayActAs(const WorkerId& id) const;
};

Caller AnonymousCaller();

// Reads the names that deploy/ca/ca.sh puts into certificates: distill://worker/NAME, or
// distill://user/NAME with any number of distill://role/PROJECT/ROLE. kUnauthenticated when there
// is neither, or both.
absl::StatusOr<Caller> CallerOfCertificate(absl::Span<const std::string> uris);

}  // namespace distill::server
