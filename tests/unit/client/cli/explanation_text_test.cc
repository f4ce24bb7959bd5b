#include "client/cli/explanation_text.h"

#include "gmock/gmock.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;

v1::TaskExplanation Queued(v1::WaitReason reason) {
  v1::TaskExplanation explanation;
  explanation.set_job("job-1");
  explanation.set_task("distill-module-0");
  explanation.set_state(v1::TASK_STATE_QUEUED);
  explanation.set_reason(reason);
  explanation.set_priority(3);
  return explanation;
}

TEST(ExplanationTest, SaysWhatToDo) {
  v1::TaskExplanation explanation = Queued(v1::WAIT_REASON_NO_FIT);
  explanation.set_detail("no worker fits: each has no numeric class cuda-sm90");
  explanation.set_effective_priority(5);
  v1::WorkerFit& fit = *explanation.add_workers();
  fit.set_worker_id("w1");
  fit.set_failed(v1::PREDICATE_NUMERIC_CLASS);
  fit.set_detail("has no numeric class cuda-sm90");
  const std::string text = RenderExplanation(explanation);
  EXPECT_THAT(text, HasSubstr("Task distill-module-0 of job-1 is queued.\nIt waits because no "
                              "worker that is connected could ever run it.\n"));
  EXPECT_THAT(text, HasSubstr("priority is 3, risen to 5 by waiting"));
  EXPECT_THAT(text, HasSubstr("To do: start a worker that fits"));
  EXPECT_THAT(text, HasSubstr("w1      never       numeric_class  has no numeric class cuda-sm90"));
}

TEST(ExplanationTest, NamesWhatIsWaitedFor) {
  v1::TaskExplanation explanation = Queued(v1::WAIT_REASON_INPUTS);
  explanation.set_state(v1::TASK_STATE_BLOCKED);
  for (int i = 0; i < 8; ++i) explanation.add_waits_for("split-" + std::to_string(i));
  const std::string text = RenderExplanation(explanation);
  EXPECT_THAT(text, HasSubstr("split-0, split-1, split-2, split-3, split-4, split-5 and 2 more"));
  EXPECT_THAT(text,
              HasSubstr("To do: look at what it waits for: distill task explain job-1 split-0"));
}

TEST(ExplanationTest, HasAWordForEveryReason) {
  const auto& reasons = *v1::WaitReason_descriptor();
  for (int i = 0; i < reasons.value_count(); ++i) {
    const auto reason = static_cast<v1::WaitReason>(reasons.value(i)->number());
    if (reason == v1::WAIT_REASON_UNSPECIFIED || reason == v1::WAIT_REASON_NONE) continue;
    EXPECT_THAT(RenderExplanation(Queued(reason)), HasSubstr("\nIt waits ")) << reason;
  }
}

TEST(ExplanationTest, OfARunningTaskThereIsLittleToSay) {
  v1::TaskExplanation explanation = Queued(v1::WAIT_REASON_NONE);
  explanation.set_state(v1::TASK_STATE_RUNNING);
  EXPECT_EQ(RenderExplanation(explanation), "Task distill-module-0 of job-1 is running.\n");
}

}  // namespace
}  // namespace distill::client
