#include "server/auth/gate.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error_details.h"
#include "base/status_macros.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/auth_context.h"

namespace distill::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMostCachedJobs = 100'000;

Role RoleFor(Permission permission) {
  switch (permission) {
    case Permission::kView:
    case Permission::kViewOrWork:
      return Role::kViewer;
    case Permission::kEdit:
    case Permission::kEditOrWork:
      return Role::kEditor;
    case Permission::kAdminister:
    case Permission::kOperate:
      return Role::kAdmin;
    case Permission::kKnown:
    case Permission::kWork:
      break;
  }
  return Role::kNone;
}

bool IsForWorkers(Permission permission) {
  return permission == Permission::kWork || permission == Permission::kViewOrWork ||
         permission == Permission::kEditOrWork || permission == Permission::kKnown;
}

bool MayCall(const Caller& caller, Permission permission) {
  if (permission == Permission::kKnown || caller.is_anonymous) return true;
  if (!caller.worker.empty()) return IsForWorkers(permission);
  if (permission == Permission::kWork) return false;
  if (permission == Permission::kOperate) return caller.Everywhere(Role::kAdmin);
  return caller.BestRole() >= RoleFor(permission);
}

absl::Status Denied(const Admission& admission, absl::string_view what) {
  return absl::PermissionDeniedError(absl::StrCat("cannot call ", admission.method, ": ", what,
                                                  "; caller=", admission.caller.name));
}

std::string WhatItTakes(Permission permission) {
  if (permission == Permission::kWork) return "it takes the certificate of a worker";
  if (permission == Permission::kOperate) return "it takes the role admin in all projects";
  return absl::StrCat("it takes the role ", Name(RoleFor(permission)), " in some project");
}

// The text of a field of the request, or of a message in it: `path` is "spec.project" or "job".
// Empty when there is none.
std::string TextOf(const Message& message, absl::string_view path) {
  const size_t dot = path.find('.');
  const FieldDescriptor* field =
      message.GetDescriptor()->FindFieldByName(std::string(path.substr(0, dot)));
  if (field == nullptr || field->is_repeated()) return std::string();
  if (dot != absl::string_view::npos) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return std::string();
    return TextOf(message.GetReflection()->GetMessage(message, field), path.substr(dot + 1));
  }
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return std::string();
  return message.GetReflection()->GetString(message, field);
}

std::string FirstTextOf(const Message& message, std::initializer_list<absl::string_view> paths) {
  for (const absl::string_view path : paths) {
    std::string text = TextOf(message, path);
    if (!text.empty()) return text;
  }
  return std::string();
}

// `otherwise` when it names none.
ProjectId ProjectOf(const Message& request, absl::string_view otherwise) {
  const std::string project = FirstTextOf(request, {"project", "spec.project"});
  return project.empty() ? ProjectId(otherwise) : ProjectId(project);
}

std::string ResourceOf(const Message* request) {
  if (request == nullptr) return std::string();
  std::string resource;
  for (const absl::string_view path :
       {"project", "spec.project", "quota.project", "job", "task", "name", "worker_id",
        "worker.worker_id", "digest", "token", "role"}) {
    const std::string text = TextOf(*request, path);
    if (text.empty()) continue;
    absl::StrAppend(&resource, resource.empty() ? "" : " ", path, "=", text);
  }
  return resource;
}

Counter& Refusals(Metrics& metrics, absl::StatusCode code) {
  return metrics.AddCounter("distill_auth_refusals_total",
                            "Calls refused for want of a known caller or of a right.",
                            {{"code", absl::StatusCodeToString(code)}});
}

absl::Status NoSuchJob(const JobId& job) {
  return WithResource(
      absl::NotFoundError(absl::StrCat("cannot find job: no such job; id=", job.str())), "job",
      job.str());
}

}  // namespace

Gate::Gate(Callers callers, const Dependencies& dependencies)
    : callers_(callers), dependencies_(dependencies) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kUnauthenticated, absl::StatusCode::kPermissionDenied}) {
    Refusals(*dependencies.metrics, code);  // So that they exist before the first.
  }
}

absl::StatusOr<Caller> Gate::Identify(const grpc::CallbackServerContext& context) const {
  if (callers_ == Callers::kAnonymous) return AnonymousCaller();
  // A token says more precisely what its holder may do than a certificate beside it.
  const auto header = context.client_metadata().find("authorization");
  if (header != context.client_metadata().end()) {
    absl::string_view text(header->second.data(), header->second.size());
    if (!absl::ConsumePrefix(&text, "Bearer ")) {
      return absl::UnauthenticatedError(
          "cannot tell who calls: authorization: want \"Bearer TOKEN\"");
    }
    return dependencies_.tokens->Authenticate(text);
  }
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated()) {
    return absl::UnauthenticatedError(
        "cannot tell who calls: give a client certificate (--tls-cert, --tls-key) or a token "
        "(--token-file)");
  }
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri : peer->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    uris.emplace_back(uri.data(), uri.size());
  }
  return CallerOfCertificate(uris);
}

