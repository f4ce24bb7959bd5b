// Sums what the layers ask to be added to the loss.
#include "worker/models/auxiliary_loss.h"

namespace distill::models {

torch::Tensor WeightedSum(const std::vector<AuxiliaryLoss>& losses) {
  torch::Tensor sum;
  for (const AuxiliaryLoss& loss : losses) {
    const torch::Tensor term = loss.value * loss.weight;
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

std::map<std::string, NamedLoss> SumByName(const std::vector<AuxiliaryLoss>& losses) {
  std::map<std::string, NamedLoss> sums;
  for (const AuxiliaryLoss& loss : losses) {
    NamedLoss& sum = sums[loss.name];
    sum.value += loss.value.detach().to(torch::kDouble).item<double>();
    sum.weight = loss.weight;
  }
  return sums;
}

}  // namespace distill::models
