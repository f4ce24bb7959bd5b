// Keeps the books: device time of attempts as they end, what reuse spared, and what was lost.
#include <algorithm>

#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::AttemptState;
using storage::FailureClass;
using storage::LedgerEntry;

namespace {

// Where the time of an attempt goes that ended without a result.
LedgerEntry LossOf(const storage::AttemptRecord& attempt) {
  if (attempt.state == AttemptState::kCancelled) return LedgerEntry::kLostCancelled;
  switch (attempt.failure_class) {
    case FailureClass::kUser:
      return LedgerEntry::kLostUser;
    case FailureClass::kResource:
      return LedgerEntry::kLostResource;
    case FailureClass::kPreempted:
      return LedgerEntry::kLostPreempted;
    case FailureClass::kPoison:
      return LedgerEntry::kLostPoison;
    case FailureClass::kInfrastructure:
    case FailureClass::kNone:
      break;
  }
  return LedgerEntry::kLostInfrastructure;
}

// Times in the store have microseconds; what memory holds must not say more.
absl::Duration InMicroseconds(absl::Duration time) {
  return absl::Trunc(time, absl::Microseconds(1));
}

}  // namespace

void CoreStep::Book(TaskRank rank, LedgerEntry entry, int64_t count, absl::Duration time) {
  if (count == 0 && time == absl::ZeroDuration()) return;
  Job& job = state_.JobAt(rank);
  const std::pair<int32_t, LedgerEntry> account(state_.TaskAt(rank).kind, entry);
  for (Ledger* const ledger : {&job.ledger, &state_.ledgers[job.record.project]}) {
    LedgerLine& line = (*ledger)[account];
    line.count += count;
    line.device_time += time;
  }
  booked_.insert({rank.job_age, account});
  effects_.booked.push_back(Booking{state_.strings.At(account.first), entry, count, time});
}

void CoreStep::WriteLedger() {
  std::set<std::pair<ProjectId, std::pair<int32_t, LedgerEntry>>> of_projects;
  for (const auto& [age, account] : booked_) {
    const auto job = state_.jobs.find(age);
    if (job == state_.jobs.end()) continue;  // Forgotten in the same step: it was over.
    const storage::JobRecord& record = job->second->record;
    WriteLine(record.project, record.id, account, job->second->ledger.at(account));
    of_projects.insert({record.project, account});
  }
  for (const auto& [project, account] : of_projects) {
    WriteLine(project, JobId(), account, state_.ledgers.at(project).at(account));
  }
  booked_.clear();
}

void CoreStep::WriteLine(const ProjectId& project, const JobId& job,
                         const std::pair<int32_t, LedgerEntry>& account, const LedgerLine& line) {
  effects_.mutations.push_back(
      storage::PutLedger{storage::LedgerRecord{project, job, state_.strings.At(account.first),
                                               account.second, line.count, line.device_time}});
}

void CoreStep::BookAttempt(const Named& named, bool superseded) {
  storage::AttemptRecord& attempt = *named.attempt;
  Lease& lease = state_.leases.at(attempt.lease_id);
  state_.ShareDeviceTime(lease.worker, lease.set, now_.monotonic);
  const absl::Duration used = InMicroseconds(lease.device_time);
  Book(named.rank, LedgerEntry::kSpent, 1, used - attempt.device_time);
  attempt.device_time = used;
  if (attempt.state == AttemptState::kSucceeded) return;
  attempt.lost_time = used - InMicroseconds(lease.kept_time);
  Book(named.rank, superseded ? LedgerEntry::kLostSuperseded : LossOf(attempt), 1,
       attempt.lost_time);
}

void CoreStep::TakeBackLoss(TaskRank rank, storage::AttemptRecord& attempt) {
  Book(rank, LossOf(attempt), -1, -attempt.lost_time);
  attempt.lost_time = absl::ZeroDuration();
}

absl::Duration CoreStep::KeptTime(const Task& task) {
  absl::Duration kept;
  for (const storage::AttemptRecord& attempt : task.attempts) {
    kept += attempt.device_time - attempt.lost_time;
  }
  return kept;
}

void CoreStep::BookLostResult(TaskRank rank) {
  Task& task = state_.TaskAt(rank);
  if (!task.status.reused_from.empty()) {
    Book(rank, LedgerEntry::kSaved, -1, -task.status.device_time);
  } else {
    for (storage::AttemptRecord& attempt : task.attempts) {
      const absl::Duration kept = attempt.device_time - attempt.lost_time;
      if (kept == absl::ZeroDuration()) continue;
      // What expired may still come back, and then all of its loss is taken off one line.
      const bool may_return = attempt.state == AttemptState::kExpired;
      Book(rank, may_return ? LossOf(attempt) : LedgerEntry::kLostResult, may_return ? 0 : 1, kept);
      attempt.lost_time = attempt.device_time;
      WriteAttempt(attempt);
    }
  }
  task.status.device_time = absl::ZeroDuration();
}

}  // namespace distill::server
