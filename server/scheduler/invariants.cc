#include "server/scheduler/invariants.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/scheduler/core_state.h"

namespace distill::server {

using storage::AttemptState;
using storage::JobState;
using storage::TaskState;

namespace {

absl::Status Broken(absl::string_view rule, absl::string_view where) {
  return absl::InternalError(absl::StrCat("invariant broken: ", rule, "; ", where));
}

// All ranks of a gang start or none, and they end together: only ranks that are done, or have been
// handed back while the first one is about to be, may be missing beside it.
absl::Status CheckGang(const Core::State& state, const Job& job, const Task& task,
                       const std::string& where) {
  const storage::AttemptRecord* first = nullptr;
  for (const storage::AttemptRecord& attempt : task.attempts) {
    const bool runs = attempt.state == AttemptState::kRunning;
    if (attempt.gang.empty() && runs) return Broken("a gang's task runs in a gang", where);
    if (runs && first == nullptr) first = &attempt;
    if (runs && attempt.gang != first->gang) return Broken("one gang at a time", where);
  }
  if (first == nullptr || job.stopping()) return absl::OkStatus();
  if (first->gang_rank != 0) return Broken("no gang runs without its first rank", where);
  int32_t rank = 0;
  for (const storage::AttemptRecord& attempt : task.attempts) {
    if (attempt.gang != first->gang) continue;
    const bool handed_back = attempt.state == AttemptState::kReleased &&
                             state.leases.at(first->lease_id).preempt_by < InfiniteFuture();
    const bool done = attempt.state == AttemptState::kSucceeded;
    const bool runs = attempt.state == AttemptState::kRunning;
    if (attempt.gang_rank != rank++ || attempt.gang_size != first->gang_size ||
        !(runs || (attempt.gang_rank > 0 && (done || handed_back)))) {
      return Broken("never a partial gang", where);
    }
  }
  return rank == first->gang_size ? absl::OkStatus() : Broken("a gang starts whole", where);
}

absl::Status CheckAttempts(const Core::State& state, const Job& job, const Task& task,
                           const std::string& where) {
  int running = 0;
  for (size_t i = 0; i < task.attempts.size(); ++i) {
    const storage::AttemptRecord& attempt = task.attempts[i];
    if (attempt.number != static_cast<int32_t>(i) + 1) {
      return Broken("attempts are numbered from 1 without a gap", where);
    }
    const bool leased = state.leases.count(attempt.lease_id) != 0;
    if (leased != (attempt.state == AttemptState::kRunning)) {
      return Broken("an attempt runs exactly while its lease stands", where);
    }
    running += leased ? 1 : 0;
  }
  const bool may_run = task.status.state == TaskState::kRunning;
  const int32_t gang_size = state.requirements[static_cast<size_t>(task.requirement)].gang_size;
  if (running < (may_run ? 1 : 0) || running > (may_run ? std::max(2, gang_size) : 0)) {
    return Broken(
        "a RUNNING task has one lease, a straggler two, a gang one for each rank, any "
        "other none",
        where);
  }
  if (gang_size > 1) DISTILL_RETURN_IF_ERROR(CheckGang(state, job, task, where));
  if (task.status.attempts != static_cast<int32_t>(task.attempts.size())) {
    return Broken("the number of attempts is kept", where);
  }
  if (task.status.winner_attempt != 0) {
    const auto winner = static_cast<size_t>(task.status.winner_attempt) - 1;
    if (task.status.state != TaskState::kSucceeded || winner >= task.attempts.size() ||
        task.attempts[winner].state != AttemptState::kSucceeded) {
      return Broken("a winner is a SUCCEEDED attempt of a SUCCEEDED task", where);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBudgets(const Job& job, const Task& task, const std::string& where) {
  int32_t user = 0;
  int32_t infrastructure = 0;
  for (const storage::AttemptRecord& attempt : task.attempts) {
    if (!attempt.charged) continue;
    if (attempt.failure_class == storage::FailureClass::kPreempted) {
      return Broken("what was preempted is charged to nobody", where);
    }
    user += attempt.failure_class == storage::FailureClass::kUser ? 1 : 0;
    infrastructure += attempt.failure_class == storage::FailureClass::kInfrastructure ? 1 : 0;
    if (attempt.lease_set_size > 1 &&
        attempt.failure_class == storage::FailureClass::kInfrastructure) {
      return Broken("the death of a bundle is charged to nobody", where);
    }
  }
  if (user != task.status.user_failures || infrastructure != task.status.infrastructure_failures) {
    return Broken("each failure is charged to its own budget", where);
  }
  if (user > job.record.limits.max_user_failures ||
      infrastructure > job.record.limits.max_infrastructure_failures) {
    return Broken("no budget is overspent", where);
  }
  return absl::OkStatus();
}

absl::Status CheckWaiting(const Core::State& state, TaskRank rank, const std::string& where) {
  const Job& job = state.JobAt(rank);
  const Task& task = state.TaskAt(rank);
  std::set<int32_t> open;
  for (const InputSlot& input : task.inputs) {
    if (input.producer >= 0 &&
        job.tasks[static_cast<size_t>(input.producer)].status.state != TaskState::kSucceeded) {
      open.insert(input.producer);
    }
  }
  if (static_cast<int32_t>(open.size()) != task.blocked_on) {
    return Broken("blocked_on counts the producers that have not succeeded", where);
  }
  const bool queued = task.status.state == TaskState::kQueued;
  if (queued && task.blocked_on != 0) return Broken("a QUEUED task has all its inputs", where);
  if (queued != (task.wait != Task::Wait::kNone)) {
    return Broken("exactly the QUEUED tasks wait somewhere", where);
  }
  if (task.wait == Task::Wait::kReady && !state.ready.Contains(rank, task.place)) {
    return Broken("a ready task is in the ready queue", where);
  }
  if (task.wait == Task::Wait::kBackoff &&
      !state.backoffs.contains({task.not_before.since_start, rank})) {
    return Broken("a task in back-off has its timer", where);
  }
  if (job.paused() && (task.wait == Task::Wait::kReady || task.wait == Task::Wait::kBackoff)) {
    return Broken("nothing of a paused job is about to start", where);
  }
  if (task.wait == Task::Wait::kHeld && !job.paused()) {
    return Broken("only a pause holds a task", where);
  }
  if (task.wait == Task::Wait::kReady && task.place.lane != job.lane) {
    return Broken("a task is queued in the lane of its job", where);
  }
  if (task.wait == Task::Wait::kFollows) {
    const auto execution = state.executions.find(state.KeyOf(rank));
    if (execution == state.executions.end() || !execution->second.followers.contains(rank)) {
      return Broken("a follower is known to the task that it follows", where);
    }
  }
  if (storage::IsTerminal(task.status.state) || task.key.empty() ||
      task.status.state == TaskState::kBlocked) {
    return absl::OkStatus();
  }
  return state.executions.contains(state.KeyOf(rank))
             ? absl::OkStatus()
             : Broken("a task under way executes its key or follows who does", where);
}

// The books say what the attempts and reuses of the job come to.
absl::Status CheckLedger(const Job& job, const std::string& where) {
  LedgerLine spent;
  LedgerLine lost;
  LedgerLine saved;
  for (const auto& [account, line] : job.ledger) {
    if (line.count < 0 || line.device_time < absl::ZeroDuration()) {
      return Broken("no line of the ledger falls below zero", where);
    }
    const storage::LedgerEntry entry = account.second;
    LedgerLine* const sum = entry == storage::LedgerEntry::kSpent   ? &spent
                            : entry == storage::LedgerEntry::kSaved ? &saved
                            : storage::IsLoss(entry)                ? &lost
                                                                    : nullptr;
    if (sum == nullptr) continue;
    sum->count += line.count;
    sum->device_time += line.device_time;
  }
  for (const Task& task : job.tasks) {
    if (!task.status.reused_from.empty()) saved.device_time -= task.status.device_time;
    for (const storage::AttemptRecord& attempt : task.attempts) {
      if (attempt.lost_time < absl::ZeroDuration() || attempt.lost_time > attempt.device_time) {
        return Broken("an attempt loses at most what it used", where);
      }
      spent.device_time -= attempt.device_time;
      spent.count -= attempt.state == AttemptState::kRunning ? 0 : 1;
      lost.device_time -= attempt.lost_time;
    }
  }
  const absl::Duration none;
  if (spent.device_time != none || spent.count != 0 || lost.device_time != none ||
      saved.device_time != none || saved.count != job.counts.reused) {
    return Broken("the ledger is the sum of attempts and reuses", where);
  }
  return absl::OkStatus();
}

absl::Status CheckJob(const Core::State& state, const Job& job) {
  int32_t open = 0;
  storage::JobCounts counts;
  counts.total = static_cast<int32_t>(job.tasks.size());
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    const Task& task = job.tasks[i];
    const std::string where = absl::StrCat("task=", job.record.id.str(), "/", task.name,
                                           " state=", storage::Name(task.status.state));
    DISTILL_RETURN_IF_ERROR(CheckAttempts(state, job, task, where));
    DISTILL_RETURN_IF_ERROR(CheckBudgets(job, task, where));
    DISTILL_RETURN_IF_ERROR(
        CheckWaiting(state, TaskRank{job.record.create_revision, static_cast<int32_t>(i)}, where));
    open += storage::IsTerminal(task.status.state) ? 0 : 1;
    counts.running += task.status.state == TaskState::kRunning ? 1 : 0;
    if (task.status.state == TaskState::kSucceeded) {
      ++counts.succeeded;
      counts.reused += task.status.reused_from.empty() ? 0 : 1;
      if (task.status.results.size() != task.outputs.size()) {
        return Broken("a SUCCEEDED task has all its results", where);
      }
      if ((task.status.winner_attempt != 0) == !task.status.reused_from.empty()) {
        return Broken("a result has a winner or an origin", where);
      }
    }
    if (job.stopping() &&
        (task.status.state == TaskState::kBlocked || task.status.state == TaskState::kQueued)) {
      return Broken("nothing waits in a job that stops", where);
    }
  }
  const std::string where = absl::StrCat("job=", job.record.id.str());
  if (open != job.open_tasks || !(counts == job.counts)) return Broken("counts are kept", where);
  if ((open == 0) != storage::IsTerminal(job.record.status.state)) {
    return Broken("a job is terminal exactly when its tasks are", where);
  }
  DISTILL_RETURN_IF_ERROR(CheckLedger(job, where));
  const bool all_succeeded = counts.succeeded == counts.total;
  if (job.record.status.state == JobState::kSucceeded && !all_succeeded) {
    return Broken("a SUCCEEDED job has only SUCCEEDED tasks", where);
  }
  return absl::OkStatus();
}

absl::Status CheckLeases(const Core::State& state) {
  if (state.leases.size() != state.lease_deadlines.size()) {
    return Broken("every lease has one deadline", "");
  }
  size_t held = 0;
  for (const auto& [id, worker] : state.workers) {
    const std::string where = absl::StrCat("worker=", id.str());
    if (worker.registered && static_cast<int32_t>(worker.sets.size()) > worker.info.slots) {
      return Broken("no worker holds more lease sets than slots", where);
    }
    for (const auto& [set, leases] : worker.sets) {
      if (leases.empty()) return Broken("a lease set has members", where);
      for (const LeaseId& lease_id : leases) {
        const auto lease = state.leases.find(lease_id);
        if (lease == state.leases.end() || lease->second.worker != id || lease->second.set != set) {
          return Broken("workers and leases agree", where);
        }
        ++held;
      }
    }
    if (worker.open_poll != 0 && state.polls.count(worker.open_poll) == 0) {
      return Broken("an open poll exists", where);
    }
  }
  if (held != state.leases.size()) return Broken("every lease belongs to a worker", "");
  int64_t speculative = 0;
  for (const auto& [id, lease] : state.leases) {
    if (!state.lease_deadlines.contains({lease.deadline.since_start, id})) {
      return Broken("every lease has its deadline", id.str());
    }
    if (lease.deadline > lease.preempt_by) {
      return Broken("a preempted lease ends by its deadline", id.str());
    }
    const Task& task = state.TaskAt(lease.task);
    const auto number = static_cast<size_t>(lease.attempt);
    if (number < 1 || number > task.attempts.size() || task.attempts[number - 1].lease_id != id) {
      return Broken("a lease names an attempt of its task", id.str());
    }
    speculative += lease.speculative ? 1 : 0;
  }
  if (speculative != state.speculative_leases) return Broken("second attempts are counted", "");
  for (const LeaseId& id : state.stragglers) {
    if (state.leases.count(id) == 0) return Broken("a straggler runs", id.str());
  }
  if (state.polls.size() != state.poll_deadlines.size()) {
    return Broken("every open poll has one deadline", "");
  }
  return absl::OkStatus();
}

absl::Status CheckProjects(const Core::State& state) {
  std::map<ProjectId, std::pair<int32_t, int32_t>> used;  // Slots, tasks.
  for (const auto& [id, worker] : state.workers) {
    for (const auto& [set, leases] : worker.sets) {
      auto& [slots, tasks] =
          used[state.JobAt(state.leases.at(*leases.begin()).task).record.project];
      ++slots;
      tasks += static_cast<int32_t>(leases.size());
    }
  }
  for (const auto& [id, project] : state.projects) {
    const std::string where = absl::StrCat("project=", id.str());
    const auto& [slots, tasks] = used[id];
    if (slots != project.slots_in_use || tasks != project.running_tasks) {
      return Broken("the books of a project are those of its leases", where);
    }
    if (!project.has_quota) continue;
    if (project.quota.max_slots > 0 && slots > project.slots_allowed) {
      return Broken("no project has more slots than its quota", where);
    }
    if (project.quota.max_running_tasks > 0 && tasks > project.tasks_allowed) {
      return Broken("no project runs more tasks than its quota", where);
    }
  }
  for (const auto& [id, use] : used) {
    if (state.projects.count(id) == 0) return Broken("who uses slots has books", id.str());
  }
  return absl::OkStatus();
}

absl::Status CheckExecutions(const Core::State& state) {
  for (const auto& [key, execution] : state.executions) {
    const std::string where = state.IdOf(execution.leader).str();
    const Task& leader = state.TaskAt(execution.leader);
    const bool under_way =
        leader.status.state == TaskState::kRunning ||
        (leader.status.state == TaskState::kQueued && leader.wait != Task::Wait::kFollows);
    const bool held = leader.wait == Task::Wait::kHeld;
    if (!under_way) {
      return Broken("who executes a key is under way itself", where);
    }
    for (const TaskRank follower : execution.followers) {
      if (state.TaskAt(follower).wait != Task::Wait::kFollows) {
        return Broken("followers follow", where);
      }
      if (held && !state.JobAt(follower).paused()) {
        return Broken("a pause holds up no equal task of another job", where);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInvariants(const Core& core) {
  const Core::State& state = core.state();
  size_t ready = 0;
  size_t backoffs = 0;
  for (const auto& [age, job] : state.jobs) {
    DISTILL_RETURN_IF_ERROR(CheckJob(state, *job));
    for (const Task& task : job->tasks) {
      ready += task.wait == Task::Wait::kReady ? 1 : 0;
      backoffs += task.wait == Task::Wait::kBackoff ? 1 : 0;
    }
  }
  if (ready != state.ready.size()) return Broken("the ready queue holds ready tasks only", "");
  if (backoffs != state.backoffs.size()) return Broken("timers belong to waiting tasks", "");
  if (state.reservation.has_value() &&
      (state.TaskAt(state.reservation->task).wait != Task::Wait::kReady ||
       state.requirements[static_cast<size_t>(state.reservation->requirement)].gang_size == 1)) {
    return Broken("slots are kept for a gang that waits for them", "");
  }
  DISTILL_RETURN_IF_ERROR(CheckLeases(state));
  DISTILL_RETURN_IF_ERROR(CheckProjects(state));
  return CheckExecutions(state);
}

}  // namespace distill::server
