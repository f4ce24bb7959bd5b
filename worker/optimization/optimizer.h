// What all optimisers share: which parameters they change, which of those decay, and what is done
// to gradients between the backward pass and the step.
#pragma once

#include <torch/torch.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/state.h"

namespace distill::optimization {

// Which parameters weight decay applies to.
enum class DecayRule {
  kMatrices,  // not to biases, other parameters of less than two dimensions, and exempt ones
  kAll,
};

struct DecayConfig {
  double weight_decay = 0.05;
  DecayRule rule = DecayRule::kMatrices;
  // Names (or their last parts, after a '.') that do not decay besides those that never do. The
  // reference exempts cls_token and pos_embed, except while it incubates teacher modules, and
  // nothing of a NAC.
  std::set<std::string> exempt = {"cls_token", "pos_embed", "grid", "codes_", "signatures_"};
};

// Whether a parameter decays. Stacked expert biases have two dimensions and are caught by their
// name.
bool Decays(const std::string& name, const torch::Tensor& parameter, const DecayConfig& config);

// One thread only. Keeps references to the parameters, which must stay where they are.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with rate `lr` from the parameters' gradients; a parameter without gradient stays as
  // it is, its moments too.
  virtual void Step(double lr) = 0;

  // Everything that Step depends on besides parameters and gradients; copies.
  virtual std::vector<models::NamedTensor> ExportState() const = 0;
  // Restores what ExportState gave; later steps are bit for bit the same.
  // Errors: kInvalidArgument listing missing, unexpected and wrongly shaped tensors.
  absl::Status ImportState(const models::StateMap& state);

  void ZeroGradients();

  // Scales all gradients so that their common L2 norm is at most `max_norm`, and returns the norm
  // they had, as a scalar tensor. Frozen parameters have no part in it. A norm that is not finite
  // makes all gradients NaN, so that the next loss shows it.
  torch::Tensor ClipGradients(double max_norm);

  // Multiplies all gradients by `factor`; tells whether all are finite then. Waits for the device.
  bool ScaleGradients(double factor);

 protected:
  // Optimises those of `parameters` that require a gradient.
  explicit Optimizer(std::vector<models::NamedTensor> parameters);

  // Copies a state that is known to fit.
  virtual void RestoreState(const models::StateMap& state) = 0;

  const std::vector<models::NamedTensor>& parameters() const { return parameters_; }

 private:
  std::vector<models::NamedTensor> parameters_;
};

}  // namespace distill::optimization
