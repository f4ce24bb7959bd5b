// Compares gradients with central differences.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "gtest/gtest.h"

namespace distill {

// Succeeds if the gradient of `loss` (a scalar) agrees with central differences at up to
// `samples` evenly spread elements of each of `variables`: float64 leaves with requires_grad,
// which `loss` reads. A variable that got no gradient counts as zero.
testing::AssertionResult GradientsAgree(const std::function<torch::Tensor()>& loss,
                                        const std::vector<torch::Tensor>& variables,
                                        int64_t samples = 24, double tolerance = 1e-6);

// A float64 leaf of fixed pseudo-random numbers of about unit size.
torch::Tensor Variable(torch::IntArrayRef shape, uint64_t seed);

}  // namespace distill
