#include "client/cli/top_view.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

TopSnapshot OneOfEach() {
  TopSnapshot snapshot;
  snapshot.server = "h:1";
  snapshot.now = absl::FromUnixSeconds(1'000'100);
  v1::Worker& worker = snapshot.workers.emplace_back();
  worker.mutable_info()->set_worker_id("w1");
  worker.mutable_info()->set_slots(2);
  worker.mutable_info()->set_device_kind("cpu");
  worker.set_slots_in_use(1);
  worker.set_state(v1::WORKER_STATE_READY);
  worker.mutable_last_seen_time()->set_seconds(1'000'098);
  ActiveJob& active = snapshot.active.emplace_back();
  active.job.set_id("job-1");
  active.job.set_state(v1::JOB_STATE_RUNNING);
  active.job.set_tasks_total(3);
  active.job.mutable_create_time()->set_seconds(1'000'000);
  v1::Task& running = active.tasks.emplace_back();
  running.set_id("pretrain-meta");
  running.set_state(v1::TASK_STATE_RUNNING);
  running.add_attempts()->set_worker("w1");
  running.mutable_progress()->set_step(10);
  running.mutable_progress()->set_total_steps(40);
  running.mutable_progress()->set_loss(0.5);
  v1::Task& queued = active.tasks.emplace_back();
  queued.set_id("baseline-b1");
  queued.set_state(v1::TASK_STATE_QUEUED);
  queued.set_waiting_reason("no free slot");
  return snapshot;
}

std::string Text(const TopSnapshot& snapshot, const TopStyle& style) {
  return absl::StrJoin(RenderTop(snapshot, style), "\n");
}

TEST(TopViewTest, ShowsFleetJobsAndQueue) {
  const std::string text = Text(OneOfEach(), {});
  EXPECT_THAT(text, HasSubstr("workers  1 live: 1 ready   slots  1 of 2 busy (50 %)"));
  EXPECT_THAT(text,
              HasSubstr("jobs     1 active: 1 running   tasks  1 running, 1 queued, 0 blocked"));
  EXPECT_THAT(text, HasSubstr("queue    1 no free slot"));
  EXPECT_THAT(text, HasSubstr("pretrain-meta  job-1  w1      10/40  0.500"));
  EXPECT_THAT(text, HasSubstr("baseline-b1  job-1  no free slot"));
  EXPECT_THAT(text, HasSubstr("2.0 s ago"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(TopViewTest, AnEmptyServerIsShownToo) {
  TopSnapshot snapshot;
  snapshot.server = "h:1";
  EXPECT_THAT(Text(snapshot, {}), HasSubstr("workers  0 live   slots  0 of 0 busy (0 %)"));
  EXPECT_THAT(Text(snapshot, {}), HasSubstr("queue    empty"));
}

TEST(TopViewTest, KeepsToTheTerminal) {
  TopSnapshot snapshot = OneOfEach();
  for (int i = 0; i < 100; ++i) {
    snapshot.workers.push_back(snapshot.workers[0]);
    snapshot.active[0].tasks.push_back(snapshot.active[0].tasks[1]);
  }
  for (const int rows : {5, 12, 24, 50}) {
    const std::vector<std::string> lines = RenderTop(snapshot, {{60, rows}, false, /*fit=*/true});
    EXPECT_LT(lines.size(), static_cast<size_t>(rows) + 1);
    EXPECT_THAT(lines, Each(::testing::Property(&std::string::size, ::testing::Le(60u))));
  }
  EXPECT_THAT(Text(snapshot, {{200, 24}, false, /*fit=*/true}), HasSubstr(" more"));
}

TEST(TopViewTest, JsonHoldsTheMessages) {
  const nlohmann::json json = nlohmann::json::parse(TopJson(OneOfEach()));
  EXPECT_EQ(json["server"], "h:1");
  EXPECT_EQ(json["workers"][0]["info"]["worker_id"], "w1");
  EXPECT_EQ(json["jobs"][0]["id"], "job-1");
  EXPECT_THAT(json["tasks"], SizeIs(2));
}

}  // namespace
}  // namespace distill::client
