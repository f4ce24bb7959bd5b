// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with the reference's two groups of
// parameters.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/optimization/optimizer.h"

namespace distill::optimization {

struct AdamWConfig : DecayConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// One thread only.
class AdamW : public Optimizer {
 public:
  AdamW(std::vector<models::NamedTensor> parameters, const AdamWConfig& config);

  void Step(double lr) override;
  // First and second moments as "exp_avg.<name>" and "exp_avg_sq.<name>", and "step.<name>", an
  // int64 scalar.
  std::vector<models::NamedTensor> ExportState() const override;

 private:
  struct Slot {
    torch::Tensor mean;      // of the gradient
    torch::Tensor variance;  // of the gradient, not centred
    double decay = 0;
    int64_t step = 0;
  };

  void RestoreState(const models::StateMap& state) override;

  const AdamWConfig config_;
  std::vector<Slot> slots_;  // One per parameter.
};

}  // namespace distill::optimization
