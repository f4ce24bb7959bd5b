// One member step by step: what loss scaling does to a run, and that clipping sees only what is
// trained.
#include "worker/training/member_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/checkpoint.h"

namespace distill::training {
namespace {

constexpr int64_t kSteps = 4;

class MemberRunTest : public testing::Test {
 protected:
  v1::TaskSpec Spec(v1::Precision precision) const {
    v1::TaskSpec spec = job_.Task(v1::TASK_KIND_TRAIN_BASELINE, 0, kSteps * 16);
    spec.mutable_recipe()->set_precision(precision);
    return spec;
  }

  // Takes `steps` steps on images of ones and returns the run.
  std::unique_ptr<MemberRun> Run(const v1::MemberAssignment& assignment, int64_t steps,
                                 const std::optional<Checkpoint>& checkpoint = std::nullopt) {
    auto run = MemberRun::Create(assignment, nullptr, plan_, checkpoint, clock_, writer_);
    EXPECT_THAT(run, IsOk());
    for (int64_t step = 0; step < steps; ++step) {
      EXPECT_THAT((*run)->Accumulate(torch::ones({16, 1, 28, 28}), torch::full({16, 10}, 0.1f)),
                  IsOk());
      EXPECT_THAT((*run)->FinishStep(), IsOk());
    }
    return *std::move(run);
  }

  std::string ResultOf(const MemberRun& run) {
    const auto result = run.WriteResult();
    EXPECT_THAT(result, IsOk());
    return result.ok() ? DigestOf(result->path()) : "";
  }

  SmallJob job_{/*modules=*/2};
  SystemClock clock_;
  RecordingObserver observer_;
  CheckpointWriter writer_{observer_};
  TrainingPlan plan_ = *TrainingPlan::Create(Spec(v1::PRECISION_FLOAT32).recipe(), 320);
};

// On the CPU float16 is not computed with, so only the scale is left, a power of two: it must come
// out again without a trace, before gradients are clipped.
TEST_F(MemberRunTest, LossScaleLeavesNoTrace) {
  const auto wide = job_.Assign("wide", Spec(v1::PRECISION_FLOAT32), {});
  const auto narrow = job_.Assign("narrow", Spec(v1::PRECISION_FLOAT16), {});
  EXPECT_EQ(ResultOf(*Run(wide, kSteps)), ResultOf(*Run(narrow, kSteps)));
}

TEST_F(MemberRunTest, LossScaleComesWithTheCheckpoint) {
  const auto assignment = job_.Assign("narrow", Spec(v1::PRECISION_FLOAT16), {});
  const std::unique_ptr<MemberRun> first = Run(assignment, 2);
  first->CheckpointNow();
  ASSERT_THAT(writer_.Flush("narrow"), IsOk());
  ASSERT_EQ(observer_.checkpoints().size(), 1);
  auto checkpoint =
      ReadCheckpoint(observer_.checkpoints()[0].path(), FingerprintOf(assignment.spec()));
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ(checkpoint->loss_scaler.at("good_steps").item<int64_t>(), 2);
  const auto whole = job_.Assign("whole", Spec(v1::PRECISION_FLOAT16), {});
  EXPECT_EQ(ResultOf(*Run(assignment, kSteps - 2, *checkpoint)), ResultOf(*Run(whole, kSteps)));
}

TEST_F(MemberRunTest, CheckpointWithoutTheScaleIsRefused) {
  const auto assignment = job_.Assign("narrow", Spec(v1::PRECISION_FLOAT16), {});
  const std::unique_ptr<MemberRun> first = Run(assignment, 2);
  first->CheckpointNow();
  ASSERT_THAT(writer_.Flush("narrow"), IsOk());
  auto checkpoint =
      ReadCheckpoint(observer_.checkpoints().at(0).path(), FingerprintOf(assignment.spec()));
  ASSERT_THAT(checkpoint, IsOk());
  checkpoint->loss_scaler.clear();
  EXPECT_THAT(MemberRun::Create(assignment, nullptr, plan_, *checkpoint, clock_, writer_),
              StatusIs(absl::StatusCode::kDataLoss, testing::HasSubstr("loss scaler")));
}

}  // namespace
}  // namespace distill::training
