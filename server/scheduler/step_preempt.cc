// Leases that are wanted back: for a pause, a drain, or a task of much higher priority that has
// waited long enough.
#include <algorithm>
#include <tuple>

#include "server/scheduler/core_step.h"
#include "server/scheduler/placement.h"

namespace distill::server {

void CoreStep::Preempt(const LeaseId& wanted, MonotonicTime deadline) {
  for (const LeaseId& id : state_.GangOf(state_.leases.at(wanted))) {
    Lease& lease = state_.leases.at(id);
    if (lease.preempt_by <= deadline) continue;
    if (lease.preempt_by == InfiniteFuture()) ++effects_.counts.preemptions;
    state_.lease_deadlines.erase({lease.deadline.since_start, id});
    lease.preempt_by = deadline;
    lease.deadline = std::min(lease.deadline, deadline);
    state_.lease_deadlines.emplace(lease.deadline.since_start, id);
    notify_.insert(lease.worker);
  }
}

void CoreStep::PreemptForPriority() {
  state_.preempt_check = InfiniteFuture();
  const absl::Duration patience = state_.config.preempt_patience;
  if (patience == absl::ZeroDuration()) return;
  for (const int32_t requirement : state_.ready.Requirements()) {
    for (const ReadyQueue::Entry& head : state_.ready.Heads(requirement)) {
      Lane& lane = state_.lanes[static_cast<size_t>(head.place.lane)];
      const int32_t highest = lane.priority - state_.config.preempt_margin;
      const Requirement& demand = state_.requirements[static_cast<size_t>(requirement)];
      const bool admitted = state_.QuotaAdmitsGang(lane.project, demand.gang_size);
      if (!state_.AnyLeaseUpTo(highest) || !admitted) continue;
      // What is taken for a gang must be kept for it.
      const bool kept = state_.reservation.has_value() && state_.reservation->task == head.rank;
      if (demand.gang_size > 1 && !kept) continue;
      const MonotonicTime due = state_.TaskAt(head.rank).ready_since + patience;
      if (due > now_.monotonic) {
        state_.preempt_check = std::min(state_.preempt_check, due);
        continue;
      }
      // A free slot is only waiting to be asked for.
      if (state_.UsableFreeSlots(demand, now_.monotonic) >= demand.gang_size) continue;
      // One slot at a time for each lane: the next is asked for when this one has come.
      const auto worker = state_.workers.find(lane.wanted_from);
      if (worker != state_.workers.end() && worker->second.sets.count(lane.wanted_set) != 0) {
        continue;
      }
      PreemptFor(lane, demand, highest);
    }
  }
}

void CoreStep::PreemptFor(Lane& lane, const Requirement& requirement, int32_t highest) {
  // The lowest priority, and of those the youngest: the least is lost.
  using Order = std::tuple<int32_t, absl::Duration, std::string>;
  std::optional<Order> best;
  WorkerId from;
  for (const auto& [id, worker] : state_.workers) {
    const bool takes_work = state_.holds.count(id) == 0 && state_.IsLive(worker, now_.monotonic);
    if (!takes_work || !Fits(requirement, worker.info)) continue;
    for (const auto& [set, leases] : worker.sets) {
      // All members are of one job.
      const Lease& lease = state_.leases.at(*leases.begin());
      const Job& job = state_.JobAt(lease.task);
      // What waited for its turn keeps it: else the two would take the slot from each other for
      // ever.
      const int32_t priority =
          std::max(job.record.limits.priority, state_.TaskAt(lease.task).turn_priority);
      if (priority > highest || job.stopping() || lease.preempt_by < InfiniteFuture()) continue;
      const absl::Duration age = now_.wall - AttemptOf(lease).start_time;
      Order order(priority, age, set);
      if (best.has_value() && *best <= order) continue;
      best = std::move(order);
      from = id;
    }
  }
  if (!best.has_value()) return;
  lane.wanted_from = from;
  lane.wanted_set = std::get<2>(*best);
  for (const LeaseId& lease : state_.workers.at(from).sets.at(lane.wanted_set)) {
    Preempt(lease, now_.monotonic + state_.config.preempt_grace);
  }
}

}  // namespace distill::server
