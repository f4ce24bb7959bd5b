// Long polls and what they are granted: single tasks, or bundles when more of one phase are ready
// than slots are free.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/placement.h"

namespace distill::server {
namespace {

// How far placement looks: enough to find warm jobs and cached inputs, little enough to be quick.
constexpr size_t kJobsConsidered = 4;
constexpr size_t kTasksConsidered = 16;
// Answered requests that are remembered of each worker.
constexpr size_t kAnsweredRequests = 64;

}  // namespace

void CoreStep::On(uint64_t call, AcquireTasks& event) {
  if (event.request_id.empty()) {
    return Refuse(call,
                  absl::InvalidArgumentError(absl::StrCat(
                      "cannot acquire tasks: request_id is not set; worker=", event.worker.str())));
  }
  Worker* worker = Hear(event.worker);
  if (worker == nullptr || !worker->registered) {
    AcquireReply reply;
    reply.directives.push_back(Directive{Directive::Kind::kRegister, LeaseRef{}});
    return ReplyTo(call, std::move(reply));
  }
  if (worker->open_poll != 0) {
    Poll& open = state_.polls.at(worker->open_poll);
    if (open.request == event.request_id) {
      open.calls.push_back(call);
      if (call != 0) state_.poll_of_call[call] = worker->open_poll;
      return;
    }
    AnswerPoll(worker->open_poll);
  }
  AcquireReply repeated;
  repeated.lease_sets = GrantsOfRequest(*worker, event.request_id);
  const bool answered = std::find(worker->answered.begin(), worker->answered.end(),
                                  event.request_id) != worker->answered.end();
  if (!repeated.lease_sets.empty() || answered) {
    repeated.directives = TakeDirectives(event.worker, *worker);
    return ReplyTo(call, std::move(repeated));
  }
  const uint64_t id = state_.next_poll++;
  Poll poll;
  poll.calls.push_back(call);
  poll.worker = event.worker;
  poll.request = event.request_id;
  poll.max_lease_sets = event.max_lease_sets;
  const absl::Duration wait = std::clamp(event.wait, absl::ZeroDuration(), state_.config.max_wait);
  poll.deadline = now_.monotonic + wait;
  poll.cached.insert(event.cached.begin(), event.cached.end());
  poll.warm_jobs.insert(event.warm_jobs.begin(), event.warm_jobs.end());
  if (call != 0) state_.poll_of_call[call] = id;
  state_.poll_deadlines.emplace(poll.deadline.since_start, id);
  state_.polls.emplace(id, std::move(poll));
  worker->open_poll = id;
  notify_.insert(event.worker);
  if (event.max_lease_sets > 0) state_.match_wanted = true;
}

void CoreStep::On(uint64_t call, AbandonCall& event) {
  const auto found = state_.poll_of_call.find(event.call);
  if (found != state_.poll_of_call.end()) {
    const uint64_t id = found->second;
    Poll& poll = state_.polls.at(id);
    poll.calls.erase(std::remove(poll.calls.begin(), poll.calls.end(), event.call),
                     poll.calls.end());
    state_.poll_of_call.erase(found);
    Refuse(event.call, absl::CancelledError("cannot acquire tasks: the caller is gone"));
    // Not remembered as answered: the caller may come back with the same request.
    if (poll.calls.empty()) RemovePoll(id);
  }
  ReplyTo(call, Done{});
}

std::vector<LeaseSet> CoreStep::GrantsOfRequest(const Worker& worker, const RequestId& request) {
  std::vector<LeaseSet> sets;
  for (const auto& [set_id, leases] : worker.sets) {
    LeaseSet set;
    set.id = set_id;
    for (const LeaseId& lease_id : leases) {
      const Lease& lease = state_.leases.at(lease_id);
      const storage::AttemptRecord& attempt =
          state_.TaskAt(lease.task).attempts[static_cast<size_t>(lease.attempt - 1)];
      if (attempt.acquire_request == request) set.grants.push_back(MakeGrant(lease.task, attempt));
    }
    if (!set.grants.empty()) sets.push_back(std::move(set));
  }
  return sets;
}

void CoreStep::RemovePoll(uint64_t id) {
  const auto found = state_.polls.find(id);
  const Poll& poll = found->second;
  state_.poll_deadlines.erase({poll.deadline.since_start, id});
  for (const uint64_t call : poll.calls) state_.poll_of_call.erase(call);
  state_.workers.at(poll.worker).open_poll = 0;
  state_.polls.erase(found);
}

void CoreStep::AnswerPoll(uint64_t id) {
  Poll& poll = state_.polls.at(id);
  Worker& worker = state_.workers.at(poll.worker);
  AcquireReply reply = std::move(poll.reply);
  reply.directives = TakeDirectives(poll.worker, worker);
  worker.answered.push_back(poll.request);
  if (worker.answered.size() > kAnsweredRequests) worker.answered.pop_front();
  for (size_t i = 0; i + 1 < poll.calls.size(); ++i) ReplyTo(poll.calls[i], reply);
  if (!poll.calls.empty()) ReplyTo(poll.calls.back(), std::move(reply));
  RemovePoll(id);
}

void CoreStep::AnswerReadyPolls() {
  std::set<uint64_t> ready = std::move(granted_polls_);
  granted_polls_.clear();
  for (const auto& [deadline, id] : state_.poll_deadlines) {
    if (MonotonicTime{deadline} > now_.monotonic) break;
    ready.insert(id);
  }
  for (const WorkerId& id : notify_) {
    const auto worker = state_.workers.find(id);
    if (worker == state_.workers.end() || worker->second.open_poll == 0) continue;
    if (HasNews(id, worker->second)) ready.insert(worker->second.open_poll);
  }
  notify_.clear();
  for (const uint64_t id : ready) AnswerPoll(id);
}

void CoreStep::Match() {
  MatchGangs();
  // One lease set for each poll and round, so that work spreads over workers.
  bool granted = true;
  while (granted && state_.ready.size() > 0) {
    granted = false;
    for (auto& [id, poll] : state_.polls) {
      if (!GrantOne(poll, state_.workers.at(poll.worker))) continue;
      granted = true;
      granted_polls_.insert(id);
    }
  }
  // Those that went first have been served.
  MatchGangs();
  for (auto& [id, poll] : state_.polls) {
    if (Speculate(poll, state_.workers.at(poll.worker))) granted_polls_.insert(id);
  }
  PreemptForPriority();
  if (!AnyUnstartedBundle()) return;
  for (const auto& [id, poll] : state_.polls) {
    const Worker& worker = state_.workers.at(poll.worker);
    if (poll.max_lease_sets > 0 && poll.reply.lease_sets.empty() && !IsWithheld(worker, nullptr) &&
        state_.OfferedSlots(poll.worker, worker, now_.monotonic) > 0) {
      RequestUnstarted(poll.worker);
    }
  }
}

bool CoreStep::GrantOne(Poll& poll, Worker& worker) {
  if (static_cast<int32_t>(poll.reply.lease_sets.size()) >= poll.max_lease_sets) return false;
  if (state_.OfferedSlots(poll.worker, worker, now_.monotonic) == 0) return false;
  const std::optional<ReadyQueue::Entry> chosen = ChooseFor(poll, worker);
  if (!chosen.has_value()) return false;

  std::vector<TaskRank> members = {chosen->rank};
  const size_t size = SizeOfSet(*chosen, worker);
  if (size > 1) {
    for (const TaskRank rank :
         state_.ready.FirstInGroup(chosen->rank.job_age, chosen->place, size)) {
      if (members.size() < size && rank != chosen->rank) members.push_back(rank);
    }
    std::sort(members.begin(), members.end());
  }
  GrantAttempts(poll, worker, members, Purpose::kFirstAttempt, GangSeat());
  return true;
}

size_t CoreStep::SizeOfSet(const ReadyQueue::Entry& chosen, const Worker& worker) const {
  const Job& job = state_.JobAt(chosen.rank);
  const int32_t max_bundle =
      std::min(job.record.limits.max_bundle, state_.TasksAdmitted(job.record.project));
  // A worker in quarantine gets its canary alone.
  const bool alone = chosen.place.group == ReadyQueue::kAlone || max_bundle <= 1 ||
                     state_.IsQuarantined(worker.info.id);
  if (alone) return 1;
  const Requirement& requirement =
      state_.requirements[static_cast<size_t>(chosen.place.requirement)];
  BundleInputs inputs;
  inputs.ready = static_cast<int64_t>(state_.ready.CountInGroup(chosen.rank.job_age, chosen.place));
  inputs.usable_slots = state_.UsableFreeSlots(requirement, now_.monotonic);
  inputs.max_bundle = max_bundle;
  inputs.task_memory_bytes = requirement.memory_bytes;
  inputs.slot_memory_bytes = worker.info.slot_memory_bytes;
  return static_cast<size_t>(BundleSize(inputs));
}

std::vector<ReadyQueue::Entry> CoreStep::LanesFor(const Worker& worker) const {
  std::vector<ReadyQueue::Entry> heads;
  std::vector<LaneView> views;
  for (const int32_t requirement : state_.ready.Requirements()) {
    const Requirement& demand = state_.requirements[static_cast<size_t>(requirement)];
    if (demand.gang_size > 1 || !Fits(demand, worker.info)) continue;
    for (const ReadyQueue::Entry& head : state_.ready.Heads(requirement)) {
      const Lane& lane = state_.lanes[static_cast<size_t>(head.place.lane)];
      if (state_.TasksAdmitted(lane.project) == 0) continue;
      const LaneView view = ViewOf(head);
      if (IsWithheld(worker, &view)) continue;
      views.push_back(view);
      heads.push_back(head);
    }
  }
  std::vector<ReadyQueue::Entry> chosen;
  for (const size_t i : ChooseLanes(views)) chosen.push_back(heads[i]);
  return chosen;
}

std::optional<ReadyQueue::Entry> CoreStep::ChooseFor(const Poll& poll, const Worker& worker) {
  std::vector<ReadyQueue::Entry> entries;
  for (const ReadyQueue::Entry& head : LanesFor(worker)) {
    state_.ready.AppendOldest(head.place.requirement, head.place.lane, kJobsConsidered,
                              kTasksConsidered, entries);
  }
  if (entries.empty()) return std::nullopt;
  std::vector<Candidate> candidates;
  candidates.reserve(entries.size());
  for (const ReadyQueue::Entry& entry : entries) {
    Candidate candidate;
    candidate.job_age = entry.rank.job_age;
    candidate.index = entry.rank.index;
    candidate.waited = now_.monotonic - state_.TaskAt(entry.rank).ready_since;
    candidate.warm = poll.warm_jobs.contains(state_.JobAt(entry.rank).record.id);
    if (!poll.cached.empty()) {
      for (const ResolvedInput& input : ResolveInputs(entry.rank)) {
        if (poll.cached.contains(input.digest)) ++candidate.cached_inputs;
      }
    }
    candidates.push_back(candidate);
  }
  return entries[ChooseCandidate(candidates, state_.config.warm_patience)];
}

void CoreStep::GrantAttempts(Poll& poll, Worker& worker, const std::vector<TaskRank>& members,
                             Purpose purpose, const GangSeat& seat) {
  LeaseSet set;
  set.id = ids_.RandomHex(8);
  const bool first = purpose == Purpose::kFirstAttempt;
  const int32_t priority = first ? TurnPriority(state_.TaskAt(members.front()).place) : 0;
  for (const TaskRank rank : members) {
    Task& task = state_.TaskAt(rank);
    if (first) {
      task.turn_priority = priority;
      effects_.attempts_started.push_back(
          AttemptStart{state_.strings.At(task.kind), now_.monotonic - task.ready_since});
      Dequeue(rank);
    }
    storage::AttemptRecord attempt;
    attempt.task = state_.IdOf(rank);
    attempt.number = ++task.status.attempts;
    attempt.lease_id = LeaseId(ids_.RandomHex(16));
    attempt.worker = worker.info.id;
    attempt.acquire_request = poll.request;
    attempt.lease_set = set.id;
    attempt.lease_set_size = static_cast<int32_t>(members.size());
    attempt.gang = seat.gang;
    attempt.gang_rank = seat.rank;
    attempt.gang_size = seat.size;
    attempt.start_time = now_.wall;
    if (task.status.start_time == storage::kUnsetTime) task.status.start_time = now_.wall;
    task.status.failure_message.clear();
    if (first) {
      Move(rank, TaskEvent::kGranted, worker.info.id);
    } else {
      WriteTask(rank);
    }
    WriteAttempt(attempt);
    Lease& lease = AddLease(rank, attempt);
    lease.speculative = purpose == Purpose::kSecondAttempt;
    state_.speculative_leases += lease.speculative ? 1 : 0;
    set.grants.push_back(MakeGrant(rank, attempt));
    task.attempts.push_back(std::move(attempt));
  }
  poll.reply.lease_sets.push_back(std::move(set));
}

int32_t CoreStep::TurnPriority(const ReadyQueue::Place& place) const {
  for (const ReadyQueue::Entry& head : state_.ready.Heads(place.requirement)) {
    if (head.place.lane == place.lane) return ViewOf(head).effective_priority;
  }
  return state_.lanes[static_cast<size_t>(place.lane)].priority;
}

Grant CoreStep::MakeGrant(TaskRank rank, const storage::AttemptRecord& attempt) {
  const Task& task = state_.TaskAt(rank);
  Grant grant;
  grant.lease = LeaseRef{state_.JobAt(rank).record.id, task.name, attempt.number, attempt.lease_id};
  grant.spec = task.spec;
  grant.traceparent = state_.JobAt(rank).record.traceparent;
  grant.gang_rank = attempt.gang_rank;
  grant.gang_size = attempt.gang_size;
  grant.inputs = ResolveInputs(rank);
  for (const ResolvedInput& input : grant.inputs) Touch(input.digest);
  if (Touch(task.status.checkpoint.digest)) {
    grant.checkpoint = task.status.checkpoint;
  } else if (Touch(task.status.previous_checkpoint.digest)) {
    grant.checkpoint = task.status.previous_checkpoint;
  }
  return grant;
}

std::vector<ResolvedInput> CoreStep::ResolveInputs(TaskRank rank) const {
  const Job& job = state_.JobAt(rank);
  const Task& task = state_.TaskAt(rank);
  std::vector<ResolvedInput> inputs;
  inputs.reserve(task.inputs.size());
  for (const InputSlot& slot : task.inputs) {
    ResolvedInput input;
    input.name = state_.strings.At(slot.name);
    if (slot.producer < 0) {
      input.digest = slot.given;
      const auto blob = state_.blobs.find(slot.given);
      if (blob != state_.blobs.end()) input.size_bytes = blob->second.record.size_bytes;
    } else {
      const storage::NamedBlob* result =
          state_.ResultNamed(job.tasks[static_cast<size_t>(slot.producer)], slot.output);
      if (result == nullptr) continue;  // Lost since the task was granted.
      input.digest = result->digest;
      input.size_bytes = result->size_bytes;
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

bool CoreStep::AnyUnstartedBundle() const {
  for (const auto& [id, worker] : state_.workers) {
    for (const auto& [set, leases] : worker.sets) {
      if (leases.size() > 1 && !state_.leases.at(*leases.begin()).started) return true;
    }
  }
  return false;
}

void CoreStep::RequestUnstarted(const WorkerId& idle) {
  const Worker& worker = state_.workers.at(idle);
  // The largest set of which nothing was asked yet and nothing has started.
  const std::set<LeaseId>* largest = nullptr;
  WorkerId holder;
  for (const auto& [id, other] : state_.workers) {
    for (const auto& [set, leases] : other.sets) {
      if (leases.size() < 2 || (largest != nullptr && leases.size() <= largest->size())) continue;
      const bool untouched =
          std::all_of(leases.begin(), leases.end(), [&](const LeaseId& lease_id) {
            const Lease& lease = state_.leases.at(lease_id);
            const auto requirement = static_cast<size_t>(state_.TaskAt(lease.task).requirement);
            return !lease.started && !lease.release_requested &&
                   lease.preempt_by == InfiniteFuture() && !state_.JobAt(lease.task).stopping() &&
                   state_.QuotaAdmits(state_.JobAt(lease.task).record.project, 1) &&
                   Fits(state_.requirements[requirement], worker.info);
          });
      if (!untouched) continue;
      largest = &leases;
      holder = id;
    }
  }
  if (largest == nullptr) return;
  std::vector<std::pair<TaskRank, LeaseId>> members;
  for (const LeaseId& lease_id : *largest) {
    members.emplace_back(state_.leases.at(lease_id).task, lease_id);
  }
  std::sort(members.begin(), members.end());
  for (size_t i = members.size() - members.size() / 2; i < members.size(); ++i) {
    state_.leases.at(members[i].second).release_requested = true;
  }
  notify_.insert(holder);
}

}  // namespace distill::server
