#include "worker/training/lease_set.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "worker/training/assembly.h"
#include "worker/training/evaluator.h"
#include "worker/training/gang_place.h"
#include "worker/training/member_end.h"
#include "worker/training/module_choice.h"
#include "worker/training/prior_fit.h"
#include "worker/training/resource_usage.h"
#include "worker/training/torch_guard.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

// In TaskSpec.numeric_class: any class will do.
constexpr char kAnyNumericClass[] = "any";

absl::Status CheckNumericClass(const v1::TaskSpec& spec, const std::string& numeric_class) {
  if (spec.numeric_class().empty() || spec.numeric_class() == kAnyNumericClass ||
      spec.numeric_class() == numeric_class) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot start task: this trainer computes in another numeric class; class=", numeric_class,
      " wanted=", spec.numeric_class()));
}

absl::StatusOr<std::vector<v1::ProducedFile>> RunEvaluation(
    const v1::MemberAssignment& assignment, const TrainingEnvironment& environment) {
  DISTILL_ASSIGN_OR_RETURN(const v1::EvaluationResult result, Evaluate(assignment, environment));
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile produced, WriteMetrics(assignment, result));
  return std::vector<v1::ProducedFile>{produced};
}

absl::StatusOr<std::vector<v1::ProducedFile>> RunWithoutTraining(
    const v1::MemberAssignment& assignment, const TrainingEnvironment& environment) {
  switch (assignment.spec().kind()) {
    case v1::TASK_KIND_ASSEMBLE_TEACHER:
    case v1::TASK_KIND_ASSEMBLE_STUDENT:
      return Assemble(assignment);
    case v1::TASK_KIND_SPLIT_TEACHER:
      return Split(assignment);
    case v1::TASK_KIND_EVALUATE:
      return RunEvaluation(assignment, environment);
    case v1::TASK_KIND_FIT_PRIOR:
      return FitPrior(assignment, environment);
    case v1::TASK_KIND_SELECT_MODULE:
      return SelectModule(assignment);
    case v1::TASK_KIND_DISTILL_MODULE:
      return HandOnModule(assignment);
    default:
      return absl::InvalidArgumentError(absl::StrCat("cannot start task: unknown kind; kind=",
                                                     static_cast<int>(assignment.spec().kind())));
  }
}

const char* FirstPhase(v1::TaskKind kind) {
  switch (kind) {
    case v1::TASK_KIND_EVALUATE:
      return "loading data";
    case v1::TASK_KIND_FIT_PRIOR:
      return "fitting";
    case v1::TASK_KIND_SELECT_MODULE:
    case v1::TASK_KIND_DISTILL_MODULE:
      return "selecting";
    default:
      return "assembling";
  }
}

void RunSingle(const v1::MemberAssignment& assignment, const TrainingEnvironment& environment) {
  const MonotonicTime start = environment.clock.Now();
  const double cpu_before = ProcessCpuSeconds();
  v1::MemberProgress begun;
  begun.set_member(assignment.member());
  begun.set_started(true);
  begun.mutable_progress()->set_phase(FirstPhase(assignment.spec().kind()));
  environment.observer.OnProgress(begun);

  const absl::StatusOr<std::vector<v1::ProducedFile>> results =
      GuardTorch("run the task", [&] { return RunWithoutTraining(assignment, environment); });
  v1::MemberEnded ended;
  if (results.ok()) {
    ended = EndWithOutcome(assignment.member(), v1::MemberEnded::ENDED_SUCCEEDED);
    for (const v1::ProducedFile& result : *results) *ended.add_results() = result;
  } else if (absl::IsCancelled(results.status())) {
    ended =
        EndWithOutcome(assignment.member(), environment.observer.IsCancelled(assignment.member())
                                                ? v1::MemberEnded::ENDED_CANCELLED
                                                : v1::MemberEnded::ENDED_RELEASED);
  } else {
    ended = FailedEnd(assignment.member(), results.status());
  }
  v1::AttemptStats& stats = *ended.mutable_stats();
  stats.set_wall_seconds(absl::ToDoubleSeconds(environment.clock.Now() - start));
  stats.set_cpu_seconds(ProcessCpuSeconds() - cpu_before);
  stats.set_total_training_cpu_seconds(stats.cpu_seconds());
  stats.set_peak_memory_bytes(PeakResidentBytes());
  environment.observer.OnEnded(ended);
}

