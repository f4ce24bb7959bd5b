// Every instruction set's kernels against plain loops in double.
#include "worker/models/kernels/cpu_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/counter_random.h"

namespace distill::models::kernels {
namespace {

std::vector<InstructionSet> AvailableSets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= ActiveInstructionSet()) sets.push_back(set);
  }
  return sets;
}

template <typename Scalar>
std::vector<Scalar> Random(int64_t count, uint64_t seed) {
  CounterRandom random(seed);
  std::vector<Scalar> values(static_cast<size_t>(count));
  for (Scalar& value : values) value = static_cast<Scalar>(random.Normal());
  return values;
}

template <typename Scalar>
constexpr double kTolerance = sizeof(Scalar) == 4 ? 2e-6 : 1e-12;

template <typename Scalar>
class CpuKernelsTest : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(CpuKernelsTest, Scalars);

// softmax(q k^T / sqrt(E)) v of query i of image n and head h, in double.
template <typename Scalar>
std::vector<double> AttendPlainly(const AttentionShape& shape, const std::vector<Scalar>& qkv,
                                  int64_t n, int64_t i, int64_t h) {
  const int64_t width = shape.heads * shape.head_elements;
  const auto at = [&](int64_t token, int64_t part, int64_t e) {
    return static_cast<double>(qkv[static_cast<size_t>(
        ((n * shape.tokens + token) * 3 + part) * width + h * shape.head_elements + e)]);
  };
  std::vector<double> weights;
  double sum = 0.0;
  for (int64_t j = 0; j < shape.tokens; ++j) {
    double score = 0.0;
    for (int64_t e = 0; e < shape.head_elements; ++e) score += at(i, 0, e) * at(j, 1, e);
    weights.push_back(std::exp(score / std::sqrt(static_cast<double>(shape.head_elements))));
    sum += weights.back();
  }
  std::vector<double> out(static_cast<size_t>(shape.head_elements), 0.0);
  for (int64_t j = 0; j < shape.tokens; ++j) {
    for (int64_t e = 0; e < shape.head_elements; ++e) {
      out[static_cast<size_t>(e)] += weights[static_cast<size_t>(j)] / sum * at(j, 2, e);
    }
  }
  return out;
}

TYPED_TEST(CpuKernelsTest, AttentionMatchesPlainLoops) {
  // Token and element counts around the vector lengths, and the largest.
  const std::vector<AttentionShape> shapes = {
      {2, 1, 1, 1, 1},    {2, 17, 4, 12, 17}, {1, 16, 2, 16, 16}, {2, 5, 3, 7, 5},
      {1, 80, 1, 64, 80}, {1, 33, 2, 24, 33}, {3, 17, 4, 16, 1},  {2, 17, 2, 12, 6}};
  for (const InstructionSet set : AvailableSets()) {
    for (const AttentionShape& shape : shapes) {
      const int64_t width = shape.heads * shape.head_elements;
      const auto qkv = Random<TypeParam>(shape.batch * shape.tokens * 3 * width, 7);
      std::vector<TypeParam> out(static_cast<size_t>(shape.batch * shape.queries * width));
      Kernels<TypeParam>(set).attention_forward(shape, qkv.data(), out.data(), nullptr);
      for (int64_t row = 0; row < shape.batch * shape.queries; ++row) {
        for (int64_t h = 0; h < shape.heads; ++h) {
          const std::vector<double> want =
              AttendPlainly(shape, qkv, row / shape.queries, row % shape.queries, h);
          for (int64_t e = 0; e < shape.head_elements; ++e) {
            ASSERT_NEAR(out[static_cast<size_t>(row * width + h * shape.head_elements + e)],
                        want[static_cast<size_t>(e)], kTolerance<TypeParam>)
                << "set " << static_cast<int>(set) << " tokens " << shape.tokens;
          }
        }
      }
    }
  }
}

TYPED_TEST(CpuKernelsTest, GeluAndItsDerivativeMatchErf) {
  constexpr int64_t kRows = 9, kColumns = 37;
  for (const InstructionSet set : AvailableSets()) {
    auto values = Random<TypeParam>(kRows * kColumns, 3);
    for (TypeParam& value : values) value *= 3;
    values[0] = -40;  // Both tails, where the approximation is clamped.
    values[1] = 40;
    const auto bias = Random<TypeParam>(kColumns, 4);
    const auto input = values;
    std::vector<TypeParam> derivative(values.size());
    Kernels<TypeParam>(set).bias_gelu(kRows, kColumns, bias.data(), values.data(),
                                      derivative.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const double x = static_cast<double>(input[i] + bias[i % kColumns]);
      const double cdf = 0.5 * std::erfc(-x / std::sqrt(2.0));
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * 3.14159265358979323846);
      ASSERT_NEAR(values[i], x * cdf, kTolerance<TypeParam> * (1.0 + std::abs(x))) << x;
      ASSERT_NEAR(derivative[i], cdf + x * density, kTolerance<TypeParam>) << x;
    }
  }
}

TYPED_TEST(CpuKernelsTest, LayerNormMatchesPlainLoops) {
  constexpr double kEpsilon = 1e-6;
  constexpr int64_t kRows = 5;
  for (const InstructionSet set : AvailableSets()) {
    for (const int64_t columns : {3, 12, 48, 65}) {
      const auto in = Random<TypeParam>(kRows * columns, 5);
      const auto weight = Random<TypeParam>(columns, 6), bias = Random<TypeParam>(columns, 7);
      std::vector<TypeParam> out(in.size());
      Kernels<TypeParam>(set).layer_norm(kRows, columns, kEpsilon, in.data(), weight.data(),
                                         bias.data(), out.data(), nullptr);
      for (int64_t r = 0; r < kRows; ++r) {
        double mean = 0.0, variance = 0.0;
        const TypeParam* row = in.data() + r * columns;
        for (int64_t c = 0; c < columns; ++c) mean += row[c] / static_cast<double>(columns);
        for (int64_t c = 0; c < columns; ++c) {
          variance += (row[c] - mean) * (row[c] - mean) / static_cast<double>(columns);
        }
        for (int64_t c = 0; c < columns; ++c) {
          const size_t i = static_cast<size_t>(c);
          const double want =
              (row[c] - mean) / std::sqrt(variance + kEpsilon) * weight[i] + bias[i];
          ASSERT_NEAR(out[static_cast<size_t>(r * columns + c)], want, kTolerance<TypeParam>);
        }
      }
    }
  }
}

}  // namespace
}  // namespace distill::models::kernels
