// One member of a lease set while it trains: its network, optimiser, curve, checkpoints and
// account. What the members share (batches, prefix, time of a step) is lockstep_trainer.h's.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "distill/v1/trainer.pb.h"
#include "worker/optimization/loss_scaler.h"
#include "worker/optimization/optimizer.h"
#include "worker/optimization/weight_average.h"
#include "worker/training/checkpoint.h"
#include "worker/training/checkpoint_policy.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/gang_place.h"
#include "worker/training/gradient_reducer.h"
#include "worker/training/series_recorder.h"
#include "worker/training/trainee.h"
#include "worker/training/training_observer.h"
#include "worker/training/training_plan.h"

namespace distill::training {

// One thread.
class MemberRun {
 public:
  // Computes on `device`; goes on from `checkpoint` if there is one. `assignment`, `plan`, `clock`
  // and `writer` outlive this. Errors: those of Trainee::Create; kDataLoss when the checkpoint does
  // not fit.
  static absl::StatusOr<std::unique_ptr<MemberRun>> Create(
      const v1::MemberAssignment& assignment, std::shared_ptr<const models::StagedModel> meta,
      const TrainingPlan& plan, const std::optional<Checkpoint>& checkpoint, const Clock& clock,
      CheckpointWriter& writer, const torch::Device& device = torch::kCPU);

  // From now on the run is one rank of a gang. Before the first step.
  void JoinGang(std::unique_ptr<GradientReducer> reducer);
  // Of a gang: at the end of the next step tells all ranks that this one wants to stop, and whether
  // any of them did.
  void WishToStop(bool wish) { wishes_to_stop_ = wish; }
  bool stop_agreed() const { return stop_agreed_; }

  const std::string& name() const { return assignment_.member(); }
  const GangPlace& place() const { return place_; }
  int64_t prefix_stages() const { return trainee_.prefix_stages(); }
  int64_t steps_done() const { return steps_done_; }

  // Adds the gradient of one micro-batch. `input` is the output of the prefix.
  absl::Status Accumulate(const torch::Tensor& input, const torch::Tensor& targets);
  // Updates the parameters and counts the step. kInvalidArgument, naming the step and the last
  // finite loss, when the loss of the step is not finite; kUnavailable when the gang lost a rank.
  absl::Status FinishStep();

  // Starts a checkpoint if one is due, resp. in any case; of a gang, on the first rank alone. Later
  // steps do not disturb it.
  void MaybeCheckpoint();
  void CheckpointNow();

  // The progress since the last call, once `interval` has passed; all of it when forced.
  std::optional<v1::MemberProgress> TakeProgress(absl::Duration time_waited,
                                                 absl::Duration interval);

  // Makes the average of the weights, if one is kept, the weights of the network: after the last
  // step, before the result.
  void TakeAverage();
  // Writes the result. kInvalidArgument when the trained weights are not finite.
  absl::StatusOr<v1::ProducedFile> WriteResult() const;
  const v1::MemberAssignment& assignment() const { return assignment_; }
  const models::Network& network() const { return trainee_.network(); }
  std::vector<models::NamedTensor> TrainedParameters() const {
    return trainee_.TrainedParameters();
  }
  // Writes the training curve; no file when there is none.
  absl::StatusOr<std::optional<v1::ProducedFile>> WriteSeries() const;

  // CPU time of this attempt: of the steps of this member alone, plus its share of the rest.
  double cpu_seconds() const { return cpu_seconds_; }
  void ChargeShare(double seconds) { cpu_seconds_ += seconds; }
  v1::AttemptStats Stats(MonotonicTime start) const;

 private:
  MemberRun(const v1::MemberAssignment& assignment, Trainee trainee, const TrainingPlan& plan,
            const Clock& clock, CheckpointWriter& writer);
  absl::Status Resume(const Checkpoint& checkpoint);
  absl::Status CheckFinite(double loss);
  // Makes gradients and account of the step those of the whole gang.
  absl::Status ReduceStep();
  // Updates the parameters from the gradients of the step at hand.
  void UpdateParameters();

  const v1::MemberAssignment& assignment_;
  const TrainingPlan& plan_;
  const Clock& clock_;
  CheckpointWriter& writer_;
  const Digest fingerprint_;
  Trainee trainee_;
  const std::unique_ptr<optimization::Optimizer> optimizer_;
  std::optional<optimization::LossScaler> loss_scaler_;  // With float16.
  std::optional<optimization::WeightAverage> average_;   // Where the recipe wants one.
  SeriesRecorder series_;
  CheckpointPolicy checkpoint_policy_;

  const GangPlace place_;
  std::unique_ptr<GradientReducer> reducer_;  // Of a gang.
  bool wishes_to_stop_ = false;
  bool stop_agreed_ = false;
  double others_cpu_seconds_ = 0;  // Of the other ranks, in this attempt.

  int64_t first_step_ = 0;
  int64_t steps_done_ = 0;
  int64_t last_checkpoint_step_ = -1;
  double earlier_cpu_seconds_ = 0;
  int64_t earlier_images_ = 0;
  double cpu_seconds_ = 0;

  // Of the step at hand.
  int64_t micro_batches_ = 0;
  StepRecord step_;
  std::optional<double> last_finite_loss_;

  // Since the last progress report.
  MonotonicTime last_progress_;
  absl::Duration last_time_waited_;
  double progress_loss_sum_ = 0;
  int64_t progress_steps_ = 0;
  v1::MemberProgress pending_;
};

}  // namespace distill::training
