// The one table of what each call takes. A call that is not in it is refused; a test walks the
// protocol and fails when one is missing.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distill::server {

// What the caller must be.
enum class Permission {
  kKnown,       // Anybody who proved who they are, workers too.
  kView,        // A viewer of the project.
  kEdit,        // An editor of the project.
  kAdminister,  // An administrator of the project.
  kOperate,     // An administrator of all projects.
  kWork,        // A worker.
  kViewOrWork,  // A viewer, or a worker for its tasks.
  kEditOrWork,  // An editor, or a worker for its tasks.
};

// Of what. Where it says "handler", the caller is let in by any role at all, and the handler
// leaves out what is not the caller's.
enum class Scope {
  kServer,   // Nothing in particular.
  kJob,      // The project of the job in field `job`.
  kProject,  // The project in field `project`, of the request or of its `spec`; empty: "default".
  kKey,      // As kProject for the task key in field `key`; without one, as kJob.
  kProjectOrAll,  // As kProject; empty: all, which takes the role everywhere.
  kWorker,  // The worker in `worker_id`, of the request or of its `worker`: the caller itself.
  kHandler,
};

// Which calls the audit log keeps; refusals are kept of all.
enum class Audit {
  kRefusals,
  kPeople,  // Of workers there are thousands a second, which the history of attempts keeps.
  kAll,
};

struct Rule {
  const char* service;  // "JobService"
  const char* method;   // "CreateJob"; no two services share one.
  Permission permission;
  Scope scope;
  Audit audit;
};

// Every call of the protocol, once.
absl::Span<const Rule> Rules();

// Null for an unknown method.
const Rule* FindRule(absl::string_view method);

}  // namespace distill::server
