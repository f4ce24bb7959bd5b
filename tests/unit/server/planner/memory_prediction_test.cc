// Predictions grow with what they should grow with, and stay small for small jobs. How near they
// are to what is measured, the integration tests and the report say.
#include "server/planner/memory_prediction.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/planner.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

std::vector<PlannedTask> TasksOf(const v1::JobSpec& spec) {
  absl::StatusOr<JobPlan> plan = Plan(CompleteSpec(spec), "");
  EXPECT_THAT(plan, IsOk());
  return plan.ok() ? std::move(plan->tasks) : std::vector<PlannedTask>();
}

TEST(MemoryPredictionTest, GrowsWithTheBatchAndStaysSmallForSmallJobs) {
  v1::JobSpec nac = MinimalSpec();
  nac.mutable_student()->mutable_nac()->set_tokenizer_stem(2);
  nac.add_baselines(v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION);
  for (const v1::JobSpec& spec : {MinimalSpec(), nac}) {
    for (const PlannedTask& task : TasksOf(spec)) {
      EXPECT_GT(task.predicted_memory_bytes, 100 << 20) << task.name;
      EXPECT_LT(task.predicted_memory_bytes, int64_t{1500} << 20) << task.name;
      if (!task.spec.has_recipe()) continue;
      v1::TaskSpec larger = task.spec;
      larger.mutable_recipe()->set_batch_size(4096);
      EXPECT_GT(PredictMemoryBytes(larger), task.predicted_memory_bytes) << task.name;
    }
  }
}

// A trainer keeps the images for the tasks that follow, and merges follow training.
TEST(MemoryPredictionTest, ImagesThatAreHeldInMemoryCountInAllTasksButFits) {
  v1::JobSpec nac = MinimalSpec();
  nac.mutable_student()->mutable_nac();
  const int64_t images = int64_t{60000} * 28 * 28;
  for (const PlannedTask& task : TasksOf(nac)) {
    v1::TaskSpec in_files = task.spec;
    in_files.mutable_dataset()->set_format(v1::DATASET_FORMAT_IMAGE_FOLDER);
    const int64_t difference = task.predicted_memory_bytes - PredictMemoryBytes(in_files);
    if (task.spec.kind() == v1::TASK_KIND_FIT_PRIOR) {
      EXPECT_EQ(difference, 0) << task.name;
    } else {
      EXPECT_GT(difference, images * 8 / 10) << task.name;
      EXPECT_LE(difference, images) << task.name;
    }
  }
}

TEST(MemoryPredictionTest, OfATeacherOnlyTheStageCounts) {
  for (const PlannedTask& task : TasksOf(MinimalSpec())) {
    if (task.name != "distill-module-1") continue;
    v1::TaskSpec deeper = task.spec;
    v1::VitSpec& teacher = *deeper.mutable_teacher();
    for (int i = 0; i < deeper.modules(); ++i) {
      teacher.add_stage_depths(i == 2 ? 100 : teacher.depth() / deeper.modules());
    }
    EXPECT_EQ(PredictMemoryBytes(deeper), task.predicted_memory_bytes);
  }
}

}  // namespace
}  // namespace distill::server
