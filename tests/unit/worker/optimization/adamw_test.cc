// The optimiser against LibTorch's, its groups, clipping and bit-exact resumption.
#include "worker/optimization/adamw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/status_matchers.h"
#include "tests/support/torch/gradient_check.h"

namespace distill::optimization {
namespace {

using testing::HasSubstr;

torch::Tensor Leaf(torch::IntArrayRef shape, uint64_t seed,
                   torch::ScalarType type = torch::kFloat) {
  return Variable(shape, seed).detach().to(type).set_requires_grad(true);
}

void SetGradient(torch::Tensor parameter, uint64_t seed) {
  parameter.mutable_grad() = Variable(parameter.sizes(), seed).detach().to(parameter.scalar_type());
}

TEST(AdamWTest, FollowsLibTorch) {
  for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
    torch::Tensor ours = Leaf({7, 5}, 1, type), theirs = Leaf({7, 5}, 1, type);
    AdamW optimiser({{"weight", ours}}, AdamWConfig());
    torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(1e-2).weight_decay(0.05));
    for (uint64_t step = 0; step < 20; ++step) {
      SetGradient(ours, step);
      SetGradient(theirs, step);
      optimiser.Step(1e-2);
      reference.step();
    }
    const double tolerance = type == torch::kFloat ? 1e-6 : 1e-14;
    EXPECT_TRUE(torch::allclose(ours, theirs, tolerance, tolerance));
  }
}

TEST(AdamWTest, DecayRule) {
  const AdamWConfig config;
  const torch::Tensor matrix = torch::zeros({2, 2}), vector = torch::zeros({2});
  EXPECT_TRUE(Decays("blocks.0.mlp.fc1.weight", matrix, config));
  EXPECT_FALSE(Decays("scale_gain", torch::zeros({}), config));
  EXPECT_FALSE(Decays("norm.weight", vector, config));
  EXPECT_FALSE(Decays("blocks.0.moe.experts.htoh4.bias", matrix, config));
  EXPECT_FALSE(Decays("cls_token", torch::zeros({1, 1, 2}), config));
  EXPECT_FALSE(Decays("stages.0.pos_embed", torch::zeros({1, 5, 2}), config));
  EXPECT_FALSE(Decays("input_tokenizer.positional_grid.grid", torch::zeros({4, 2, 2}), config));
  EXPECT_FALSE(Decays("latent_graphs.0.mediator_latents.codes_", matrix, config));
  EXPECT_FALSE(Decays("latent_graphs.0.mediator_latents.signatures_", matrix, config));
  AdamWConfig incubation;
  incubation.exempt = {};
  EXPECT_TRUE(Decays("cls_token", torch::zeros({1, 1, 2}), incubation));
  AdamWConfig all;
  all.rule = DecayRule::kAll;
  EXPECT_TRUE(Decays("norm.bias", vector, all));
}

TEST(AdamWTest, FrozenParametersAreLeftOut) {
  AdamW optimiser({{"frozen", Leaf({2, 2}, 1).set_requires_grad(false)}}, AdamWConfig());
  EXPECT_TRUE(optimiser.ExportState().empty());
}

TEST(AdamWTest, ResumedRunHasTheSameBits) {
  torch::Tensor straight = Leaf({9, 3}, 1), resumed = Leaf({9, 3}, 1);
  AdamW first({{"w", straight}}, AdamWConfig());
  AdamW before({{"w", resumed}}, AdamWConfig());
  for (uint64_t step = 0; step < 10; ++step) {
    SetGradient(straight, step);
    first.Step(1e-3);
  }
  for (uint64_t step = 0; step < 4; ++step) {
    SetGradient(resumed, step);
    before.Step(1e-3);
  }
  AdamW after({{"w", resumed}}, AdamWConfig());
  ASSERT_THAT(after.ImportState(models::ToMap(before.ExportState())), IsOk());
  for (uint64_t step = 4; step < 10; ++step) {
    SetGradient(resumed, step);
    after.Step(1e-3);
  }
  EXPECT_TRUE(torch::equal(straight, resumed));
}

TEST(AdamWTest, RefusesStateOfOtherParameters) {
  AdamW one({{"a", Leaf({2}, 1)}}, AdamWConfig());
  AdamW other({{"b", Leaf({2}, 1)}}, AdamWConfig());
  EXPECT_THAT(one.ImportState(models::ToMap(other.ExportState())),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing exp_avg.a")));
}

TEST(AdamWTest, ClipsTheCommonNorm) {
  torch::Tensor a = Leaf({2}, 1), b = Leaf({1}, 2);
  AdamW optimiser({{"a", a}, {"b", b}}, AdamWConfig());
  a.mutable_grad() = torch::tensor({3.0f, 0.0f});
  b.mutable_grad() = torch::tensor({4.0f});
  EXPECT_FLOAT_EQ(optimiser.ClipGradients(10.0).item<float>(), 5.0f);
  EXPECT_FLOAT_EQ(a.grad()[0].item<float>(), 3.0f);  // within the bound: untouched
  EXPECT_FLOAT_EQ(optimiser.ClipGradients(1.0).item<float>(), 5.0f);
  EXPECT_NEAR(a.grad()[0].item<float>(), 0.6f, 1e-6);
  EXPECT_NEAR(b.grad()[0].item<float>(), 0.8f, 1e-6);
}

TEST(AdamWTest, ParameterWithoutGradientStays) {
  torch::Tensor parameter = Leaf({3, 3}, 1);
  const torch::Tensor before = parameter.detach().clone();
  AdamW optimiser({{"w", parameter}}, AdamWConfig());
  optimiser.Step(0.1);
  EXPECT_TRUE(torch::equal(parameter, before));
}

}  // namespace
}  // namespace distill::optimization
