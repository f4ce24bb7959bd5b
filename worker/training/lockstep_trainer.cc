#include "worker/training/lockstep_trainer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "worker/data/sampler.h"
#include "worker/models/hybrid.h"
#include "worker/training/autocast.h"
#include "worker/training/batch_source.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/evaluator.h"
#include "worker/training/frozen_features.h"
#include "worker/training/gang_connection.h"
#include "worker/training/member_end.h"
#include "worker/training/member_run.h"
#include "worker/training/model_builder.h"
#include "worker/training/resource_usage.h"
#include "worker/training/task_images.h"
#include "worker/training/torch_guard.h"
#include "worker/training/trainee.h"
#include "worker/training/training_plan.h"

namespace distill::training {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);

// The spec without what may differ between the members of a phase.
std::string PhaseEssence(v1::TaskSpec spec) {
  google::protobuf::RepeatedPtrField<v1::TaskInput> inputs;
  for (const v1::TaskInput& input : spec.inputs()) {
    if (input.name() == "meta") *inputs.Add() = input;
  }
  *spec.mutable_inputs() = inputs;
  spec.clear_module_index();
  // Of a student, a task names only what its own module is made of.
  spec.clear_student();
  spec.clear_quality_gate();
  spec.clear_outputs();
  return spec.SerializeAsString();
}

// One run from start to end. One thread; Run() once.
class LockstepRun {
 public:
  LockstepRun(const std::vector<LockstepMember>& members, const TrainingEnvironment& environment)
      : members_(members),
        environment_(environment),
        clock_(environment.clock),
        observer_(environment.observer),
        start_(clock_.Now()),
        charged_cpu_seconds_(ProcessCpuSeconds()),
        writer_(observer_) {}

  void Run() {
    ReportPhase("loading data");
    const absl::Status status = GuardTorch("train", [this] { return PrepareAndTrain(); });
    // A fault of what members share ends all that are left.
    while (!status.ok() && !live_.empty()) EndMember(0, status);
  }

 private:
  const v1::TaskSpec& spec() const { return members_.front().assignment->spec(); }

  void ReportPhase(const std::string& phase) {
    for (const LockstepMember& member : members_) {
      v1::MemberProgress report;
      report.set_member(member.assignment->member());
      report.set_started(true);
      report.mutable_progress()->set_phase(phase);
      observer_.OnProgress(report);
    }
  }

  // A member whose own preparation fails ends alone; the returned Status concerns all.
  absl::Status PrepareAndTrain() {
    const absl::Status prepared = GuardTorch("prepare training", [this] { return Prepare(); });
    if (!prepared.ok()) {
      for (const LockstepMember& member : members_) {
        observer_.OnEnded(FailedEnd(member.assignment->member(), prepared));
      }
      return absl::OkStatus();
    }
    for (const LockstepMember& member : members_) {
      absl::StatusOr<std::unique_ptr<MemberRun>> run = GuardTorch("build the network", [&] {
        return MemberRun::Create(*member.assignment, meta_, *plan_, member.checkpoint, clock_,
                                 writer_, environment_.device);
      });
      if (run.ok()) {
        live_.push_back(*std::move(run));
      } else {
        observer_.OnEnded(FailedEnd(member.assignment->member(), run.status()));
      }
    }
    if (live_.empty()) return absl::OkStatus();
    DISTILL_RETURN_IF_ERROR(JoinGang());
    return Train(live_.front()->steps_done());
  }

