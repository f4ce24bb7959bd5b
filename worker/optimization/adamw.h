// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the reference's two groups of
// parameters, and gradient clipping.
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
  kMatrices,  // not to biases, other parameters of one dimension, and exempt ones
  kAll,
};

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.05;
  DecayRule rule = DecayRule::kMatrices;
  // Names (or their last parts, after a '.') that do not decay besides those that never do. The
  // reference exempts cls_token and pos_embed, except while it incubates teacher modules.
  std::set<std::string> exempt = {"cls_token", "pos_embed"};
};

// Whether a parameter decays. Stacked expert biases have two dimensions and are caught by their
// name.
bool Decays(const std::string& name, const torch::Tensor& parameter, const AdamWConfig& config);

// One thread only. Keeps references to the parameters, which must stay where they are.
class AdamW {
 public:
  // Optimises those of `parameters` that require a gradient.
  AdamW(std::vector<models::NamedTensor> parameters, const AdamWConfig& config);

  // One update with rate `lr` from the parameters' gradients; a parameter without gradient stays as
  // it is, its moments too.
  void Step(double lr);

  void ZeroGradients();

  // Scales all gradients so that their common L2 norm is at most `max_norm`, and returns the norm
  // they had, as a scalar tensor. Frozen parameters have no part in it. A norm that is not finite
  // makes all gradients NaN, so that the next loss shows it.
  torch::Tensor ClipGradients(double max_norm);

  // Everything that Step depends on besides parameters and gradients: first and second moments as
  // "exp_avg.<name>" and "exp_avg_sq.<name>", and "step.<name>", an int64 scalar. Copies.
  std::vector<models::NamedTensor> ExportState() const;
  // Restores what ExportState gave; later steps are bit for bit the same.
  // Errors: kInvalidArgument listing missing, unexpected and wrongly shaped tensors.
  absl::Status ImportState(const models::StateMap& state);

 private:
  struct Slot {
    std::string name;
    torch::Tensor parameter;
    torch::Tensor mean;      // of the gradient
    torch::Tensor variance;  // of the gradient, not centred
    double decay;
    int64_t step = 0;
  };

  AdamWConfig config_;
  std::vector<Slot> slots_;
};

}  // namespace distill::optimization
