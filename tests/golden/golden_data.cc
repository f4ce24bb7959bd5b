// Golden files and comparisons.
#include "tests/golden/golden_data.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace distill {
namespace {

void Flatten(const nlohmann::json& numbers, std::vector<float>* values) {
  if (!numbers.is_array()) {
    values->push_back(numbers.get<float>());
    return;
  }
  for (const nlohmann::json& entry : numbers) Flatten(entry, values);
}

}  // namespace

nlohmann::json ReadGolden(const std::string& file) {
  const char* root = std::getenv("DISTILL_SOURCE_DIR");
  std::ifstream in(std::string(root == nullptr ? "." : root) + "/tests/golden/data/" + file);
  return nlohmann::json::parse(in);
}

torch::Tensor ToTensor(const nlohmann::json& numbers) {
  std::vector<int64_t> shape;
  for (const nlohmann::json* level = &numbers; level->is_array(); level = &level->front()) {
    shape.push_back(static_cast<int64_t>(level->size()));
  }
  std::vector<float> values;
  Flatten(numbers, &values);
  return torch::tensor(values).view(shape);
}

testing::AssertionResult IsGolden(const torch::Tensor& got, const torch::Tensor& want) {
  if (got.sizes() != want.sizes()) {
    return testing::AssertionFailure() << "shape " << got.sizes() << " want " << want.sizes();
  }
  const torch::Tensor error = (got - want).abs() - (kGoldenAbsolute + kGoldenRelative * want.abs());
  const double worst = error.max().item<double>();
  if (worst <= 0.0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "beyond tolerance by " << worst;
}

testing::AssertionResult IsGolden(double got, double want) {
  if (std::abs(got - want) <= kGoldenAbsolute + kGoldenRelative * std::abs(want)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "got " << got << " want " << want;
}

}  // namespace distill
