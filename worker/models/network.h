// What a trainee trains: a network behind one interface, so that training, evaluation and hybrids
// know no architecture. A network is a whole model (pixels to logits) or one module of a chain,
// which takes the output of the modules before it. Each architecture implements it: staged ViTs and
// V-MoEs here, others in folders of their own.
//
// Legend: B batch, T tokens, D width, K classes.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/counter_random.h"
#include "worker/models/forward_context.h"
#include "worker/models/initialization.h"
#include "worker/models/stage.h"
#include "worker/models/staged_model.h"
#include "worker/models/state.h"

namespace distill::models {

// Where a training stands.
struct TrainingMoment {
  int64_t step = 0;     // Optimiser steps done.
  double progress = 0;  // The share of the training that is done, 0 to 1, as its schedule counts.
};

// One thread, except that const calls under NoGradGuard may overlap.
class Network {
 public:
  virtual ~Network() = default;

  // Pixels [B, C, H, W] or tokens [B, T, D] to tokens or logits [B, K], as the network's place
  // says. `context` is that of this place; its random numbers are the only ones drawn, in training
  // and in evaluation.
  virtual torch::Tensor Forward(const torch::Tensor& input,
                                const ForwardContext& context) const = 0;

  // Of a whole network only: what its classifier takes of the input, [B, D], and what it makes of
  // that, [B, K]; Forward is one after the other.
  virtual torch::Tensor Features(const torch::Tensor& input, const ForwardContext& context) const;
  virtual torch::Tensor Classify(const torch::Tensor& features) const;

  // All that gradient descent may change, live: the leaf tensors themselves, whose gradients an
  // optimiser reads. The order is fixed, the names are unique.
  virtual std::vector<NamedTensor> Parameters() const = 0;

  // All that makes the network what it is: parameters, and whatever else its output depends on, by
  // the names and shapes of the reference's files. Detached; shares memory with the network.
  virtual std::vector<NamedTensor> State() const = 0;

  // Copies `state`, named as State() names it, into the network; all or nothing.
  // Errors: kInvalidArgument listing all that is missing, unexpected, wrongly shaped or not finite.
  virtual absl::Status Import(const StateMap& state, const ImportOptions& options) = 0;

  // First values, a function of `random` and the names alone.
  virtual void Initialize(const CounterRandom& random) = 0;

  // Computes on `device` from now on. Parameters stay the leaves that they are; inputs must come on
  // the same device.
  virtual void MoveTo(const torch::Device& device) = 0;

  // JSON that says all that is needed to build the network again, without its weights.
  virtual std::string Architecture() const = 0;

  // Whether a parameter of this name belongs to the classifier, which is all that few-shot training
  // changes.
  virtual bool IsClassifier(absl::string_view parameter) const = 0;

  // A penalty on the parameters that belongs to the loss of end-to-end training, with its weight at
  // this moment; its value is undefined when there is none. May keep what it computed for later
  // steps; that is then part of RunState().
  virtual AuxiliaryLoss Regulariser(const TrainingMoment& moment);

  // What a run needs besides State() to go on bit for bit: part of checkpoints, never of results.
  virtual std::vector<NamedTensor> RunState() const { return {}; }
  // Takes what RunState gave. Errors: kInvalidArgument when it does not fit.
  virtual absl::Status ImportRunState(const StateMap& state);
};

// A whole ViT or V-MoE. Parameters by whole-model names (experts stacked).
class StagedNetwork : public Network {
 public:
  // `model` is shared with the caller's copy.
  StagedNetwork(StagedModel model, ExpertInitialization experts)
      : model_(std::move(model)), experts_(experts) {}

  torch::Tensor Forward(const torch::Tensor& input, const ForwardContext& context) const override;
  torch::Tensor Features(const torch::Tensor& input, const ForwardContext& context) const override;
  torch::Tensor Classify(const torch::Tensor& features) const override;
  std::vector<NamedTensor> Parameters() const override;
  std::vector<NamedTensor> State() const override { return ExportState(model_); }
  // Takes flat (timm's) names too.
  absl::Status Import(const StateMap& state, const ImportOptions& options) override;
  void Initialize(const CounterRandom& random) override;
  void MoveTo(const torch::Device& device) override { model_.MoveTo(device); }
  std::string Architecture() const override;
  bool IsClassifier(absl::string_view parameter) const override;

  const StagedModel& model() const { return model_; }

 private:
  const StagedModel model_;
  const ExpertInitialization experts_;
};

// One module of a ViT or V-MoE. Parameters by stage names (experts stacked).
class StageNetwork : public Network {
 public:
  // `stage` is shared with the caller's holder.
  explicit StageNetwork(VitStage stage,
                        ExpertInitialization experts = ExpertInitialization::kPerMatrix)
      : stage_(std::move(stage)), experts_(experts) {}

  torch::Tensor Forward(const torch::Tensor& input, const ForwardContext& context) const override;
  std::vector<NamedTensor> Parameters() const override;
  std::vector<NamedTensor> State() const override { return ExportState(stage_); }
  absl::Status Import(const StateMap& state, const ImportOptions& options) override;
  void Initialize(const CounterRandom& random) override;
  void MoveTo(const torch::Device& device) override { stage_.ptr()->to(device); }
  std::string Architecture() const override;
  bool IsClassifier(absl::string_view parameter) const override;

  const VitStage& stage() const { return stage_; }

 private:
  const VitStage stage_;
  const ExpertInitialization experts_;
};

// Switches gradients of all parameters off; activations keep theirs.
void Freeze(const Network& network);

// Where the network computes.
torch::Device DeviceOf(const Network& network);

// Numbers in all parameters.
int64_t CountParameters(const Network& network);

}  // namespace distill::models
