// Gradients of every part of a model against central differences in float64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/torch/gradient_check.h"
#include "tests/unit/worker/models/small_models.h"
#include "worker/models/attention.h"
#include "worker/models/feed_forward.h"
#include "worker/models/hybrid.h"
#include "worker/models/layers.h"
#include "worker/models/mixture_of_experts.h"
#include "worker/models/staged_model.h"

namespace distill::models {
namespace {

// A scalar in which every element of `out` has a weight of its own.
torch::Tensor Weighted(const torch::Tensor& out) {
  return (out * Variable(out.sizes(), 99).detach()).sum();
}

// Makes `module` float64 and fills its parameters with numbers of unit size.
void FillRandomly(torch::nn::Module& module) {
  module.to(torch::kDouble);
  const torch::NoGradGuard no_gradient;
  uint64_t seed = 20;
  for (torch::Tensor& parameter : module.parameters()) {
    parameter.copy_(Variable(parameter.sizes(), ++seed));
  }
}

std::vector<torch::Tensor> With(std::vector<torch::Tensor> variables, const torch::Tensor& one) {
  variables.push_back(one);
  return variables;
}

TEST(GradientTest, Attention) {
  const torch::Tensor qkv = Variable({2, 7, 3 * 10}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(Attention(qkv, 2)); }, {qkv}, 200));
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(Attention(qkv, 2, 1)); }, {qkv}, 200));
}

TEST(GradientTest, FeedForward) {
  const torch::Tensor x = Variable({6, 5}, 1);
  const FeedForwardWeights weights = {Variable({9, 5}, 2), Variable({9}, 3), Variable({5, 9}, 4),
                                      Variable({5}, 5)};
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(FeedForward(x, weights)); },
                             {x, weights.w1, weights.b1, weights.w2, weights.b2}));
}

TEST(GradientTest, LayerNorm) {
  LayerNorm norm(11, 1e-6);
  FillRandomly(*norm);
  const torch::Tensor x = Variable({2, 3, 11}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(norm(x)); }, {x, norm->weight, norm->bias}));
}

TEST(GradientTest, Stitch) {
  Stitch stitch(6, 4);
  FillRandomly(*stitch);
  const torch::Tensor x = Variable({2, 3, 6}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(stitch(x)); }, With(stitch->parameters(), x)));
}

TEST(GradientTest, MixtureOfExperts) {
  MixtureOfExperts layer(6, 9, 4, 2);
  FillRandomly(*layer);
  const torch::Tensor x = Variable({2, 5, 6}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(layer(x, ForwardContext())); },
                             With(layer->parameters(), x)));
}

TEST(GradientTest, DenseStagesFromPixelsToLogits) {
  const StagedModel model = SmallModel(SmallVit({1, 2}), 3, torch::kDouble);
  const torch::Tensor pixels = Variable({2, 2, 8, 8}, 1).detach();
  std::vector<torch::Tensor> variables = model.stages()[0]->parameters();
  for (const torch::Tensor& p : model.stages()[1]->parameters()) variables.push_back(p);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(model.Forward(pixels, {})); }, variables, 6));
}

TEST(GradientTest, ExpertStageWithBothStitches) {
  VmoeConfig config = SmallVmoe(StageRole::kMiddle, {2}, {0, 1});
  config.pre_stitch_blocks = {0};
  config.post_stitch_blocks = {1};
  const StagedModel model = SmallModel(config, 4, torch::kDouble);
  const torch::Tensor tokens = Variable({2, 5, 12}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(model.Forward(tokens, {})); },
                             With(model.stages()[0]->parameters(), tokens), 6));
}

// Gradients must pass through frozen stages behind the module.
TEST(GradientTest, ModuleInFrozenHybrid) {
  const StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 5, torch::kDouble);
  Freeze(meta);
  VmoeConfig config = SmallVmoe(StageRole::kMiddle, {1}, {0});
  config.pre_stitch_blocks = {0};
  config.post_stitch_blocks = {0};
  const StagedModel student = SmallModel(config, 6, torch::kDouble);
  const torch::Tensor prefix = PrefixOutput(meta, 1, Variable({2, 2, 8, 8}, 1).detach(), {});
  EXPECT_TRUE(GradientsAgree(
      [&] { return Weighted(HybridLogits(meta, 1, student.stages()[0], prefix, {})); },
      student.stages()[0]->parameters(), 6));
}

TEST(GradientTest, StochasticDepthAndDropoutWithGivenRandomNumbers) {
  VitConfig config = SmallVit({3});
  config.drop_path = 0.4;
  config.dropout = 0.2;
  const StagedModel model = SmallModel(config, 7, torch::kDouble);
  const torch::Tensor pixels = Variable({4, 2, 8, 8}, 1).detach();
  const ForwardContext context = {true, CounterRandom(11), nullptr};
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(model.Forward(pixels, context)); },
                             model.stages()[0]->parameters(), 4));
}

// The hand-written backward passes must not pretend to know second derivatives.
TEST(GradientTest, SecondDerivativesAreRefused) {
  const torch::Tensor qkv = Variable({1, 3, 12}, 1);
  EXPECT_THROW(torch::autograd::grad({Weighted(Attention(qkv, 2))}, {qkv}, {},
                                     /*retain_graph=*/true, /*create_graph=*/true),
               c10::Error);
}

}  // namespace
}  // namespace distill::models
