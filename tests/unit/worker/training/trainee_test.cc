#include "worker/training/trainee.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/optimization/adamw.h"
#include "worker/training/model_builder.h"

namespace distill::training {
namespace {

constexpr int kModules = 3;

// A hybrid with all that it needs, ready to take steps.
class TraineeTest : public testing::Test {
 protected:
  std::shared_ptr<const models::StagedModel> LoadMeta(const v1::TaskSpec& spec) {
    const auto stages = MetaStages(spec, 0);
    EXPECT_THAT(stages, IsOk());
    std::vector<bool> wanted(stages->size(), true);
    auto meta = LoadFrozenStages(*stages, wanted, job_.Meta());
    EXPECT_THAT(meta, IsOk());
    return std::make_shared<const models::StagedModel>(*std::move(meta));
  }

  static NamedTensors CopyOf(const models::StagedModel& model) {
    NamedTensors copy;
    for (const auto& entry : models::ExportState(model)) copy[entry.name] = entry.tensor.clone();
    return copy;
  }

  SmallJob job_{kModules};
};

// Frozen means: same bits afterwards, and no gradient was ever computed for them.
TEST_F(TraineeTest, TrainingLeavesFrozenParametersAlone) {
  for (const v1::TaskKind kind : {v1::TASK_KIND_INCUBATE_TEACHER, v1::TASK_KIND_DISTILL_MODULE}) {
    for (int index = 0; index < kModules; ++index) {
      const v1::TaskSpec spec = job_.Task(kind, index);
      const auto meta = LoadMeta(spec);
      const NamedTensors before = CopyOf(*meta);
      auto trainee = Trainee::Create(
          job_.Assign("hybrid", spec, {{"teacher_stage", job_.TeacherStage(index)}}), meta);
      ASSERT_THAT(trainee, IsOk());
      optimization::AdamW optimizer(trainee->TrainedParameters(), {});
      const NamedTensors trained_before = trainee->Export().tensors;
      torch::Tensor input = torch::rand({4, 1, 28, 28});
      input = models::PrefixOutput(*meta, index, input, {});
      const torch::Tensor targets = torch::full({4, 10}, 0.1f);
      for (int step = 0; step < 2; ++step) {
        trainee->Loss(input, targets, {}, {step}).total.backward();
        for (int64_t s = 0; s < meta->stage_count(); ++s) {
          for (const auto& parameter : meta->stages()[static_cast<size_t>(s)]->parameters()) {
            EXPECT_FALSE(parameter.grad().defined()) << "stage " << s << " module " << index;
          }
        }
        optimizer.Step(1e-2);
        optimizer.ZeroGradients();
      }
      for (const auto& [name, tensor] : CopyOf(*meta)) {
        EXPECT_TRUE(tensor.equal(before.at(name))) << name;
      }
      const NamedTensors trained_after = trainee->Export().tensors;
      EXPECT_FALSE(trained_after.at("blocks.0.norm1.weight")
                       .equal(trained_before.at("blocks.0.norm1.weight")));
    }
  }
}

TEST_F(TraineeTest, FirstWeightsDependOnTheModuleButNotOnItsCompany) {
  const v1::TaskSpec first = job_.Task(v1::TASK_KIND_INCUBATE_TEACHER, 1);
  const v1::TaskSpec second = job_.Task(v1::TASK_KIND_INCUBATE_TEACHER, 2);
  const auto meta = LoadMeta(first);
  const auto weights = [&](const v1::TaskSpec& spec) {
    auto trainee = Trainee::Create(job_.Assign("hybrid", spec, {}), meta);
    EXPECT_THAT(trainee, IsOk());
    return trainee->Export().tensors.at("blocks.0.mlp.fc1.weight");
  };
  EXPECT_TRUE(weights(first).equal(weights(first)));
  EXPECT_FALSE(weights(first).equal(weights(second)));
}

TEST_F(TraineeTest, ModulesHaveStitchesWhereTheyMeetTheMetaModel) {
  for (int index = 0; index < kModules; ++index) {
    const auto stage = StudentModule(job_.Task(v1::TASK_KIND_DISTILL_MODULE, index), 0);
    ASSERT_THAT(stage, IsOk());
    EXPECT_EQ(stage->blocks.front().pre_stitch, index > 0);
    EXPECT_EQ(stage->blocks.back().post_stitch, index < kModules - 1);
    EXPECT_EQ(stage->has_embedding, index == 0);
    EXPECT_EQ(stage->has_head, index == kModules - 1);
  }
}

TEST_F(TraineeTest, UnresolvedSpecNamesTheField) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  spec.mutable_meta()->add_stage_depths(1);
  EXPECT_THAT(
      MetaStages(spec, 0),
      StatusIs(absl::StatusCode::kInvalidArgument,
               testing::HasSubstr("meta.stage_depths: must divide the blocks among the modules")));
}

}  // namespace
}  // namespace distill::training
