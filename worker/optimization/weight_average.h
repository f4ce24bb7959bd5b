// Exponential moving average of weights (Polyak averaging): after each step
//
//   average = decay * average + (1 - decay) * weights,   from the first weights on
#pragma once

#include <torch/torch.h>

#include <vector>

#include "absl/status/status.h"
#include "worker/models/state.h"

namespace distill::optimization {

// One thread only. Keeps references to the parameters, which must stay where they are.
class WeightAverage {
 public:
  // `decay` in [0, 1).
  WeightAverage(std::vector<models::NamedTensor> parameters, double decay);

  // Takes the parameters of one more step in.
  void Update();

  // Exchanges the values of parameters and average; a second call undoes the first.
  void Exchange();

  // The averages by the names of the parameters; copies.
  std::vector<models::NamedTensor> ExportState() const;
  // Errors: kInvalidArgument when the names or shapes are others.
  absl::Status ImportState(const models::StateMap& state);

 private:
  const double decay_;
  const std::vector<models::NamedTensor> parameters_;
  std::vector<torch::Tensor> averages_;
};

}  // namespace distill::optimization
