// Gangs: tasks that several trainers share, each in a slot of its own. All ranks start in one step
// or none does, each with an attempt and a lease of its own; they end together. A gang for which
// too few slots are free has those that become free kept for it, one gang at a time, so that two
// never hold half of what each needs.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/placement.h"

namespace distill::server {

using storage::AttemptState;
using storage::FailureClass;

LaneView CoreStep::ViewOf(const ReadyQueue::Entry& head) const {
  const Lane& lane = state_.lanes[static_cast<size_t>(head.place.lane)];
  const absl::Duration waited = now_.monotonic - state_.TaskAt(head.rank).ready_since;
  return {EffectivePriority(lane.priority, waited, state_.config.ageing_interval),
          state_.Share(lane.project, now_.monotonic)};
}

std::vector<ReadyQueue::Entry> CoreStep::GangsInTurn() const {
  std::vector<std::pair<LaneView, ReadyQueue::Entry>> gangs;
  for (const int32_t requirement : state_.ready.Requirements()) {
    if (state_.requirements[static_cast<size_t>(requirement)].gang_size == 1) continue;
    for (const ReadyQueue::Entry& head : state_.ready.Heads(requirement)) {
      gangs.emplace_back(ViewOf(head), head);
    }
  }
  std::sort(gangs.begin(), gangs.end(), [](const auto& a, const auto& b) {
    if (a.first.Precedes(b.first) || b.first.Precedes(a.first)) return a.first.Precedes(b.first);
    return a.second.rank < b.second.rank;
  });
  std::vector<ReadyQueue::Entry> entries;
  for (const auto& [view, entry] : gangs) entries.push_back(entry);
  return entries;
}

void CoreStep::MatchGangs() {
  if (!state_.has_gangs) return;
  // After each start the heads of the lanes are others.
  do {
    RenewReservation();
  } while (StartFirstGang());
}

bool CoreStep::StartFirstGang() {
  const std::vector<ReadyQueue::Entry> gangs = GangsInTurn();
  return std::any_of(gangs.begin(), gangs.end(),
                     [this](const ReadyQueue::Entry& gang) { return StartGang(gang); });
}

std::vector<uint64_t> CoreStep::OffersFor(const ReadyQueue::Entry& gang) const {
  const Requirement& requirement = state_.requirements[static_cast<size_t>(gang.place.requirement)];
  const bool is_kept_for = state_.reservation.has_value() && state_.reservation->task == gang.rank;
  const LaneView view = ViewOf(gang);
  // Few workers rather than many: what stays on one machine is quicker.
  std::vector<std::tuple<int64_t, WorkerId, uint64_t>> rooms;
  for (const auto& [id, poll] : state_.polls) {
    const Worker& worker = state_.workers.at(poll.worker);
    if (!Fits(requirement, worker.info) || state_.IsQuarantined(poll.worker)) continue;
    if (!is_kept_for && IsWithheld(worker, &view)) continue;
    const auto asked = poll.max_lease_sets - static_cast<int64_t>(poll.reply.lease_sets.size());
    const int64_t room = std::min(asked, state_.OfferedSlots(poll.worker, worker, now_.monotonic));
    if (room > 0) rooms.emplace_back(-room, poll.worker, id);
  }
  std::sort(rooms.begin(), rooms.end());
  std::vector<uint64_t> offers;
  for (const auto& [negative_room, worker, id] : rooms) {
    offers.insert(offers.end(), static_cast<size_t>(-negative_room), id);
  }
  return offers;
}

bool CoreStep::IsPreceded(const ReadyQueue::Entry& gang,
                          const std::vector<uint64_t>& offers) const {
  const LaneView own = ViewOf(gang);
  for (const int32_t requirement : state_.ready.Requirements()) {
    const Requirement& demand = state_.requirements[static_cast<size_t>(requirement)];
    if (demand.gang_size > 1) continue;
    const bool could_take_one = std::any_of(offers.begin(), offers.end(), [&](uint64_t poll) {
      return Fits(demand, state_.workers.at(state_.polls.at(poll).worker).info);
    });
    if (!could_take_one) continue;
    for (const ReadyQueue::Entry& head : state_.ready.Heads(requirement)) {
      const Lane& lane = state_.lanes[static_cast<size_t>(head.place.lane)];
      if (state_.TasksAdmitted(lane.project) > 0 && ViewOf(head).Precedes(own)) return true;
    }
  }
  return false;
}

bool CoreStep::StartGang(const ReadyQueue::Entry& gang) {
  const Requirement& requirement = state_.requirements[static_cast<size_t>(gang.place.requirement)];
  const int32_t size = requirement.gang_size;
  if (!state_.QuotaAdmitsGang(state_.JobAt(gang.rank).record.project, size)) return false;
  const std::vector<uint64_t> offers = OffersFor(gang);
  if (static_cast<int64_t>(offers.size()) < size || IsPreceded(gang, offers)) return false;
  GangSeat seat{ids_.RandomHex(8), 0, size};
  for (; seat.rank < size; ++seat.rank) {
    const uint64_t id = offers[static_cast<size_t>(seat.rank)];
    Poll& poll = state_.polls.at(id);
    GrantAttempts(poll, state_.workers.at(poll.worker), {gang.rank},
                  seat.rank == 0 ? Purpose::kFirstAttempt : Purpose::kFurtherRank, seat);
    granted_polls_.insert(id);
  }
  return true;
}

bool CoreStep::MayStartLater(const ReadyQueue::Entry& gang) const {
  const Requirement& requirement = state_.requirements[static_cast<size_t>(gang.place.requirement)];
  int64_t slots = 0;
  for (const auto& [id, worker] : state_.workers) {
    const bool takes_work = state_.IsLive(worker, now_.monotonic) && !state_.IsDraining(id) &&
                            !state_.IsQuarantined(id);
    if (takes_work && Fits(requirement, worker.info)) slots += worker.info.slots;
  }
  return slots >= requirement.gang_size &&
         state_.QuotaAdmitsGang(state_.JobAt(gang.rank).record.project, requirement.gang_size);
}

void CoreStep::RenewReservation() {
  const MonotonicTime now = now_.monotonic;
  const std::optional<Reservation> before = std::exchange(state_.reservation, std::nullopt);
  state_.gang_check = InfiniteFuture();
  const auto look_again = [this](MonotonicTime at) {
    state_.gang_check = std::min(state_.gang_check, at);
  };
  for (auto pause = state_.reserve_after.begin(); pause != state_.reserve_after.end();) {
    pause = pause->second <= now ? state_.reserve_after.erase(pause) : std::next(pause);
  }
  for (const ReadyQueue::Entry& gang : GangsInTurn()) {
    if (!MayStartLater(gang)) continue;
    const MonotonicTime due = state_.TaskAt(gang.rank).ready_since + state_.config.gang_patience;
    const auto pause = state_.reserve_after.find(gang.rank);
    if (due > now || pause != state_.reserve_after.end()) {
      look_again(due > now ? due : pause->second);
      continue;
    }
    const bool goes_on = before.has_value() && before->task == gang.rank;
    const MonotonicTime until = goes_on ? before->until : now + state_.config.gang_hold;
    look_again(until > now ? until : now + state_.config.gang_hold);
    if (until > now) {
      state_.reservation = Reservation{gang.rank, gang.place.requirement, until};
      return;
    }
    state_.reserve_after[gang.rank] = now + state_.config.gang_hold;
  }
}

bool CoreStep::IsWithheld(const Worker& worker, const LaneView* view) const {
  if (!state_.reservation.has_value()) return false;
  const Reservation& reservation = *state_.reservation;
  const Requirement& demand = state_.requirements[static_cast<size_t>(reservation.requirement)];
  // The canary of a quarantine is none that a gang could use.
  if (!Fits(demand, worker.info) || state_.IsQuarantined(worker.info.id)) return false;
  const ReadyQueue::Entry gang{reservation.task, state_.TaskAt(reservation.task).place};
  return view == nullptr || !view->Precedes(ViewOf(gang));
}

void CoreStep::NoteContact(Lease& lease, LeaseProgress& item) {
  if (AttemptOf(lease).gang.empty()) return;
  lease.gang_view = std::move(item.gang_view);
  if (item.gang_contact.empty() || item.gang_contact == lease.gang_contact) return;
  lease.gang_contact = std::move(item.gang_contact);
  for (const LeaseId& member : state_.GangOf(lease)) {
    notify_.insert(state_.leases.at(member).worker);
  }
}

absl::Status CoreStep::CompleteRank(const Named& named, CompleteAttempts::Item& item) {
  storage::AttemptRecord& attempt = *named.attempt;
  if (attempt.state == AttemptState::kSucceeded) return absl::OkStatus();
  if (attempt.state != AttemptState::kRunning) return LeaseLost(named, "complete attempt");
  if (!item.results.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot complete attempt: the result of a gang is that of rank 0; task=",
                     state_.IdOf(named.rank).str(), " rank=", attempt.gang_rank));
  }
  Ending ending;
  ending.state = AttemptState::kSucceeded;
  ending.observations = PresentOnly(std::move(item.observations));
  ending.stats = std::move(item.stats);
  CloseAttempt(named, std::move(ending));
  NoteSuccess(attempt.worker);
  // The first rank may have stopped without a result, and have left the end to this one.
  if (state_.JobAt(named.rank).stopping()) AfterAttempt(named.rank, attempt);
  return absl::OkStatus();
}