// Whether the member need not start any more; it is then reported.
bool EndsBeforeItStarts(const v1::MemberAssignment& assignment, TrainingObserver& observer) {
  if (observer.IsCancelled(assignment.member())) {
    observer.OnEnded(EndWithOutcome(assignment.member(), v1::MemberEnded::ENDED_CANCELLED));
    return true;
  }
  if (observer.IsStopRequested()) {
    observer.OnEnded(EndWithOutcome(assignment.member(), v1::MemberEnded::ENDED_RELEASED));
    return true;
  }
  return false;
}

absl::StatusOr<std::optional<Checkpoint>> LoadCheckpoint(const v1::MemberAssignment& assignment) {
  if (assignment.checkpoint_path().empty()) return std::optional<Checkpoint>();
  DISTILL_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadCheckpoint(assignment.checkpoint_path(),
                                                                 FingerprintOf(assignment.spec())));
  return std::optional<Checkpoint>(std::move(checkpoint));
}

int64_t StartStep(const LockstepMember& member) {
  return member.checkpoint.has_value() ? member.checkpoint->step : 0;
}

// Moves out of `waiting` the first member and all that can go in lockstep with it.
std::vector<LockstepMember> TakeGroup(std::vector<LockstepMember>* waiting) {
  std::vector<LockstepMember> group;
  std::vector<LockstepMember> left;
  for (LockstepMember& member : *waiting) {
    const bool fits = group.empty() || (StartStep(group.front()) == StartStep(member) &&
                                        CanTrainInLockstep(group.front().assignment->spec(),
                                                           member.assignment->spec()));
    (fits ? group : left).push_back(std::move(member));
  }
  *waiting = std::move(left);
  return group;
}

}  // namespace

void RunLeaseSet(const v1::StartLeaseSet& set, const std::string& numeric_class,
                 const TrainingEnvironment& environment) {
  ForgetPeakResident();
  std::vector<LockstepMember> waiting;
  for (const v1::MemberAssignment& assignment : set.members()) {
    if (EndsBeforeItStarts(assignment, environment.observer)) continue;
    absl::Status fits = CheckNumericClass(assignment.spec(), numeric_class);
    if (fits.ok()) fits = CheckGang(assignment);
    if (!fits.ok()) {
      environment.observer.OnEnded(FailedEnd(assignment.member(), fits));
      continue;
    }
    const absl::StatusOr<bool> is_done = IsPreviousAccepted(assignment);
    if (!is_done.ok()) {
      environment.observer.OnEnded(FailedEnd(assignment.member(), is_done.status()));
      continue;
    }
    if (*is_done || !IsTraining(assignment.spec().kind())) {
      RunSingle(assignment, environment);
      continue;
    }
    absl::StatusOr<std::optional<Checkpoint>> checkpoint =
        GuardTorch("read a checkpoint", [&] { return LoadCheckpoint(assignment); });
    if (!checkpoint.ok()) {
      environment.observer.OnEnded(FailedEnd(assignment.member(), checkpoint.status()));
      continue;
    }
    waiting.push_back({&assignment, *std::move(checkpoint)});
  }
  while (!waiting.empty()) {
    std::vector<LockstepMember> group = TakeGroup(&waiting);
    group.erase(std::remove_if(group.begin(), group.end(),
                               [&](const LockstepMember& member) {
                                 return EndsBeforeItStarts(*member.assignment,
                                                           environment.observer);
                               }),
                group.end());
    if (!group.empty()) TrainInLockstep(group, environment);
  }
}

}  // namespace distill::training
