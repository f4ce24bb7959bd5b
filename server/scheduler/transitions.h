// The state charts of tasks, attempts and jobs, as tables. Every change of state in the core goes
// through them; a test prints them, so that the charts in comments and documents cannot rot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "storage/state/records.h"

namespace distill::server {

enum class TaskEvent : int8_t {
  kInputsReady,  // The last input succeeded, or a new task has none.
  kReused,       // An equal task's result serves.
  kGranted,      // A worker leased it.
  kCompleted,    // Its attempt published results.
  kSalvaged,  // An attempt whose lease had expired published results; nobody else holds the task.
  kRevived,   // An attempt whose lease had expired was heard of again; nobody else holds the task.
  kAttemptEnded,  // Failed, expired or handed back; it may be tried again.
  kInputLost,     // An input has to be made again.
  kResultLost,    // Its result has to be made again; only while the job runs.
  kBudgetSpent,   // Its last permitted attempt failed.
  kCancelled,     // Its job was cancelled or has failed.
};

struct TaskTransition {
  storage::TaskState from;
  TaskEvent event;
  storage::TaskState to;
};
absl::Span<const TaskTransition> TaskTransitions();
// Where `event` leads; nullopt when it cannot happen in that state.
std::optional<storage::TaskState> NextState(storage::TaskState state, TaskEvent event);

bool IsAllowed(storage::AttemptState from, storage::AttemptState to);
bool IsAllowed(storage::JobState from, storage::JobState to);

const char* Name(TaskEvent event);
// All three tables as text, one transition a line.
std::string PrintTransitions();

}  // namespace distill::server