void CoreStep::ReleaseRank(const Named& named, Ending ending) {
  const std::vector<LeaseId> gang = state_.GangOf(state_.leases.at(named.attempt->lease_id));
  CloseAttempt(named, std::move(ending));
  // The first rank has the checkpoint; it hands it back, or loses its lease.
  for (const LeaseId& member : gang) {
    if (member == named.attempt->lease_id) continue;
    Preempt(member, now_.monotonic + state_.config.preempt_grace);
  }
}

void CoreStep::EndRanks(TaskRank rank, AttemptState state, absl::string_view reason) {
  const bool done = state == AttemptState::kSucceeded;
  for (storage::AttemptRecord& attempt : state_.TaskAt(rank).attempts) {
    if (attempt.state != AttemptState::kRunning || attempt.gang.empty()) continue;
    Ending ending;
    ending.state = state;
    ending.failure_class = done ? FailureClass::kNone : FailureClass::kPreempted;
    if (!done) ending.message = std::string(reason);
    CloseAttempt(Named{rank, &attempt}, std::move(ending));
    if (done) NoteSuccess(attempt.worker);
  }
}

// The ranks that lose their gang often say so before the worker of the one that died does.
void CoreStep::NoteLateDeath(const Named& named, const FailAttempts::Item& item) {
  storage::AttemptRecord late = *named.attempt;
  if (late.gang.empty() || late.state != AttemptState::kCancelled || !item.trainer_died) return;
  late.failure_class = FailureClass::kInfrastructure;
  NoteFailure(late, named.rank, item.message);
}

}  // namespace distill::server
