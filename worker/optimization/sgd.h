// Stochastic gradient descent with Nesterov momentum, as PyTorch's (Sutskever et al. 2013): with
// gradient g, parameter p and momentum m,
//
//   g = g + decay p;   b = m b + g (at first b = g);   p = p - lr (g + m b)
#pragma once

#include <torch/torch.h>

#include <vector>

#include "worker/optimization/optimizer.h"

namespace distill::optimization {

struct SgdConfig : DecayConfig {
  double momentum = 0.9;
};

// One thread only.
class Sgd : public Optimizer {
 public:
  Sgd(std::vector<models::NamedTensor> parameters, const SgdConfig& config);

  void Step(double lr) override;
  // "momentum.<name>", and "step.<name>", an int64 scalar.
  std::vector<models::NamedTensor> ExportState() const override;

 private:
  struct Slot {
    torch::Tensor momentum;
    double decay = 0;
    int64_t step = 0;
  };

  void RestoreState(const models::StateMap& state) override;

  const double momentum_;
  std::vector<Slot> slots_;  // One per parameter.
};

}  // namespace distill::optimization
