#include "client/cli/plan_view.h"

#include "gmock/gmock.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;

v1::JobPlan TwoTasks() {
  v1::JobPlan plan;
  v1::PlannedTask& meta = *plan.add_tasks();
  meta.set_id("pretrain-meta");
  meta.set_key("sha256:0123456789abcdef0123");
  meta.set_predicted_memory_bytes(1 << 20);
  meta.set_execution(v1::PLANNED_EXECUTION_REUSES);
  meta.set_equal_task("job-1/pretrain-meta");
  meta.set_predicted_seconds(5);
  v1::PlannedTask& module = *plan.add_tasks();
  module.set_id("distill-module-0");
  module.set_key("sha256:fedcba98765432100123");
  module.set_execution(v1::PLANNED_EXECUTION_RUNS);
  module.set_training_images(60'000);
  for (const char* const name : {"a", "b", "c"}) module.add_depends_on(name);
  plan.set_saved_seconds(5);
  plan.set_unpredicted_tasks(1);
  plan.set_largest_memory_bytes(1 << 20);
  return plan;
}

TEST(PlanViewTest, ShowsWhatRunsAndWhatIsReused) {
  const std::string text = RenderPlan(TwoTasks(), KeyLength::kShort);
  EXPECT_THAT(text, HasSubstr("sha256:0123456789ab  1.0 MiB  saves 5.0 s"));
  EXPECT_THAT(text, HasSubstr("reuses job-1/pretrain-meta"));
  EXPECT_THAT(text, HasSubstr("60.0k   runs                        a,b,+1\n"));
  EXPECT_THAT(text, HasSubstr("2 tasks: 1 run, 1 take the result of an equal task"));
  EXPECT_THAT(text, HasSubstr("cost    unknown"));
  EXPECT_THAT(RenderPlan(TwoTasks(), KeyLength::kFull), HasSubstr("sha256:0123456789abcdef0123"));
}

TEST(PlanViewTest, SaysHowMuchOfTheCostIsKnown) {
  v1::JobPlan plan = TwoTasks();
  v1::PlannedTask& third = *plan.add_tasks();
  third.set_execution(v1::PLANNED_EXECUTION_RUNS);
  third.set_predicted_seconds(90);
  plan.set_predicted_seconds(90);
  plan.set_critical_path_seconds(90);
  const std::string text = RenderPlan(plan, KeyLength::kShort);
  EXPECT_THAT(text, HasSubstr("cost    about 1:30 of one slot"));
  EXPECT_THAT(text, HasSubstr("and more for 1 tasks"));
  EXPECT_THAT(text, HasSubstr("saved   about 5.0 s"));
}

}  // namespace
}  // namespace distill::client
