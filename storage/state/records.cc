#include "storage/state/records.h"

#include "absl/strings/str_cat.h"

namespace distill::storage {

bool IsTerminal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

bool IsTerminal(TaskState state) {
  return state == TaskState::kSucceeded || state == TaskState::kFailed ||
         state == TaskState::kCancelled;
}

const char* Name(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kCancelling:
      return "CANCELLING";
    case JobState::kCancelled:
      return "CANCELLED";
    case JobState::kPaused:
      return "PAUSED";
  }
  return "UNKNOWN";
}

const char* Name(Quarantine quarantine) {
  switch (quarantine) {
    case Quarantine::kNone:
      return "NONE";
    case Quarantine::kManual:
      return "MANUAL";
    case Quarantine::kAutomatic:
      return "AUTOMATIC";
  }
  return "UNKNOWN";
}

const char* Name(LedgerEntry entry) {
  switch (entry) {
    case LedgerEntry::kSpent:
      return "SPENT";
    case LedgerEntry::kSaved:
      return "SAVED";
    case LedgerEntry::kMissed:
      return "MISSED";
    case LedgerEntry::kMerged:
      return "MERGED";
    case LedgerEntry::kLostUser:
      return "USER";
    case LedgerEntry::kLostInfrastructure:
      return "INFRASTRUCTURE";
    case LedgerEntry::kLostResource:
      return "RESOURCE";
    case LedgerEntry::kLostPreempted:
      return "PREEMPTED";
    case LedgerEntry::kLostPoison:
      return "POISON";
    case LedgerEntry::kLostCancelled:
      return "CANCELLED";
    case LedgerEntry::kLostSuperseded:
      return "SUPERSEDED";
    case LedgerEntry::kLostResult:
      return "RESULT_LOST";
  }
  return "UNKNOWN";
}

bool IsLoss(LedgerEntry entry) { return entry >= LedgerEntry::kLostUser; }

const char* Name(TaskState state) {
  switch (state) {
    case TaskState::kBlocked:
      return "BLOCKED";
    case TaskState::kQueued:
      return "QUEUED";
    case TaskState::kRunning:
      return "RUNNING";
    case TaskState::kSucceeded:
      return "SUCCEEDED";
    case TaskState::kFailed:
      return "FAILED";
    case TaskState::kCancelled:
      return "CANCELLED";
  }
  return "UNKNOWN";
}

const char* Name(AttemptState state) {
  switch (state) {
    case AttemptState::kRunning:
      return "RUNNING";
    case AttemptState::kSucceeded:
      return "SUCCEEDED";
    case AttemptState::kFailed:
      return "FAILED";
    case AttemptState::kExpired:
      return "EXPIRED";
    case AttemptState::kReleased:
      return "RELEASED";
    case AttemptState::kCancelled:
      return "CANCELLED";
  }
  return "UNKNOWN";
}

const char* Name(FailureClass failure_class) {
  switch (failure_class) {
    case FailureClass::kNone:
      return "NONE";
    case FailureClass::kUser:
      return "USER";
    case FailureClass::kInfrastructure:
      return "INFRASTRUCTURE";
    case FailureClass::kResource:
      return "RESOURCE";
    case FailureClass::kPreempted:
      return "PREEMPTED";
    case FailureClass::kPoison:
      return "POISON";
  }
  return "UNKNOWN";
}

const NamedBlob* FindBlob(const std::vector<NamedBlob>& blobs, absl::string_view name) {
  for (const NamedBlob& blob : blobs) {
    if (blob.name == name) return &blob;
  }
  return nullptr;
}

TaskId MakeTaskId(const JobId& job, const std::string& task_name) {
  return TaskId(absl::StrCat(job.str(), "/", task_name));
}

JobId JobOf(const TaskId& task) {
  const size_t slash = task.str().find('/');
  return slash == std::string::npos ? JobId() : JobId(task.str().substr(0, slash));
}

std::string TaskNameOf(const TaskId& task) {
  const size_t slash = task.str().find('/');
  return slash == std::string::npos ? std::string() : task.str().substr(slash + 1);
}

}  // namespace distill::storage
