// Losses, schedule, optimiser, Mixup, CutMix, gate and position embedding against hand-checked
// values of the reference implementation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>

#include "tests/golden/golden_data.h"
#include "worker/models/mixture_of_experts.h"
#include "worker/models/state.h"
#include "worker/optimization/adamw.h"
#include "worker/optimization/losses.h"
#include "worker/optimization/mix.h"
#include "worker/optimization/schedule.h"

namespace distill::optimization {
namespace {

nlohmann::json Section(const std::string& name) { return ReadGolden("optimization.json").at(name); }

torch::Tensor Integers(const nlohmann::json& numbers) { return ToTensor(numbers).to(torch::kLong); }

TEST(LossGoldenTest, CrossEntropies) {
  const nlohmann::json golden = Section("cross_entropy");
  const torch::Tensor z = ToTensor(golden.at("logits"));
  EXPECT_TRUE(IsGolden(SoftTargetCrossEntropy(z, ToTensor(golden.at("targets"))).item<double>(),
                       golden.at("soft")));
  EXPECT_TRUE(IsGolden(
      SmoothedCrossEntropy(z, Integers(golden.at("labels")), golden.at("smoothing")).item<double>(),
      golden.at("smoothed")));
}

TEST(LossGoldenTest, Distillation) {
  const nlohmann::json golden = Section("distillation");
  const torch::Tensor z = ToTensor(golden.at("student")), w = ToTensor(golden.at("teacher"));
  EXPECT_TRUE(IsGolden(HardDistillation(z, w).item<double>(), golden.at("hard")));
  for (const nlohmann::json& row : golden.at("soft")) {
    const double temperature = row.at("temperature"), want = row.at("per_element");
    EXPECT_TRUE(IsGolden(
        SoftDistillation(z, w, temperature, DistillationDivisor::kElements).item<double>(), want));
    EXPECT_TRUE(
        IsGolden(SoftDistillation(z, w, temperature, DistillationDivisor::kBatch).item<double>(),
                 3.0 * want));
  }
}

TEST(ScheduleGoldenTest, RatesOfEpochs) {
  for (const nlohmann::json& table : Section("epoch_rates")) {
    EpochCosine schedule;
    schedule.base = table.at("base");
    schedule.epochs = table.at("epochs");
    schedule.warmup_epochs = table.at("warmup");
    for (const auto& [epoch, rate] : table.at("rates").items()) {
      EXPECT_NEAR(LearningRateOfEpoch(schedule, std::stoll(epoch)), rate.get<double>(), 1e-9)
          << "epoch " << epoch;
    }
  }
}

TEST(AdamWGoldenTest, TwoSteps) {
  const nlohmann::json golden = Section("adamw");
  torch::Tensor parameter = ToTensor(golden.at("start")).view({1, 2}).set_requires_grad(true);
  AdamWConfig config;
  config.weight_decay = golden.at("weight_decay");
  AdamW optimiser({{"weight", parameter}}, config);
  for (const nlohmann::json& step : golden.at("steps")) {
    parameter.mutable_grad() = ToTensor(step.at("gradient")).view({1, 2});
    optimiser.Step(golden.at("lr"));
    EXPECT_TRUE(IsGolden(parameter.detach(), ToTensor(step.at("parameter")).view({1, 2})));
  }
}

TEST(MixGoldenTest, MixupTargets) {
  const nlohmann::json golden = Section("mixup_targets");
  EXPECT_TRUE(IsGolden(MixTargets(Integers(golden.at("labels")), golden.at("classes"),
                                  golden.at("smoothing"), golden.at("own_share")),
                       ToTensor(golden.at("rows"))));
}

TEST(MixGoldenTest, CutMixBox) {
  const nlohmann::json golden = Section("cutmix");
  const int64_t size = golden.at("size");
  const MixDraw draw = CutMixAround(golden.at("own_share"), golden.at("centre_row"),
                                    golden.at("centre_column"), size, size);
  const std::vector<int64_t> box = {draw.box.top, draw.box.bottom, draw.box.left, draw.box.right};
  EXPECT_EQ(box, golden.at("box").get<std::vector<int64_t>>());
  EXPECT_TRUE(IsGolden(draw.own_share, golden.at("corrected")));
}

TEST(GateGoldenTest, BestTwoRenormalised) {
  for (const nlohmann::json& row : Section("gate")) {
    const models::GateChoice choice =
        models::ChooseExperts(ToTensor(row.at("logits")).unsqueeze(0), 2);
    EXPECT_TRUE(torch::equal(choice.experts, Integers(row.at("experts")).unsqueeze(0)));
    EXPECT_TRUE(IsGolden(choice.weights, ToTensor(row.at("weights")).unsqueeze(0)));
  }
}

TEST(PositionEmbeddingGoldenTest, GridIsResizedAndClassTokenKept) {
  const nlohmann::json golden = Section("position_embedding");
  const torch::Tensor grid = ToTensor(golden.at("grid")).view({1, -1, 1});
  const torch::Tensor embedding = torch::cat({torch::full({1, 1, 1}, 9.0f), grid}, 1);
  const torch::Tensor resized = models::ResizePositionEmbedding(embedding, golden.at("side"));
  EXPECT_EQ(resized[0][0][0].item<float>(), 9.0f);
  EXPECT_TRUE(IsGolden(resized.slice(1, 1), ToTensor(golden.at("resized")).view({1, -1, 1})));
}

}  // namespace
}  // namespace distill::optimization
