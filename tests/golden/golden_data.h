// Reads the golden values under tests/golden/data: outputs of the reference implementation on a CPU
// in float32.
#pragma once

#include <torch/torch.h>

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace distill {

// Agreement that float32 programs with different summation orders can reach.
constexpr double kGoldenAbsolute = 2e-5;
constexpr double kGoldenRelative = 1e-4;

// The contents of tests/golden/data/<file>.
nlohmann::json ReadGolden(const std::string& file);

// A (nested) array of numbers as a float32 tensor.
torch::Tensor ToTensor(const nlohmann::json& numbers);

// Succeeds if every element of `got` is within the tolerances of `want`.
testing::AssertionResult IsGolden(const torch::Tensor& got, const torch::Tensor& want);
testing::AssertionResult IsGolden(double got, double want);

}  // namespace distill