Admission Gate::Admit(const grpc::CallbackServerContext& context, absl::string_view method) const {
  Admission admission;
  admission.method = std::string(method);
  admission.rule = FindRule(method);
  absl::StatusOr<Caller> caller = Identify(context);
  if (caller.ok()) {
    admission.caller = *std::move(caller);
  } else {
    admission.status = caller.status();
  }
  admission.caller.peer = context.peer();
  if (!admission.status.ok()) return admission;
  if (admission.rule == nullptr) {
    admission.status = Denied(admission, "no rule allows it to anybody");
  } else if (!MayCall(admission.caller, admission.rule->permission)) {
    admission.status = Denied(admission, WhatItTakes(admission.rule->permission));
  }
  return admission;
}

absl::Status Gate::CheckProject(const Admission& admission, const ProjectId& project) {
  const Role wanted = RoleFor(admission.rule->permission);
  if (admission.caller.RoleIn(project) >= wanted) return absl::OkStatus();
  const Role had = admission.caller.RoleIn(project);
  return Denied(admission,
                absl::StrCat("it takes the role ", Name(wanted), " in project ", project.str(),
                             ", the caller has ", Name(had),
                             had == Role::kNone ? ", but in others: name one (`project:` "
                                                  "in the job file, --project, "
                                                  "DISTILL_PROJECT)"
                                                : ""));
}

absl::Status Gate::CheckJob(const Admission& admission, const JobId& job) {
  if (admission.caller.Everywhere(RoleFor(admission.rule->permission))) return absl::OkStatus();
  ProjectId project;
  {
    MutexLock lock(mu_);
    const auto known = projects_.find(job.str());
    if (known != projects_.end()) project = known->second;
  }
  if (project.empty()) {
    absl::StatusOr<ProjectId> read = dependencies_.project_of_job(job);
    if (!read.ok()) return absl::IsNotFound(read.status()) ? NoSuchJob(job) : read.status();
    project = *std::move(read);
    MutexLock lock(mu_);
    if (projects_.size() >= kMostCachedJobs) projects_.clear();
    projects_.emplace(job.str(), project);
  }
  if (admission.caller.RoleIn(project) == Role::kNone) return NoSuchJob(job);
  return CheckProject(admission, project);
}

absl::Status Gate::CheckScope(const Admission& admission, const Message& request) {
  if (admission.caller.is_anonymous) return absl::OkStatus();
  switch (admission.rule->scope) {
    case Scope::kServer:
    case Scope::kHandler:
      return absl::OkStatus();
    case Scope::kJob:
      return CheckJob(admission, JobId(TextOf(request, "job")));
    case Scope::kKey:
      if (!TextOf(request, "key").empty()) {
        return CheckProject(admission, ProjectOf(request, kDefaultProject));
      }
      return CheckJob(admission, JobId(TextOf(request, "job")));
    case Scope::kProject:
      return CheckProject(admission, ProjectOf(request, kDefaultProject));
    case Scope::kProjectOrAll:
      return CheckProject(admission, ProjectOf(request, kAllProjects));
    case Scope::kWorker: {
      const WorkerId worker(FirstTextOf(request, {"worker_id", "worker.worker_id"}));
      if (admission.caller.MayActAs(worker)) return absl::OkStatus();
      return Denied(admission, absl::StrCat("it names another worker than the certificate does; "
                                            "give --worker-id NAME or NAME.anything; worker_id=",
                                            worker.str()));
    }
  }
  return absl::InternalError("unreachable: every scope is handled above");
}

void Gate::Record(const Admission& admission, const Message* request, absl::string_view made,
                  const absl::Status& result) const {
  const bool refused = absl::IsPermissionDenied(result) || absl::IsUnauthenticated(result);
  if (refused) Refusals(*dependencies_.metrics, result.code()).Increment();
  if (dependencies_.audit == nullptr) return;
  const bool is_person = admission.caller.worker.empty() && !admission.caller.is_anonymous;
  const Audit kept = admission.rule == nullptr ? Audit::kRefusals : admission.rule->audit;
  if (!refused && kept != Audit::kAll && !(kept == Audit::kPeople && is_person)) return;
  AuditEntry entry;
  entry.caller = admission.caller.name;
  entry.peer = admission.caller.peer;
  entry.method = admission.method;
  entry.resource = ResourceOf(request);
  if (!made.empty()) absl::StrAppend(&entry.resource, entry.resource.empty() ? "" : " ", made);
  if (request != nullptr) entry.request_id = TextOf(*request, "request_id");
  entry.result = result;
  dependencies_.audit->Append(entry);
}

}  // namespace distill::server