  // A member of a gang is alone in its lease set.
  absl::Status JoinGang() {
    MemberRun& member = *live_.front();
    if (member.place().is_alone()) return absl::OkStatus();
    if (environment_.gangs == nullptr) {
      return absl::FailedPreconditionError("cannot join the gang: there is nowhere to meet");
    }
    ReportPhase("joining gang");
    GangOptions options;
    options.interface = member.assignment().gang().interface();
    DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<GradientReducer> reducer,
                             ConnectGang(member.name(), member.place(), member.steps_done(),
                                         member.TrainedParameters(), options, *environment_.gangs));
    member.JoinGang(std::move(reducer));
    return absl::OkStatus();
  }

  bool IsGang() const { return !PlaceOf(*members_.front().assignment).is_alone(); }

  absl::Status Prepare() {
    DISTILL_RETURN_IF_ERROR(CheckPrecision(spec().recipe().precision()));
    DISTILL_ASSIGN_OR_RETURN(task_images_, OpenTrainingImages(spec(), environment_.images));
    const data::SamplerConfig sampler = SamplerOf(spec());
    DISTILL_RETURN_IF_ERROR(data::ValidateSampler(sampler));
    DISTILL_ASSIGN_OR_RETURN(
        TrainingPlan plan,
        TrainingPlan::Create(spec().recipe(),
                             data::EpochSize(sampler, task_images_.train->size())));
    plan_ = std::make_unique<TrainingPlan>(std::move(plan));
    if (!IsHybrid(spec().kind())) return absl::OkStatus();

    DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages, MetaStages(spec(), 0));
    // A member needs every stage but the one whose place it takes.
    std::vector<bool> wanted(stages.size(), members_.size() > 1);
    if (members_.size() == 1) {
      for (size_t s = 0; s < stages.size(); ++s) {
        wanted[s] = static_cast<int64_t>(s) != spec().module_index();
      }
    }
    DISTILL_ASSIGN_OR_RETURN(const std::string path,
                             InputPath(*members_.front().assignment, "meta"));
    DISTILL_ASSIGN_OR_RETURN(models::StagedModel meta, LoadFrozenStages(stages, wanted, path));
    meta.MoveTo(environment_.device);
    meta_ = std::make_shared<const models::StagedModel>(std::move(meta));
    return absl::OkStatus();
  }

  absl::Status Train(int64_t first_step) {
    std::unique_ptr<BatchSource> batches;
    if (first_step < plan_->total_steps()) {
      DISTILL_ASSIGN_OR_RETURN(batches, OpenBatches(first_step));
    }
    for (int64_t step = first_step; step < plan_->total_steps(); ++step) {
      ObeyObserver();
      if (live_.empty()) return absl::OkStatus();
      DISTILL_RETURN_IF_ERROR(TrainStep(*batches));
      ChargeSharedTime();
      ForEachLive([](MemberRun& member) {
        member.MaybeCheckpoint();
        return absl::OkStatus();
      });
      ReportProgress(batches->time_waited(), kProgressInterval);
    }
    // All ranks of a gang have what the last step made.
    if (!IsGang()) ObeyObserver();
    ReportProgress(batches == nullptr ? absl::ZeroDuration() : batches->time_waited(),
                   absl::ZeroDuration());
    while (!live_.empty()) EndMember(0, absl::OkStatus());
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<BatchSource>> OpenBatches(int64_t first_step) {
    if (!UsesFrozenFeatures(spec())) {
      return ImageBatches::Create(spec(), task_images_, *plan_, first_step,
                                  PlaceOf(*members_.front().assignment), clock_);
    }
    ReportPhase("computing features");
    DISTILL_ASSIGN_OR_RETURN(FrozenFeatures features,
                             FeaturesOf(*live_.front(), task_images_.train));
    return std::make_unique<FeatureBatches>(spec(), std::move(features), task_images_.train->size(),
                                            *plan_, first_step);
  }

  absl::StatusOr<FrozenFeatures> FeaturesOf(const MemberRun& member,
                                            std::shared_ptr<const data::Dataset> images) const {
    const auto may_go_on = [&] {
      return IsOver(member) ? absl::CancelledError("training was stopped") : absl::OkStatus();
    };
    return ComputeFeatures(member.assignment(), std::move(images), task_images_, member.network(),
                           may_go_on, clock_, environment_.features);
  }

  // One step of all live members; those that fail by their own fault end here.
  absl::Status TrainStep(BatchSource& batches) {
    for (int64_t micro = 0; micro < plan_->micro_batches_per_step(); ++micro) {
      DISTILL_ASSIGN_OR_RETURN(const TrainingBatch batch, batches.Next());
      const std::vector<torch::Tensor> prefixes =
          PrefixOutputs(batch.images.to(environment_.device));
      const torch::Tensor targets = batch.targets.to(environment_.device);
      ForEachLive([&](MemberRun& member) {
        return member.Accumulate(prefixes[static_cast<size_t>(member.prefix_stages())], targets);
      });
    }
    ForEachLive([&](MemberRun& member) {
      if (IsGang()) member.WishToStop(IsOver(member));
      return member.FinishStep();
    });
    return absl::OkStatus();
  }

  bool IsOver(const MemberRun& member) const {
    return observer_.IsCancelled(member.name()) || observer_.IsStopRequested();
  }

  // Outputs of the first 0, 1, ... meta stages, as far as a live member needs them.
  std::vector<torch::Tensor> PrefixOutputs(const torch::Tensor& images) const {
    int64_t longest = 0;
    for (const auto& member : live_) longest = std::max(longest, member->prefix_stages());
    std::vector<torch::Tensor> outputs = {images};
    const AutocastScope autocast(spec().recipe().precision());
    for (int64_t s = 0; s < longest; ++s) {
      outputs.push_back(
          models::ExtendPrefix(*meta_, s, s + 1, outputs.back(), models::ForwardContext()));
    }
    return outputs;
  }

  void ObeyObserver() {
    // The ranks of a gang stop after the same step, or not at all.
    if (IsGang() && (live_.empty() || !live_.front()->stop_agreed())) return;
    for (size_t i = live_.size(); i-- > 0;) {
      if (observer_.IsCancelled(live_[i]->name())) {
        EndWithoutResult(i, v1::MemberEnded::ENDED_CANCELLED, absl::OkStatus());
      }
    }
    if (live_.empty() || !(IsGang() || observer_.IsStopRequested())) return;
    ForEachLive([](MemberRun& member) {
      member.CheckpointNow();
      return absl::OkStatus();
    });
    while (!live_.empty()) {
      EndWithoutResult(0, v1::MemberEnded::ENDED_RELEASED, writer_.Flush(live_[0]->name()));
    }
  }

  // Calls `body` on every live member and ends those for which it fails.
  template <typename Body>
  void ForEachLive(Body&& body) {
    for (size_t i = 0; i < live_.size();) {
      const absl::Status status = GuardTorch("train a step", [&] { return body(*live_[i]); });
      if (status.ok()) {
        ++i;
      } else {
        EndMember(i, status);
      }
    }
  }

  // Splits the process's CPU time since the last call among the live members, less what they have
  // counted themselves.
  void ChargeSharedTime() {
    if (live_.empty()) return;
    double own = 0;
    for (const auto& member : live_) own += member->cpu_seconds();
    const double spent = ProcessCpuSeconds() - charged_cpu_seconds_;
    const double share =
        std::max(0.0, spent - (own - charged_to_live_)) / static_cast<double>(live_.size());
    for (const auto& member : live_) member->ChargeShare(share);
    charged_cpu_seconds_ += spent;
    charged_to_live_ = own + share * static_cast<double>(live_.size());
  }

  void ReportProgress(absl::Duration time_waited, absl::Duration interval) {
    for (const auto& member : live_) {
      if (const auto report = member->TakeProgress(time_waited, interval)) {
        observer_.OnProgress(*report);
      }
    }
  }

  // Ends member `i` with its result, or as failed or stopped.
  void EndMember(size_t i, const absl::Status& status) {
    const absl::StatusOr<std::vector<v1::ProducedFile>> results =
        status.ok() ? GuardTorch("write the result", [&] { return WriteResults(*live_[i]); })
                    : absl::StatusOr<std::vector<v1::ProducedFile>>(status);
    if (absl::IsCancelled(results.status())) {
      EndWithoutResult(i,
                       observer_.IsCancelled(live_[i]->name()) ? v1::MemberEnded::ENDED_CANCELLED
                                                               : v1::MemberEnded::ENDED_RELEASED,
                       absl::OkStatus());
      return;
    }
    if (!results.ok()) {
      EndWithoutResult(i, v1::MemberEnded::ENDED_FAILED, results.status());
      return;
    }
    v1::MemberEnded ended = EndWithOutcome(live_[i]->name(), v1::MemberEnded::ENDED_SUCCEEDED);
    for (const v1::ProducedFile& result : *results) *ended.add_results() = result;
    FinishEnd(i, std::move(ended));
  }

  // Few-shot training is for its accuracy, so that comes along.
  absl::StatusOr<std::vector<v1::ProducedFile>> WriteResults(MemberRun& member) const {
    if (!member.place().is_first()) return std::vector<v1::ProducedFile>();
    member.TakeAverage();
    DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile model, member.WriteResult());
    std::vector<v1::ProducedFile> results = {model};
    if (spec().kind() != v1::TASK_KIND_FEW_SHOT) return results;
    DISTILL_ASSIGN_OR_RETURN(const v1::EvaluationResult result, MeasureEpisode(member));
    DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile metrics,
                             WriteMetrics(member.assignment(), result));
    results.push_back(metrics);
    return results;
  }

  absl::StatusOr<v1::EvaluationResult> MeasureEpisode(const MemberRun& member) const {
    if (!UsesFrozenFeatures(spec())) {
      return EvaluateTrained(member.assignment(), member.network(), task_images_, environment_);
    }
    DISTILL_ASSIGN_OR_RETURN(const FrozenFeatures features, FeaturesOf(member, task_images_.test));
    return EvaluateFeatures(member.network(), features);
  }

  void EndWithoutResult(size_t i, v1::MemberEnded::Outcome outcome, const absl::Status& status) {
    v1::MemberEnded ended = status.ok() ? EndWithOutcome(live_[i]->name(), outcome)
                                        : FailedEnd(live_[i]->name(), status);
    ended.set_outcome(outcome);
    ended.set_lost_gang(IsGang() && absl::IsUnavailable(status));
    FinishEnd(i, std::move(ended));
  }

  void FinishEnd(size_t i, v1::MemberEnded ended) {
    // Nothing of this member may be written after its last word.
    (void)writer_.Flush(live_[i]->name());
    const absl::StatusOr<std::optional<v1::ProducedFile>> series = live_[i]->WriteSeries();
    if (series.ok() && series->has_value()) *ended.add_observations() = **series;
    ChargeSharedTime();
    *ended.mutable_stats() = live_[i]->Stats(start_);
    charged_to_live_ -= live_[i]->cpu_seconds();
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(i));
    observer_.OnEnded(ended);
  }

  const std::vector<LockstepMember>& members_;
  const TrainingEnvironment environment_;
  const Clock& clock_;
  TrainingObserver& observer_;
  const MonotonicTime start_;

  // Up to where the process's CPU time is accounted for, and how much of it live members carry.
  double charged_cpu_seconds_;
  double charged_to_live_ = 0;

  TaskImages task_images_;
  std::unique_ptr<TrainingPlan> plan_;
  std::shared_ptr<const models::StagedModel> meta_;  // Shared by the members.
  CheckpointWriter writer_;
  std::vector<std::unique_ptr<MemberRun>> live_;
};

}  // namespace

bool CanTrainInLockstep(const v1::TaskSpec& a, const v1::TaskSpec& b) {
  return IsHybrid(a.kind()) && PhaseEssence(a) == PhaseEssence(b);
}

void TrainInLockstep(const std::vector<LockstepMember>& members, TrainingEnvironment environment) {
  DISTILL_CHECK(!members.empty(), "a lease set has members");
  LockstepRun(members, environment).Run();
}

}  // namespace distill::training
