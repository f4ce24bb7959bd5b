// Every command of `distill`, its JSON and its exit codes, against a scripted server.
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "client/jobfile/job_file.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "proto/status/grpc_status.h"
#include "tests/integration/cli/command_runner.h"
#include "tests/integration/cli/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    runner_.variables["DISTILL_SERVER"] = server_.address();
    job_file_ = directory_.Join("job.yaml");
    WriteJobFile("display_name: demo\ndataset: {path: /data}\nmodules: 4\nteacher: {depth: 8}\n");
  }

  void WriteJobFile(const std::string& text) {
    ASSERT_THAT(WriteFileAtomically(job_file_, text), IsOk());
  }

  CommandResult Run(const std::vector<std::string>& arguments) { return runner_.Run(arguments); }

  // A job that ended in `state`, with one task.
  void ScriptJob(v1::JobState state) {
    server_.Edit([&](Script& script) {
      v1::Job job;
      job.set_id("job-1");
      job.set_state(state);
      job.set_tasks_total(1);
      job.set_tasks_succeeded(1);
      job.set_revision(3);
      job.mutable_spec()->set_display_name("demo");
      job.mutable_spec()->set_project("default");
      if (state == v1::JOB_STATE_FAILED) job.set_failure_message("task pretrain-meta failed");
      script.jobs = {job};
      v1::Task& task = script.tasks.emplace_back();
      task.set_id("pretrain-meta");
      task.set_job("job-1");
      task.set_state(v1::TASK_STATE_SUCCEEDED);
      task.add_attempts()->set_worker("w1");
      task.mutable_attempts(0)->set_number(1);
      task.mutable_attempts(0)->set_state("SUCCEEDED");
      task.add_results()->set_name("model");
      task.mutable_results(0)->set_digest("sha256:ab");
      v1::JobEvent running;
      running.set_revision(2);
      *running.mutable_task() = task;
      running.mutable_task()->set_state(v1::TASK_STATE_RUNNING);
      v1::JobEvent ended;
      ended.set_revision(3);
      *ended.mutable_job() = job;
      script.events = {running, ended};
    });
  }

  ScriptedServer server_;
  CommandRunner runner_;
  const TempDir directory_;
  std::string job_file_;
};

TEST_F(CommandsTest, SubmitPrintsTheJobIdAndNothingElseAsData) {
  const CommandResult result = Run({"job", "submit", job_file_});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "job-1\n");
  EXPECT_THAT(result.err, HasSubstr("distill job watch job-1"));
  ASSERT_THAT(server_.created(), SizeIs(1));
  EXPECT_EQ(server_.created()[0].spec().teacher().depth(), 8);
}

