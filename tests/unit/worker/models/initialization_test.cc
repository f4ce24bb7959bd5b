// First values: their distribution, and that they depend on nothing but key and name.
#include "worker/models/initialization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/unit/worker/models/small_models.h"
#include "worker/models/state.h"

namespace distill::models {
namespace {

double Deviation(const torch::Tensor& values) { return values.std().item<double>(); }
double Largest(const torch::Tensor& values) { return values.abs().max().item<double>(); }

StateMap Initialized(const VmoeConfig& config, ExpertInitialization experts) {
  const StagedModel model = StagedModel::Create(config).value();
  Initialize(model, CounterRandom(9), experts);
  return ToMap(ExportState(model));
}

VmoeConfig Wide() {
  VmoeConfig config = SmallVmoe(StageRole::kWhole, {1}, {0});
  config.vit.embed_dim = 64;
  config.vit.mlp_ratio = 4.0;
  return config;
}

TEST(InitializationTest, Distributions) {
  const StateMap state = Initialized(Wide(), ExpertInitialization::kReference);
  const torch::Tensor qkv = state.at("stages.0.blocks.0.attn.qkv.weight");
  EXPECT_NEAR(Deviation(qkv), 0.02, 0.001);
  EXPECT_NEAR(qkv.mean().item<double>(), 0.0, 0.001);
  EXPECT_EQ(Largest(state.at("stages.0.blocks.0.attn.qkv.bias")), 0.0);
  EXPECT_TRUE(torch::equal(state.at("stages.0.norm.weight"), torch::ones({64})));
  EXPECT_NEAR(Deviation(state.at("stages.0.blocks.0.moe.gate.gate.weight")), 0.02, 0.004);
  EXPECT_NEAR(Deviation(state.at("pos_embed")), 0.02, 0.004);
  const double patch_bound = 1.0 / std::sqrt(2.0 * 4 * 4);
  EXPECT_LE(Largest(state.at("stages.0.patch_embed.proj.weight")), patch_bound * 1.000001);
  EXPECT_GT(Largest(state.at("stages.0.patch_embed.proj.bias")), 0.5 * patch_bound);
}

// The reference's bound is 1 / sqrt(out * in), not 1 / sqrt(in).
TEST(InitializationTest, ExpertBounds) {
  const std::string name = "stages.0.blocks.0.moe.experts.1.htoh4.";
  const StateMap reference = Initialized(Wide(), ExpertInitialization::kReference);
  const StateMap per_matrix = Initialized(Wide(), ExpertInitialization::kPerMatrix);
  EXPECT_NEAR(Largest(reference.at(name + "weight")), 1.0 / std::sqrt(256.0 * 64.0), 1e-5);
  EXPECT_NEAR(Largest(per_matrix.at(name + "weight")), 1.0 / std::sqrt(64.0), 1e-3);
  EXPECT_EQ(Largest(reference.at(name + "bias")), 0.0);
}

TEST(InitializationTest, DependsOnlyOnKeyAndName) {
  // More experts beside it leave the values of one expert alone.
  VmoeConfig more = Wide();
  more.experts = 5;
  const StateMap few = Initialized(Wide(), ExpertInitialization::kPerMatrix);
  const StateMap many = Initialized(more, ExpertInitialization::kPerMatrix);
  const std::string name = "stages.0.blocks.0.moe.experts.2.h4toh.weight";
  EXPECT_TRUE(torch::equal(few.at(name), many.at(name)));
  EXPECT_FALSE(torch::equal(few.at(name), few.at("stages.0.blocks.0.moe.experts.1.h4toh.weight")));
}

TEST(InitializationTest, LeavesTheGlobalGeneratorAlone) {
  torch::manual_seed(1);
  const torch::Tensor want = torch::rand({4});
  torch::manual_seed(1);
  Initialized(Wide(), ExpertInitialization::kReference);
  EXPECT_TRUE(torch::equal(torch::rand({4}), want));
}

}  // namespace
}  // namespace distill::models
