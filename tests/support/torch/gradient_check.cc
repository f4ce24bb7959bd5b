// Central differences.
#include "tests/support/torch/gradient_check.h"

#include <algorithm>
#include <cmath>

#include "base/counter_random.h"

namespace distill {

testing::AssertionResult GradientsAgree(const std::function<torch::Tensor()>& loss,
                                        const std::vector<torch::Tensor>& variables,
                                        int64_t samples, double tolerance) {
  constexpr double kStep = 1e-5;
  for (const torch::Tensor& variable : variables) {
    if (variable.scalar_type() != torch::kDouble || !variable.is_contiguous()) {
      return testing::AssertionFailure() << "variables must be packed float64 tensors";
    }
    variable.mutable_grad().reset();
  }
  loss().backward();
  for (size_t v = 0; v < variables.size(); ++v) {
    const torch::Tensor& variable = variables[v];
    const torch::Tensor gradient =
        (variable.grad().defined() ? variable.grad() : torch::zeros_like(variable)).contiguous();
    const torch::NoGradGuard no_gradient;
    double* const value = variable.data_ptr<double>();
    const int64_t count = variable.numel(), stride = std::max<int64_t>(1, count / samples);
    for (int64_t i = 0; i < count; i += stride) {
      const double kept = value[i];
      value[i] = kept + kStep;
      const double above = loss().item<double>();
      value[i] = kept - kStep;
      const double below = loss().item<double>();
      value[i] = kept;
      const double want = (above - below) / (2.0 * kStep);
      const double got = gradient.data_ptr<double>()[i];
      if (!(std::abs(got - want) <= tolerance * (1.0 + std::abs(want)))) {
        return testing::AssertionFailure() << "gradient differs; variable=" << v << " element=" << i
                                           << " got=" << got << " want=" << want;
      }
    }
  }
  return testing::AssertionSuccess();
}

torch::Tensor Variable(torch::IntArrayRef shape, uint64_t seed) {
  torch::Tensor values = torch::empty(shape, torch::kFloat);
  CounterRandom(seed).FillNormal(values.data_ptr<float>(), static_cast<size_t>(values.numel()));
  return values.to(torch::kDouble).set_requires_grad(true);
}

}  // namespace distill
