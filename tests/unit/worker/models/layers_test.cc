// Kernels against LibTorch's own operators, and the random parts of the layers.
#include "worker/models/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>

#include "tests/support/torch/gradient_check.h"
#include "worker/models/attention.h"
#include "worker/models/feed_forward.h"

namespace distill::models {
namespace {

double Tolerance(torch::ScalarType type) { return type == torch::kFloat ? 1e-5 : 1e-10; }

torch::Tensor Leaf(torch::IntArrayRef shape, uint64_t seed, torch::ScalarType type) {
  return Variable(shape, seed).detach().to(type).set_requires_grad(true);
}

// Largest difference of two results, and of their gradients with respect to `inputs`, relative to
// values beyond one.
double Difference(const torch::Tensor& a, const torch::Tensor& b,
                  const std::vector<torch::Tensor>& inputs) {
  const auto differ = [](const torch::Tensor& got, const torch::Tensor& want) {
    return ((got - want).abs() / want.abs().clamp_min(1.0)).max().item<double>();
  };
  double worst = differ(a, b);
  const torch::Tensor weight = Variable(a.sizes(), 31).detach().to(a.scalar_type());
  const auto grad_a = torch::autograd::grad({(a * weight).sum()}, inputs);
  const auto grad_b = torch::autograd::grad({(b * weight).sum()}, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    worst = std::max(worst, differ(grad_a[i], grad_b[i]));
  }
  return worst;
}

class KernelAgreementTest : public testing::TestWithParam<torch::ScalarType> {};

TEST_P(KernelAgreementTest, Attention) {
  for (const int64_t width : {48, 64, 96, 20}) {
    const torch::Tensor qkv = Leaf({3, 17, 3 * width}, 1, GetParam());
    for (const int64_t queries : {17, 5, 1}) {
      EXPECT_LE(Difference(Attention(qkv, 4, queries), AttentionPlain(qkv, 4, queries), {qkv}),
                Tolerance(GetParam()));
    }
  }
}

TEST_P(KernelAgreementTest, FeedForward) {
  const torch::Tensor x = Leaf({19, 12}, 1, GetParam());
  const FeedForwardWeights weights = {Leaf({48, 12}, 2, GetParam()), Leaf({48}, 3, GetParam()),
                                      Leaf({12, 48}, 4, GetParam()), Leaf({12}, 5, GetParam())};
  EXPECT_LE(Difference(FeedForward(x, weights), FeedForwardPlain(x, weights),
                       {x, weights.w1, weights.b1, weights.w2, weights.b2}),
            Tolerance(GetParam()));
}

TEST_P(KernelAgreementTest, LayerNorm) {
  LayerNorm norm(37, 1e-6);
  norm->to(GetParam());
  const torch::Tensor x = Leaf({4, 5, 37}, 1, GetParam());
  EXPECT_LE(Difference(norm(x), torch::layer_norm(x, {37}, norm->weight, norm->bias, 1e-6),
                       {x, norm->weight, norm->bias}),
            Tolerance(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Types, KernelAgreementTest,
                         testing::Values(torch::kFloat, torch::kDouble));

// Sequences that the kernel does not take must still work.
TEST(AttentionTest, LongSequencesTakeTheGeneralPath) {
  const torch::Tensor qkv = Leaf({1, 197, 3 * 8}, 1, torch::kFloat);
  EXPECT_TRUE(torch::equal(Attention(qkv, 2), AttentionPlain(qkv, 2)));
}

TEST(AttentionTest, InputNeedNotBePacked) {
  const torch::Tensor qkv = Leaf({17, 2, 24}, 1, torch::kDouble).transpose(0, 1);
  EXPECT_TRUE(torch::allclose(Attention(qkv, 2), AttentionPlain(qkv, 2), 1e-10, 1e-10));
}

TEST(DropPathTest, KeepsTheExpectedShareAndItsMean) {
  constexpr double kRate = 0.3;
  const ForwardContext context = {true, CounterRandom(5), nullptr};
  const torch::Tensor out = DropPath(torch::ones({20000, 1, 1}), kRate, context);
  EXPECT_NEAR(out.ne(0).to(torch::kDouble).mean().item<double>(), 1.0 - kRate, 0.01);
  EXPECT_NEAR(out.to(torch::kDouble).mean().item<double>(), 1.0, 0.015);
}

TEST(DropPathTest, WholeImagesAreDropped) {
  const ForwardContext context = {true, CounterRandom(5), nullptr};
  const torch::Tensor out = DropPath(torch::ones({64, 3, 4}), 0.5, context);
  const torch::Tensor first = out.select(1, 0).select(1, 0);
  EXPECT_TRUE(torch::equal(out, first.view({64, 1, 1}).expand({64, 3, 4})));
}

TEST(DropPathTest, IdentityOutsideTraining) {
  const torch::Tensor x = torch::ones({8, 2, 2});
  EXPECT_TRUE(torch::equal(DropPath(x, 0.9, {}), x));
  EXPECT_TRUE(torch::equal(Dropout(x, 0.9, {}), x));
}

// A rank of a gang draws for its images what one trainer draws for them in the whole batch.
TEST(DropoutTest, PartOfABatchDrawsItsOwnNumbers) {
  const torch::Tensor ones = torch::ones({6, 3, 5});
  ForwardContext whole;
  whole.training = true;
  ForwardContext part = whole;
  part.first_image = 2;
  const auto draws_alike = [&](const auto& drop) {
    return torch::equal(drop(ones.narrow(0, 2, 3), part.At(1)),
                        drop(ones, whole.At(1)).narrow(0, 2, 3));
  };
  EXPECT_TRUE(draws_alike([](const torch::Tensor& x, const ForwardContext& context) {
    return Dropout(x, 0.5, context);
  }));
  EXPECT_TRUE(draws_alike([](const torch::Tensor& x, const ForwardContext& context) {
    return DropPath(x, 0.5, context);
  }));
}

TEST(DropoutTest, KeepsTheMean) {
  const ForwardContext context = {true, CounterRandom(6), nullptr};
  const torch::Tensor out = Dropout(torch::ones({200, 100}), 0.25, context);
  EXPECT_NEAR(out.mean().item<double>(), 1.0, 0.02);
  EXPECT_NEAR(out.eq(0).to(torch::kDouble).mean().item<double>(), 0.25, 0.01);
}

}  // namespace
}  // namespace distill::models
