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

std::map<std::string, double> SumByName(const std::vector<AuxiliaryLoss>& losses) {
  std::map<std::string, double> sums;
  for (const AuxiliaryLoss& loss : losses) {
    sums[loss.name] += loss.value.detach().to(torch::kDouble).item<double>();
  }
  return sums;
}

}  // namespace distill::models
