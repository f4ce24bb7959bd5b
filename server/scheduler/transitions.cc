#include "server/scheduler/transitions.h"

#include "absl/strings/str_cat.h"

namespace distill::server {
namespace {

using storage::AttemptState;
using storage::JobState;
using storage::TaskState;

constexpr TaskTransition kTaskTransitions[] = {
    {TaskState::kBlocked, TaskEvent::kInputsReady, TaskState::kQueued},
    {TaskState::kBlocked, TaskEvent::kReused, TaskState::kSucceeded},
    {TaskState::kBlocked, TaskEvent::kBudgetSpent, TaskState::kFailed},
    {TaskState::kBlocked, TaskEvent::kCancelled, TaskState::kCancelled},
    {TaskState::kQueued, TaskEvent::kReused, TaskState::kSucceeded},
    {TaskState::kQueued, TaskEvent::kGranted, TaskState::kRunning},
    {TaskState::kQueued, TaskEvent::kSalvaged, TaskState::kSucceeded},
    {TaskState::kQueued, TaskEvent::kRevived, TaskState::kRunning},
    {TaskState::kQueued, TaskEvent::kInputLost, TaskState::kBlocked},
    {TaskState::kQueued, TaskEvent::kCancelled, TaskState::kCancelled},
    {TaskState::kRunning, TaskEvent::kCompleted, TaskState::kSucceeded},
    {TaskState::kRunning, TaskEvent::kAttemptEnded, TaskState::kQueued},
    {TaskState::kRunning, TaskEvent::kInputLost, TaskState::kBlocked},
    {TaskState::kRunning, TaskEvent::kBudgetSpent, TaskState::kFailed},
    {TaskState::kRunning, TaskEvent::kCancelled, TaskState::kCancelled},
    {TaskState::kSucceeded, TaskEvent::kResultLost, TaskState::kBlocked},
};

struct AttemptTransition {
  AttemptState from;
  AttemptState to;
};
constexpr AttemptTransition kAttemptTransitions[] = {
    {AttemptState::kRunning, AttemptState::kSucceeded},
    {AttemptState::kRunning, AttemptState::kFailed},
    {AttemptState::kRunning, AttemptState::kExpired},
    {AttemptState::kRunning, AttemptState::kReleased},
    {AttemptState::kRunning, AttemptState::kCancelled},
    {AttemptState::kExpired, AttemptState::kSucceeded},
    {AttemptState::kExpired, AttemptState::kRunning},
};

struct JobTransition {
  JobState from;
  JobState to;
};
constexpr JobTransition kJobTransitions[] = {
    {JobState::kRunning, JobState::kSucceeded},    {JobState::kRunning, JobState::kFailed},
    {JobState::kRunning, JobState::kCancelling},   {JobState::kRunning, JobState::kPaused},
    {JobState::kPaused, JobState::kRunning},       {JobState::kPaused, JobState::kSucceeded},
    {JobState::kPaused, JobState::kFailed},        {JobState::kPaused, JobState::kCancelling},
    {JobState::kCancelling, JobState::kCancelled},
};

}  // namespace

absl::Span<const TaskTransition> TaskTransitions() { return kTaskTransitions; }

std::optional<TaskState> NextState(TaskState state, TaskEvent event) {
  for (const TaskTransition& transition : kTaskTransitions) {
    if (transition.from == state && transition.event == event) return transition.to;
  }
  return std::nullopt;
}

bool IsAllowed(AttemptState from, AttemptState to) {
  for (const AttemptTransition& transition : kAttemptTransitions) {
    if (transition.from == from && transition.to == to) return true;
  }
  return false;
}

bool IsAllowed(JobState from, JobState to) {
  for (const JobTransition& transition : kJobTransitions) {
    if (transition.from == from && transition.to == to) return true;
  }
  return false;
}

const char* Name(TaskEvent event) {
  switch (event) {
    case TaskEvent::kInputsReady:
      return "inputs ready";
    case TaskEvent::kReused:
      return "reused";
    case TaskEvent::kGranted:
      return "granted";
    case TaskEvent::kCompleted:
      return "completed";
    case TaskEvent::kSalvaged:
      return "salvaged";
    case TaskEvent::kRevived:
      return "revived";
    case TaskEvent::kAttemptEnded:
      return "attempt ended";
    case TaskEvent::kInputLost:
      return "input lost";
    case TaskEvent::kResultLost:
      return "result lost";
    case TaskEvent::kBudgetSpent:
      return "budget spent";
    case TaskEvent::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string PrintTransitions() {
  std::string text = "task\n";
  for (const TaskTransition& transition : kTaskTransitions) {
    absl::StrAppend(&text, "  ", storage::Name(transition.from), " --", Name(transition.event),
                    "--> ", storage::Name(transition.to), "\n");
  }
  absl::StrAppend(&text, "attempt\n");
  for (const AttemptTransition& transition : kAttemptTransitions) {
    absl::StrAppend(&text, "  ", storage::Name(transition.from), " --> ",
                    storage::Name(transition.to), "\n");
  }
  absl::StrAppend(&text, "job\n");
  for (const JobTransition& transition : kJobTransitions) {
    absl::StrAppend(&text, "  ", storage::Name(transition.from), " --> ",
                    storage::Name(transition.to), "\n");
  }
  return text;
}

}  // namespace distill::server
