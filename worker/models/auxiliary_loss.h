// Terms that layers add to the loss of a training step besides what the loss says of the output:
// the balance losses of routers. A layer names and weighs its terms; the training loop sums them.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

namespace distill::models {

struct AuxiliaryLoss {
  // What a series calls it, for instance "router_importance". Layers share names and weights.
  std::string name;
  double weight = 0;
  // A scalar, not yet multiplied by the weight; carries the gradient.
  torch::Tensor value;
};

// The sum of weight * value, to be added to the loss; undefined when there are no terms.
torch::Tensor WeightedSum(const std::vector<AuxiliaryLoss>& losses);

// What a series shows of the losses of one name.
struct NamedLoss {
  double value = 0;  // The sum of their values, not multiplied by the weight.
  double weight = 0;
};
// Waits for the device. Losses of one name have one weight.
std::map<std::string, NamedLoss> SumByName(const std::vector<AuxiliaryLoss>& losses);

}  // namespace distill::models
