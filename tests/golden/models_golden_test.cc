// Models and the module distillation loss against tensors of the reference implementation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <string>

#include "tests/golden/golden_data.h"
#include "tests/support/torch/fill_rule.h"
#include "worker/models/hybrid.h"
#include "worker/models/staged_model.h"
#include "worker/models/state.h"
#include "worker/optimization/losses.h"

namespace distill {
namespace {

using models::StagedModel;
using models::StageRole;
using models::VitConfig;
using models::VmoeConfig;

torch::Tensor Golden(const std::string& key) {
  static const nlohmann::json golden = ReadGolden("models.json");
  const nlohmann::json& entry = golden.at(key);
  return ToTensor(entry.at("data")).view(entry.at("shape").get<std::vector<int64_t>>());
}

VitConfig SmallVit(int64_t width, std::vector<int64_t> depths) {
  VitConfig config;
  config.image_size = 8;
  config.channels = 3;
  config.patch_size = 4;
  config.embed_dim = width;
  config.heads = 2;
  config.stage_depths = std::move(depths);
  config.classes = 5;
  return config;
}

VmoeConfig SmallVmoe(StageRole role, std::vector<int64_t> depths, std::vector<int64_t> moe) {
  VmoeConfig config;
  config.vit = SmallVit(8, std::move(depths));
  config.vit.mlp_ratio = 2.0;
  config.role = role;
  config.experts = 3;
  config.moe_blocks = std::move(moe);
  config.stitch_width = 12;
  return config;
}

VmoeConfig FirstStudent() {
  VmoeConfig config = SmallVmoe(StageRole::kFirst, {2}, {1});
  config.post_stitch_blocks = {1};
  return config;
}

VmoeConfig LastStudent() {
  VmoeConfig config = SmallVmoe(StageRole::kLast, {2}, {0, 1});
  config.pre_stitch_blocks = {0};
  return config;
}

template <typename Config>
StagedModel Filled(const Config& config, double amplitude) {
  StagedModel model = StagedModel::Create(config).value();
  FillByRule(ExportState(model), amplitude);
  return model;
}

torch::Tensor Images() { return SineInput({2, 3, 8, 8}, 0.3); }

TEST(VitGoldenTest, ForwardWholeAndInSlices) {
  const StagedModel model = Filled(SmallVit(8, {1, 2}), 0.3);
  const torch::Tensor tokens = model.ForwardStages(Images(), 0, 1, {});
  EXPECT_TRUE(IsGolden(tokens, Golden("G1 ViT|fwd(0,1)")));
  EXPECT_TRUE(IsGolden(model.ForwardStages(tokens, 1, 2, {}), Golden("G1 ViT|fwd(1,3)")));
  EXPECT_TRUE(IsGolden(model.Forward(Images(), {}), Golden("G1 ViT|logits")));
}

TEST(VitGoldenTest, Gradients) {
  const StagedModel model = Filled(SmallVit(8, {1, 2}), 0.3);
  (model.Forward(Images(), {}) * SineInput({2, 5}, 0.5)).sum().backward();
  const auto first = model.stages()[0]->named_parameters();
  const auto second = model.stages()[1]->named_parameters();
  EXPECT_TRUE(IsGolden(first["cls_token"].grad(), Golden("G1 ViT|grad cls")));
  EXPECT_TRUE(
      IsGolden(second["blocks.1.mlp.fc1.weight"].grad(), Golden("G1 ViT|grad fc1 stage1.1")));
}

TEST(VmoeGoldenTest, StudentModules) {
  const StagedModel first = Filled(FirstStudent(), 0.3);
  EXPECT_TRUE(IsGolden(first.Forward(Images(), {}), Golden("G2 VMoE|student0 out")));
  const StagedModel last = Filled(LastStudent(), 0.3);
  EXPECT_TRUE(
      IsGolden(last.Forward(SineInput({2, 5, 12}, 0.3), {}), Golden("G2 VMoE|student-1 out")));
}

TEST(VmoeGoldenTest, WholeModel) {
  const StagedModel model = Filled(SmallVmoe(StageRole::kWhole, {2, 2}, {0, 1, 2, 3}), 0.3);
  EXPECT_TRUE(IsGolden(model.Forward(Images(), {}), Golden("G2 VMoE|full logits")));
}

// Computes one row of the table of the module distillation loss.
TEST(ModuleDistillationGoldenTest, LossesAndGradientNorms) {
  const nlohmann::json golden = ReadGolden("optimization.json").at("module_distillation");
  const StagedModel meta = Filled(SmallVit(12, {1, 1}), 0.2);
  const StagedModel teacher = Filled(SmallVit(12, {2, 2}), 0.25);
  Freeze(meta);
  Freeze(teacher);
  for (const nlohmann::json& row : golden.at("rows")) {
    const bool is_first = row.at("index").get<int>() == 0;
    SCOPED_TRACE(row.dump());
    const int64_t index = is_first ? 0 : 1;
    const std::string key = std::string("G3 m2mKD loss|idx") + (is_first ? "0" : "-1");
    const StagedModel student = Filled(is_first ? FirstStudent() : LastStudent(), 0.3);
    const torch::Tensor prefix = PrefixOutput(meta, index, Images(), {});
    const torch::Tensor w =
        TeacherLogits(meta, index, teacher.stages()[static_cast<size_t>(index)], prefix);
    const torch::Tensor z = HybridLogits(meta, index, student.stages()[0], prefix, {});
    EXPECT_TRUE(IsGolden(w, Golden(key + " teacher logits")));
    EXPECT_TRUE(IsGolden(z, Golden(key + " student logits")));

    optimization::DistillationConfig config;
    config.temperature = row.at("temperature");
    config.teacher_share = row.at("teacher_share");
    const torch::Tensor cross_entropy =
        optimization::SoftTargetCrossEntropy(z, ToTensor(golden.at("targets")));
    const optimization::DistillationLoss loss =
        optimization::CombineDistillation(cross_entropy, z, w, config);
    EXPECT_TRUE(IsGolden(loss.cross_entropy.item<double>(), row.at("cross_entropy")));
    EXPECT_TRUE(IsGolden(loss.distillation.item<double>(), row.at("distillation")));
    EXPECT_TRUE(IsGolden(loss.total.item<double>(), row.at("total")));
    loss.total.backward();
    double squares = 0.0;
    for (const torch::Tensor& parameter : student.stages()[0]->parameters()) {
      if (parameter.grad().defined()) squares += parameter.grad().square().sum().item<double>();
    }
    EXPECT_TRUE(IsGolden(std::sqrt(squares), row.at("gradient_norm")));
  }
}

}  // namespace
}  // namespace distill