TEST_F(CommandsTest, SubmitAppliesOverridesAndSweeps) {
  const CommandResult result =
      Run({"job", "submit", job_file_, "--set", "modules=2", "--sweep", "distillation.tau=1,2",
           "--sweep", "seed=5,6", "--full-eval", "--request-id", "sweep"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "job-1  distillation.tau=1 seed=5\njob-2  distillation.tau=1 seed=6\n"
            "job-3  distillation.tau=2 seed=5\njob-4  distillation.tau=2 seed=6\n");
  ASSERT_THAT(server_.created(), SizeIs(4));
  const v1::CreateJobRequest last = server_.created()[3];
  EXPECT_EQ(last.request_id(), "sweep-3");
  EXPECT_EQ(last.spec().modules(), 2);
  EXPECT_EQ(last.spec().seed(), 6u);
  EXPECT_TRUE(last.spec().evaluation().has_corruption_images());
  EXPECT_EQ(last.spec().evaluation().corruption_images(), 0);
}

TEST_F(CommandsTest, SubmittingAgainWithTheSameRequestIdIsTheSameJob) {
  EXPECT_EQ(Run({"job", "submit", job_file_, "--request-id", "r"}).out, "job-1\n");
  EXPECT_EQ(Run({"job", "submit", job_file_, "--request-id", "r"}).out, "job-1\n");
}

TEST_F(CommandsTest, DryRunPrintsAJobFileAndSubmitsNothing) {
  const CommandResult result = Run({"job", "submit", job_file_, "--dry-run"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(server_.created()[0].validate_only());
  const auto printed = ParseJobFile(result.out, "printed.yaml", JobFileFormat::kYaml);
  ASSERT_THAT(printed, IsOk());
  EXPECT_EQ(printed->spec.teacher().depth(), 8);
  EXPECT_THAT(result.err, HasSubstr("tasks: 17"));
  EXPECT_EQ(
      json::parse(
          Run({"job", "submit", job_file_, "--dry-run", "-o", "json"}).out)["spec"]["modules"],
      4);
}

// What a message leaves out, and the reason that scripts go by.
TEST_F(CommandsTest, ErrorsShowTheirDetails) {
  ErrorDetails details;
  details.reason = reason::kBlobMissing;
  details.fields = {{"", "spec.modules", "got 0"}, {"", "spec.seed", "in the message"}};
  details.preconditions = {{reason::kBlobMissing, "sha256:12", "upload it"}};
  details.quotas = {{"", "server", "a bound"}};
  server_.Edit([&](Script& script) {
    script.failures = {ToGrpcStatus(
        WithDetails(absl::FailedPreconditionError("not now: in the message"), details))};
  });
  const CommandResult result = Run({"job", "get", "job-1"});
  EXPECT_THAT(result.err, HasSubstr("  spec.modules: got 0\n"));
  EXPECT_THAT(result.err, Not(HasSubstr("spec.seed")));
  EXPECT_THAT(result.err, HasSubstr("  needs: sha256:12: upload it\n"));
  EXPECT_THAT(result.err, HasSubstr("  limit of server: a bound\n"));
  EXPECT_THAT(result.err, HasSubstr("  reason: BLOB_MISSING\n"));
}

TEST_F(CommandsTest, ABadJobFileIsRefusedBeforeTheServerIsAsked) {
  WriteJobFile("dataset: {path: /data}\nmodulse: 4\n");
  const CommandResult result = Run({"job", "submit", job_file_});
  EXPECT_EQ(result.code, 5);
  EXPECT_EQ(result.err, absl::StrCat("error: ", job_file_,
                                     ":2:1: unknown key \"modulse\" in the file; did you mean "
                                     "\"modules\"?\n"));
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(server_.created(), IsEmpty());
}

TEST_F(CommandsTest, TheServersComplaintLeadsBackToTheLine) {
  server_.Edit([](Script& script) {
    script.create_status = {grpc::StatusCode::INVALID_ARGUMENT,
                            "teacher.depth must be a multiple of modules; got 8 and 3"};
  });
  const CommandResult result = Run({"job", "submit", job_file_});
  EXPECT_EQ(result.code, 5);
  EXPECT_THAT(result.err, StartsWith(absl::StrCat("error: ", job_file_,
                                                  ":4:11: cannot submit job: teacher.depth")));
}

TEST_F(CommandsTest, EachKindOfErrorHasItsExitCode) {
  const std::pair<grpc::StatusCode, int> cases[] = {
      {grpc::StatusCode::UNAUTHENTICATED, 4},    {grpc::StatusCode::PERMISSION_DENIED, 4},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 6}, {grpc::StatusCode::FAILED_PRECONDITION, 1},
      {grpc::StatusCode::INTERNAL, 1},
  };
  for (const auto& [status, code] : cases) {
    server_.Edit(
        [status = status](Script& script) { script.failures = {grpc::Status(status, "because")}; });
    const CommandResult result = Run({"job", "get", "job-1"});
    EXPECT_EQ(result.code, code);
    EXPECT_THAT(result.err, StartsWith("error: cannot get job: because"));
  }
  EXPECT_EQ(Run({"job", "get", "job-9"}).code, 3);
  EXPECT_EQ(Run({"job", "submit", "/nowhere.yaml"}).code, 3);
  EXPECT_EQ(Run({"job", "submit"}).code, 2);
  EXPECT_EQ(Run({}).code, 2);
  runner_.variables.clear();
  runner_.variables["DISTILL_DATA_DIR"] = directory_.path();
  EXPECT_EQ(Run({"job", "list"}).code, 7);
}

TEST_F(CommandsTest, UsageErrorsSuggestWhatWasMeant) {
  EXPECT_EQ(Run({"jobb", "list"}).err,
            "error: unknown command \"jobb\"; did you mean \"job\"?\nhint: see `distill --help`\n");
  EXPECT_EQ(Run({"job", "sumbit", "x"}).err,
            "error: unknown command \"sumbit\"; did you mean \"submit\"?\nhint: see `distill job "
            "--help`\n");
}

TEST_F(CommandsTest, WatchPrintsALineAChangeAndEndsWithTheJobsResult) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  const CommandResult result = Run({"job", "watch", "job-1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out,
              HasSubstr("pretrain-meta                 running    worker=w1 attempt=1\n"));
  EXPECT_THAT(result.out, HasSubstr("job-1                         succeeded  1/1 tasks\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  ScriptJob(v1::JOB_STATE_FAILED);
  EXPECT_EQ(Run({"job", "watch", "job-1"}).code, 1);
  ScriptJob(v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(Run({"job", "watch", "job-1"}).code, 8);
}

TEST_F(CommandsTest, WatchPrintsEventsAsJsonLines) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  const CommandResult result = Run({"job", "watch", "latest", "-o", "json"});
  EXPECT_EQ(result.code, 0);
  const size_t end = result.out.find('\n');
  EXPECT_EQ(json::parse(result.out.substr(0, end))["task"]["id"], "pretrain-meta");
  EXPECT_EQ(json::parse(result.out.substr(end + 1))["job"]["state"], "JOB_STATE_SUCCEEDED");
}

TEST_F(CommandsTest, InterruptingAWatchDetachesAndSaysHowToReattach) {
  ScriptJob(v1::JOB_STATE_RUNNING);
  server_.Edit([](Script& script) { script.watch_holds = true; });
  std::thread user([&] {
    while (!server_.watching()) std::this_thread::yield();
    runner_.interrupt.Request();
  });
  const CommandResult result = Run({"job", "watch", "job-1"});
  user.join();
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.err,
              HasSubstr("Re-attach with: distill job watch job-1 --server " + server_.address()));
  EXPECT_THAT(server_.cancelled(), IsEmpty());
}

TEST_F(CommandsTest, SubmitAndWatchKeepsDataAndProgressApart) {
  ScriptJob(v1::JOB_STATE_FAILED);
  const CommandResult result = Run({"job", "submit", job_file_, "--watch"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "job-1\n");
  EXPECT_THAT(result.err, HasSubstr("task pretrain-meta failed"));
}

TEST_F(CommandsTest, WaitPrintsNothing) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  const CommandResult result = Run({"job", "wait", "job-1", "latest"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, IsEmpty());
  ScriptJob(v1::JOB_STATE_FAILED);
  EXPECT_EQ(Run({"job", "wait", "job-1"}).code, 1);
}

TEST_F(CommandsTest, JobListGetCancel) {
  ScriptJob(v1::JOB_STATE_RUNNING);
  EXPECT_THAT(Run({"job", "list"}).out, HasSubstr("job-1  running  1/1    0       -"));
  EXPECT_EQ(json::parse(Run({"job", "list", "-o", "json"}).out)["jobs"][0]["id"], "job-1");
  EXPECT_THAT(Run({"job", "get", "projects/default/jobs/job-1"}).out, HasSubstr("running"));
  EXPECT_EQ(json::parse(Run({"-o", "json", "job", "get", "job-1"}).out)["tasks_total"], 1);
  EXPECT_THAT(Run({"job", "cancel", "job-1"}).out, HasSubstr("cancelling"));
  EXPECT_THAT(server_.cancelled(), ElementsAre("job-1"));
  EXPECT_EQ(Run({"job", "cancel", "job-9"}).code, 3);
}

TEST_F(CommandsTest, TaskListAndGet) {
  ScriptJob(v1::JOB_STATE_RUNNING);
  EXPECT_THAT(Run({"task", "list", "job-1"}).out,
              HasSubstr("pretrain-meta  succeeded  1         w1"));
  EXPECT_EQ(json::parse(Run({"task", "list", "job-1", "-o", "json"}).out)["tasks"][0]["id"],
            "pretrain-meta");
  const CommandResult result = Run({"task", "get", "job-1", "pretrain-meta"});
  EXPECT_THAT(result.out, HasSubstr("succeeded  w1"));
  EXPECT_THAT(result.out, HasSubstr("sha256:ab"));
  EXPECT_EQ(Run({"task", "get", "job-1", "nothing"}).code, 3);
}

TEST_F(CommandsTest, LogsPrintTheTrainersWords) {
  ScriptJob(v1::JOB_STATE_RUNNING);
  server_.Edit([](Script& script) { script.logs["pretrain-meta"] = "step 1\nstep 2\n"; });
  EXPECT_EQ(Run({"job", "logs", "job-1", "--task", "pretrain-meta"}).out, "step 1\nstep 2\n");
  const CommandResult all = Run({"job", "logs", "job-1"});
  EXPECT_EQ(all.out, "step 1\nstep 2\n");
  EXPECT_THAT(all.err, HasSubstr("==> pretrain-meta <=="));
  EXPECT_EQ(Run({"job", "logs", "job-1", "--task", "pretrain-meta", "--follow"}).out,
            "step 1\nstep 2\n");
  EXPECT_EQ(Run({"job", "logs", "job-1", "--task", "nothing"}).code, 3);
}

TEST_F(CommandsTest, ReportPrintsMarkdownAndSavesAllOfIt) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  server_.Edit([](Script& script) {
    script.report.set_markdown("# Report\n");
    script.report.add_models()->set_label("student");
    script.series["pretrain-meta"].add_points()->set_step(1);
  });
  EXPECT_EQ(Run({"job", "report", "job-1"}).out, "# Report\n");
  EXPECT_EQ(json::parse(Run({"job", "report", "job-1", "-o", "json"}).out)["models"][0]["label"],
            "student");
  const std::string saved = directory_.Join("saved");
  EXPECT_EQ(Run({"job", "report", "job-1", "--save", saved}).code, 0);
  EXPECT_THAT(ReadFile(saved + "/report.md"), IsOkAndHolds("# Report\n"));
  EXPECT_THAT(ReadFile(saved + "/series/pretrain-meta.csv"),
              IsOkAndHolds(HasSubstr("pretrain-meta,1,0,0,0,0,0,,\n")));
  EXPECT_TRUE(FileExists(saved + "/report.json"));
}

TEST_F(CommandsTest, SeriesAreCsv) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  server_.Edit([](Script& script) { script.series["pretrain-meta"].add_points()->set_step(7); });
  EXPECT_EQ(Run({"job", "series", "job-1"}).out,
            "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation,accuracy,"
            "teacher_accuracy\n"
            "pretrain-meta,7,0,0,0,0,0,,\n");
  const CommandResult lines = Run({"job", "series", "job-1", "-o", "json"});
  EXPECT_EQ(json::parse(lines.out)["task"], "pretrain-meta");
  EXPECT_EQ(Run({"job", "series", "job-1", "--task", "nothing"}).code, 3);
}

// A reused task has trained nothing; people want the curve of the result all the same.
TEST_F(CommandsTest, SeriesOfAReusedTaskAreThoseOfTheTaskThatRan) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  server_.Edit([](Script& script) {
    script.tasks[0].set_reused_from("projects/default/jobs/job-0/tasks/first-meta");
    script.series["first-meta"].add_points()->set_step(7);
  });
  EXPECT_THAT(Run({"job", "series", "job-1"}).out, HasSubstr("\npretrain-meta,7,"));
}

TEST_F(CommandsTest, CompareSetsJobsSideBySide) {
  ScriptJob(v1::JOB_STATE_SUCCEEDED);
  server_.Edit([](Script& script) {
    v1::Report::Model& model = *script.report.add_models();
    model.set_label("student");
    model.mutable_result()->set_accuracy(0.5);
  });
  EXPECT_THAT(Run({"job", "compare", "job-1", "job-1"}).out,
              HasSubstr("| student | 0.5000 / - | 0.5000 / - |"));
  EXPECT_EQ(json::parse(Run({"job", "compare", "job-1", "-o", "json"}).out)["models"][0]["label"],
            "student");
}

TEST_F(CommandsTest, ArtifactListGetPut) {
  const std::string file = directory_.Join("weights");
  ASSERT_THAT(WriteFileAtomically(file, "some weights"), IsOk());
  const std::string digest = Digest::OfBytes("some weights").str();
  EXPECT_EQ(Run({"artifact", "put", file}).out, digest + "\n");
  EXPECT_THAT(Run({"artifact", "list"}).out, HasSubstr(digest + "  model  12 B"));
  EXPECT_EQ(json::parse(Run({"artifact", "list", "-o", "json"}).out)["artifacts"][0]["digest"],
            digest);
  EXPECT_THAT(Run({"artifact", "get", digest}).out, HasSubstr("12 B"));
  EXPECT_EQ(Run({"artifact", "get", digest, "--file", "-"}).out, "some weights");
  const std::string copy = directory_.Join("copy");
  EXPECT_EQ(Run({"artifact", "get", digest, "--file", copy}).code, 0);
  EXPECT_THAT(ReadFile(copy), IsOkAndHolds("some weights"));
  EXPECT_EQ(Run({"artifact", "get", Digest::OfBytes("other").str()}).code, 3);
  EXPECT_THAT(Run({"artifact", "put", file, "--type", "modle"}).err,
              HasSubstr("did you mean \"model\"?"));
}

TEST_F(CommandsTest, WorkerListDrainResume) {
  server_.Edit([](Script& script) {
    v1::Worker& worker = script.workers.emplace_back();
    worker.mutable_info()->set_worker_id("w1");
    worker.mutable_info()->set_slots(2);
    worker.mutable_info()->set_device_kind("cpu");
    worker.set_state(v1::WORKER_STATE_READY);
  });
  EXPECT_THAT(Run({"worker", "list"}).out, HasSubstr("w1      ready  2      cpu"));
  EXPECT_THAT(Run({"worker", "drain", "w1"}).out, HasSubstr("draining"));
  EXPECT_EQ(json::parse(Run({"worker", "resume", "w1", "-o", "json"}).out)["draining"], false);
  EXPECT_EQ(Run({"worker", "drain", "w9"}).code, 3);
}

TEST_F(CommandsTest, VersionAndCorruptions) {
  EXPECT_THAT(Run({"version"}).out, StartsWith("distill "));
  EXPECT_THAT(Run({"version", "--corruptions"}).out, HasSubstr("gaussian_noise\n"));
  EXPECT_THAT(json::parse(Run({"version", "--corruptions", "-o", "json"}).out)["corruptions"],
              Not(IsEmpty()));
}

TEST_F(CommandsTest, QuietKeepsErrorsOnly) {
  EXPECT_THAT(Run({"job", "submit", job_file_, "--quiet"}).err, IsEmpty());
  EXPECT_THAT(Run({"job", "get", "job-9", "--quiet"}).err, StartsWith("error:"));
}

TEST_F(CommandsTest, FindsTheServerOfTheDirectory) {
  ScriptJob(v1::JOB_STATE_RUNNING);
  runner_.variables.clear();
  runner_.variables["DISTILL_DATA_DIR"] = directory_.path();
  ASSERT_THAT(WriteFileAtomically(directory_.Join("addresses"),
                                  "grpc=" + server_.address() + "\nhttp=127.0.0.1:1\n"),
              IsOk());
  EXPECT_EQ(Run({"job", "get", "job-1"}).code, 0);
}

TEST_F(CommandsTest, CostsAreShownByKindAndInAll) {
  server_.Edit([](Script& script) {
    v1::DeviceTimeAccount& account = *script.ledger.add_kinds();
    account.set_kind("DISTILL_MODULE");
    account.set_spent_seconds(187);
    account.set_attempts(3);
    account.set_lost_seconds(4);
    account.set_saved_seconds(7384);
    v1::DeviceTimeLoss& loss = *account.add_losses();
    loss.set_cause(v1::LOSS_CAUSE_INFRASTRUCTURE);
    loss.set_seconds(4);
    loss.set_attempts(2);
    *script.ledger.mutable_total() = account;
    script.ledger.set_project("vision");
  });
  const CommandResult cost = Run({"job", "cost", "job-1"});
  EXPECT_EQ(cost.code, 0);
  EXPECT_THAT(cost.out, HasSubstr("distill_module  3         3:07   4.0 s  2:03:04"));
  EXPECT_THAT(cost.out, HasSubstr("infrastructure 4.0 s (2)"));
  EXPECT_THAT(cost.out, HasSubstr("\nall "));
  EXPECT_EQ(json::parse(Run({"job", "cost", "job-1", "-o", "json"}).out)["kinds"].size(), 1u);
  const CommandResult ledger = Run({"ledger", "--project", "vision"});
  EXPECT_EQ(ledger.code, 0);
  EXPECT_THAT(ledger.out, StartsWith("project vision\n"));
}

TEST_F(CommandsTest, AKeyIsExplainedByTaskOrByItself) {
  server_.Edit([](Script& script) {
    script.explanation.set_key("sha256:ab");
    script.explanation.set_outcome(v1::CACHE_OUTCOME_DIFFERS);
    script.explanation.set_compared_with("job-0/distill-module-1");
    v1::KeyDifference& difference = *script.explanation.add_differences();
    difference.set_task("pretrain-meta");
    difference.set_path("seed");
    difference.set_value("2");
    difference.set_earlier_value("1");
    v1::KeyPart& part = *script.explanation.add_parts();
    part.set_path("modules");
    part.set_value("4");
    v1::CacheStats::Row& row = *script.cache_stats.add_rows();
    row.set_project("vision");
    row.set_kind("EVALUATE");
    row.set_entries(5);
    row.set_hits(7);
  });
  const CommandResult task = Run({"cache", "explain", "job-1/distill-module-1"});
  EXPECT_EQ(task.code, 0);
  EXPECT_THAT(task.out, HasSubstr("outcome        differs\n"));
  EXPECT_THAT(task.out, HasSubstr("pretrain-meta  seed  2     1\n"));
  EXPECT_THAT(task.out, Not(HasSubstr("modules")));
  EXPECT_EQ(server_.explained().job(), "job-1");
  EXPECT_EQ(server_.explained().task(), "distill-module-1");
  EXPECT_THAT(Run({"cache", "explain", "sha256:ab", "--project", "p", "--parts"}).out,
              HasSubstr("modules  4\n"));
  EXPECT_EQ(server_.explained().key(), "sha256:ab");
  EXPECT_EQ(server_.explained().project(), "p");
  EXPECT_EQ(Run({"cache", "explain", "nonsense"}).code, 5);
  EXPECT_THAT(Run({"cache", "stats"}).out, HasSubstr("vision   evaluate  5        0 B    7"));
  EXPECT_THAT(Run({"cache", "evict", "job-1/distill-module-1"}).err, HasSubstr("evicted"));
}

}  // namespace
}  // namespace distill::client
