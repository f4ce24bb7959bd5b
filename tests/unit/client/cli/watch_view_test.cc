#include "client/cli/watch_view.h"

#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/simulated_clock.h"

namespace distill::client {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

v1::JobEvent JobEvent(v1::JobState state, int succeeded) {
  v1::JobEvent event;
  event.mutable_job()->set_id("job-1");
  event.mutable_job()->set_state(state);
  event.mutable_job()->set_tasks_total(3);
  event.mutable_job()->set_tasks_succeeded(succeeded);
  return event;
}

v1::JobEvent TaskEvent(const std::string& id, v1::TaskState state) {
  v1::JobEvent event;
  event.mutable_task()->set_id(id);
  event.mutable_task()->set_state(state);
  if (state == v1::TASK_STATE_RUNNING) {
    event.mutable_task()->add_attempts()->set_worker("w1");
    event.mutable_task()->mutable_attempts(0)->set_number(1);
  }
  return event;
}

v1::JobEvent ProgressEvent(const std::string& task, int64_t step) {
  v1::JobEvent event;
  event.mutable_progress()->set_task(task);
  v1::Progress& progress = *event.mutable_progress()->mutable_progress();
  progress.set_step(step);
  progress.set_total_steps(200);
  progress.set_loss(0.4321);
  progress.set_images_per_second(5120);
  progress.set_eta_seconds(75);
  progress.set_phase("training");
  return event;
}

absl::Time Noon() { return absl::FromUnixSeconds(12 * 3600); }

TEST(WatchLinesTest, ShowARunningTaskWithAllThatIsKnown) {
  WatchModel model;
  model.Apply(JobEvent(v1::JOB_STATE_RUNNING, 1));
  model.Apply(TaskEvent("pretrain-meta", v1::TASK_STATE_RUNNING));
  model.Apply(ProgressEvent("pretrain-meta", 50));
  EXPECT_THAT(RenderLive(model, {{120, 24}, false}, Noon()),
              ElementsAre("job job-1  running  1/3 tasks",
                          "  pretrain-meta  running    [####------------]  25%  step 50/200  loss "
                          "0.432  5.1k images/s  ETA 1:15  w1"));
}

TEST(WatchLinesTest, KeepWithinTheWindow) {
  WatchModel model;
  model.Apply(JobEvent(v1::JOB_STATE_RUNNING, 0));
  for (int i = 0; i < 50; ++i) {
    model.Apply(TaskEvent(absl::StrCat("task-", i), v1::TASK_STATE_BLOCKED));
  }
  model.Apply(TaskEvent("task-40", v1::TASK_STATE_RUNNING));
  model.Apply(TaskEvent("task-45", v1::TASK_STATE_FAILED));
  const auto lines = RenderLive(model, {{30, 10}, false}, Noon());
  EXPECT_THAT(lines, SizeIs(9));
  for (const std::string& line : lines) EXPECT_LT(line.size(), 30u);
  // The urgent ones are among those that fit, in plan order.
  EXPECT_THAT(lines[6], StartsWith("  task-40"));
  EXPECT_THAT(lines[7], StartsWith("  task-45"));
  EXPECT_EQ(lines[8], "  and 43 more tasks");
}

TEST(WatchLinesTest, ColourOnlyWhenAsked) {
  WatchModel model;
  model.Apply(TaskEvent("a", v1::TASK_STATE_SUCCEEDED));
  EXPECT_THAT(RenderLive(model, {{80, 24}, true}, Noon())[1], HasSubstr("\x1b[32m"));
  EXPECT_THAT(RenderLive(model, {{80, 24}, false}, Noon()),
              Each(::testing::Not(HasSubstr("\x1b"))));
}

// A heartbeat may arrive after the completion that it lost the race to.
TEST(WatchModelTest, IgnoresProgressOfEndedTasks) {
  WatchModel model;
  model.Apply(TaskEvent("a", v1::TASK_STATE_SUCCEEDED));
  model.Apply(ProgressEvent("a", 50));
  EXPECT_EQ(model.tasks()[0].progress().step(), 0);
  model.Apply(ProgressEvent("unknown", 50));
  EXPECT_EQ(model.tasks().size(), 1u);
}

// The event of an end says neither when the task began nor who ran it.
TEST(WatchModelTest, RemembersWhatLaterEventsLeaveOut) {
  WatchModel model;
  v1::JobEvent running = TaskEvent("a", v1::TASK_STATE_RUNNING);
  running.mutable_task()->mutable_start_time()->set_seconds(100);
  model.Apply(running);
  v1::JobEvent ended = TaskEvent("a", v1::TASK_STATE_SUCCEEDED);
  ended.mutable_task()->mutable_finish_time()->set_seconds(103);
  ended.mutable_task()->add_attempts()->set_number(1);
  const v1::JobEvent full = model.Apply(ended);
  EXPECT_EQ(full.task().attempts(0).worker(), "w1");
  EXPECT_EQ(RenderPlain(full, Noon()), "00:01:43Z  a                             succeeded  3.0 s");
}

TEST(WatchPlainTest, TellsChangesAndNothingElse) {
  EXPECT_EQ(RenderPlain(TaskEvent("pretrain-meta", v1::TASK_STATE_RUNNING), Noon()),
            "12:00:00Z  pretrain-meta                 running    worker=w1 attempt=1");
  EXPECT_THAT(RenderPlain(TaskEvent("a", v1::TASK_STATE_BLOCKED), Noon()), IsEmpty());
  EXPECT_THAT(RenderPlain(TaskEvent("a", v1::TASK_STATE_QUEUED), Noon()), IsEmpty());
  EXPECT_THAT(RenderPlain(ProgressEvent("a", 5), Noon()), IsEmpty());
}

TEST(WatchPlainTest, TellsWhyATaskIsQueuedAgainAndWhyOneFailed) {
  v1::JobEvent again = TaskEvent("a", v1::TASK_STATE_RUNNING);
  again.mutable_task()->set_state(v1::TASK_STATE_QUEUED);
  again.mutable_task()->mutable_attempts(0)->set_state("EXPIRED");
  again.mutable_task()->mutable_attempts(0)->set_message("lease expired");
  EXPECT_EQ(
      RenderPlain(again, Noon()),
      "12:00:00Z  a                             queued     again, after attempt 1: EXPIRED lease "
      "expired");
  again.mutable_task()->mutable_attempts(0)->clear_state();
  again.mutable_task()->mutable_attempts(0)->clear_message();
  EXPECT_THAT(RenderPlain(again, Noon()), ::testing::EndsWith("again, after attempt 1"));
  v1::JobEvent failed = TaskEvent("a", v1::TASK_STATE_FAILED);
  failed.mutable_task()->set_failure_message("loss is not finite\nstep=7");
  EXPECT_EQ(RenderPlain(failed, Noon()),
            "12:00:00Z  a                             failed     loss is not finite step=7");
}

TEST(WatchPlainTest, TellsHowLongATaskTookAndWhatWasReused) {
  v1::JobEvent done = TaskEvent("a", v1::TASK_STATE_SUCCEEDED);
  done.mutable_task()->mutable_start_time()->set_seconds(3600);
  done.mutable_task()->mutable_finish_time()->set_seconds(3690);
  EXPECT_EQ(RenderPlain(done, Noon()), "01:01:30Z  a                             succeeded  1:30");
  done.mutable_task()->set_reused_from("projects/p/jobs/j/tasks/a");
  EXPECT_THAT(RenderPlain(done, Noon()), HasSubstr("reused from j/a"));
}

class WatchViewTest : public ::testing::Test {
 protected:
  WatchView MakeView(WatchView::Mode mode) {
    return WatchView(mode, /*color=*/false, &clock_, &out_, [] { return TerminalSize{80, 24}; });
  }

