// The one place where a call is let in or refused: who calls, whether the table of permissions
// allows it, and whether what the request names is the caller's. Every service passes every call
// through here (server/rpc/call.h).
#pragma once

#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "server/auth/audit_log.h"
#include "server/auth/caller.h"
#include "server/auth/permissions.h"
#include "server/auth/token_registry.h"

namespace distill::server {

// A call that came to the gate.
struct Admission {
  std::string method;
  Caller caller;  // Without a name if nobody knows.
  const Rule* rule = nullptr;
  // Why it was not let in; OK when it was.
  absl::Status status;
};

// Thread-safe.
class Gate {
 public:
  struct Dependencies {
    TokenRegistry* tokens;
    AuditLog* audit;  // Null: nothing is kept.
    Metrics* metrics;
    // Reads a job's project. Called, for callers who do not hold their role everywhere, once a job.
    std::function<absl::StatusOr<ProjectId>(const JobId&)> project_of_job;
  };
  enum class Callers {
    kAnonymous,  // Nobody has to say who it is: the connection itself is trusted.
    kKnown,      // A certificate or a token.
  };

  Gate(Callers callers, const Dependencies& dependencies);

  // Finds out who calls and whether it may call `method` at all. Does not block. The status is
  // kUnauthenticated, or kPermissionDenied, also for a method that is not in the table.
  Admission Admit(const grpc::CallbackServerContext& context, absl::string_view method) const;

  // Of a call that was let in: refuses a request about something that is not the caller's. A job of
  // a project that the caller may not look at is kNotFound, like one that does not exist; otherwise
  // kPermissionDenied.
  absl::Status CheckScope(const Admission& admission, const google::protobuf::Message& request)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The same for one job.
  absl::Status CheckJob(const Admission& admission, const JobId& job) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the caller may do what the rule takes in `project`. kPermissionDenied.
  static absl::Status CheckProject(const Admission& admission, const ProjectId& project);

  // Keeps the end of the call in the audit log, if the table or a refusal asks for it. `request`
  // may be null. `made` names what the call made, as "job=job-7f3a9c01"; mostly empty.
  void Record(const Admission& admission, const google::protobuf::Message* request,
              absl::string_view made, const absl::Status& result) const;

 private:
  absl::StatusOr<Caller> Identify(const grpc::CallbackServerContext& context) const;
  const Callers callers_;
  const Dependencies dependencies_;
  Mutex mu_;
  // A job never changes its project.
  absl::flat_hash_map<std::string, ProjectId> projects_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::server
