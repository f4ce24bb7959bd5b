// The rule by which the golden values were made: weights and inputs that any program can reproduce.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "worker/models/state.h"

namespace distill {

// Sorts `parameters` by name; element i of the k-th becomes amplitude * sin(0.7 i + 1.3 k), plus
// one for weights of layer norms. Computed in double, rounded to the parameter's type. Names are
// passed through `rename` first, for peers that call the same parameters differently.
void FillByRule(std::vector<models::NamedTensor> parameters, double amplitude,
                const std::function<std::string(std::string)>& rename = nullptr);

// sin(frequency * i) over the flat index, computed in double.
torch::Tensor SineInput(torch::IntArrayRef shape, double frequency,
                        torch::ScalarType type = torch::kFloat);

}  // namespace distill