  SimulatedClock clock_;
  std::ostringstream out_;
};

TEST_F(WatchViewTest, PlainModeRepeatsNoState) {
  WatchView view = MakeView(WatchView::Mode::kPlain);
  view.OnEvent(JobEvent(v1::JOB_STATE_RUNNING, 0));
  view.OnEvent(JobEvent(v1::JOB_STATE_RUNNING, 1));
  view.OnEvent(JobEvent(v1::JOB_STATE_SUCCEEDED, 3));
  view.Close();
  const std::string text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_THAT(text, HasSubstr("job-1                         succeeded  3/3 tasks"));
}

TEST_F(WatchViewTest, LiveModeRedrawsInPlaceAndNotTooOften) {
  WatchView view = MakeView(WatchView::Mode::kLive);
  view.OnEvent(JobEvent(v1::JOB_STATE_RUNNING, 0));
  const std::string first = out_.str();
  EXPECT_THAT(first, StartsWith("job job-1  running"));
  view.OnEvent(JobEvent(v1::JOB_STATE_RUNNING, 1));
  EXPECT_EQ(out_.str(), first);  // Within 100 ms.
  clock_.Advance(absl::Milliseconds(100));
  view.OnEvent(JobEvent(v1::JOB_STATE_RUNNING, 2));
  EXPECT_THAT(out_.str().substr(first.size()),
              StartsWith("\x1b[1A\r\x1b[Jjob job-1  running  2/3"));
  view.OnEvent(JobEvent(v1::JOB_STATE_SUCCEEDED, 3));
  view.Close();
  EXPECT_THAT(out_.str(), HasSubstr("succeeded  3/3"));
}

TEST_F(WatchViewTest, SilentModeWritesNothing) {
  WatchView view = MakeView(WatchView::Mode::kSilent);
  view.OnEvent(JobEvent(v1::JOB_STATE_FAILED, 0));
  view.Close();
  EXPECT_THAT(out_.str(), IsEmpty());
}

}  // namespace
}  // namespace distill::client
