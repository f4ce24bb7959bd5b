// SIGKILL of workers, trainers and the server at random moments of a real job: it ends all the
// same, with the same bits as a job that nobody disturbed.
//
// DISTILL_FAULT_KILLS sets how many kills each of them suffers, DISTILL_FAULT_SEED their moments.
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/cluster.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

constexpr int kWorkers = 2;
constexpr double kLongestPauseSeconds = 0.8;

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

void SetNetwork(v1::VitSpec& vit, int depth) {
  vit.set_embed_dim(16);
  vit.set_heads(2);
  vit.set_depth(depth);
}

v1::JobSpec SmallJob(const std::string& dataset) {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path(dataset);
  spec.set_modules(2);
  spec.set_patch_size(7);
  SetNetwork(*spec.mutable_meta(), 2);
  SetNetwork(*spec.mutable_teacher(), 4);
  SetNetwork(*spec.mutable_student()->mutable_vmoe()->mutable_backbone(), 2);
  for (v1::TrainingRecipe* recipe :
       {spec.mutable_pretrain_meta(), spec.mutable_incubate_teacher(),
        spec.mutable_finetune_teacher(), spec.mutable_distill_modules(),
        spec.mutable_finetune_student()}) {
    recipe->set_epochs(4);
    recipe->set_batch_size(16);
  }
  spec.mutable_evaluation()->add_corruptions("none");
  spec.mutable_execution()->set_checkpoint_interval_seconds(0.05);
  spec.mutable_execution()->set_max_infrastructure_failures(1000);
  return spec;
}

// What a finished job left: digests by task and output.
struct Outcome {
  std::map<std::string, std::string> digests;
  int attempts = 0;
};

// Kills something. False: there is nothing to kill just now.
using Kill = std::function<bool(Cluster&, CounterRandom&)>;

// Follows a job from a thread of its own, as a user's terminal does. What it was told must be whole
// and in order whatever is killed meanwhile.
class Watcher {
 public:
  Watcher(client::Client& client, const std::string& job)
      : thread_([this, &client, job] { Watch(client, job); }) {}

  // Waits for the end of the job.
  absl::StatusOr<v1::Job> Join() {
    thread_.join();
    return done_;
  }
  // After Join().
  const std::set<std::string>& succeeded() const { return succeeded_; }

 private:
  void Watch(client::Client& client, const std::string& job) {
    int64_t last_revision = 0;
    done_ = client.WatchJob(job, 0, client::WatchProgress::kYes, [&](const v1::JobEvent& event) {
      if (event.has_progress()) return;
      EXPECT_GT(event.revision(), last_revision);
      last_revision = event.revision();
      if (event.task().state() == v1::TASK_STATE_SUCCEEDED) succeeded_.insert(event.task().id());
    });
  }

  std::set<std::string> succeeded_;
  absl::StatusOr<v1::Job> done_ = absl::UnknownError("still watching");
  std::thread thread_;
};

class KillTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Cluster cluster(kWorkers);
    CounterRandom random(0);
    undisturbed_ = new Outcome(RunJob(cluster, 0, random, {}).outcome);
    EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
  }
  static void TearDownTestSuite() {
    delete undisturbed_;
    undisturbed_ = nullptr;
  }

  // Lets `kill` strike running jobs, one after the other, until all kills are used up. Each job has
  // servers of its own and must leave what nobody's disturbance left.
  void ExpectSameBitsDespite(int workers, const Kill& kill) {
    ASSERT_FALSE(undisturbed_->digests.empty());
    const auto seed = static_cast<uint64_t>(FromEnvironment("DISTILL_FAULT_SEED", 1));
    CounterRandom random(seed);
    int struck = 0;
    int attempts = 0;
    int jobs = 0;
    while (struck < kills_ && !HasFailure()) {
      ASSERT_LT(jobs, 2 * kills_) << "the kills find no running job";
      Cluster cluster(workers);
      const Run run = RunJob(cluster, kills_ - struck, random, kill);
      EXPECT_EQ(run.outcome.digests, undisturbed_->digests);
      EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
      struck += run.struck;
      attempts += run.outcome.attempts;
      ++jobs;
    }
    std::cout << "seed " << seed << ": " << struck << " kills in " << jobs << " jobs, " << attempts
              << " attempts; undisturbed, " << jobs * undisturbed_->attempts << "\n";
  }

  const int kills_ = static_cast<int>(FromEnvironment("DISTILL_FAULT_KILLS", 5));

 private:
  struct Run {
    Outcome outcome;
    int struck = 0;
  };

  // Runs the small job, while `kill` strikes at most `kills` times after random pauses.
  static Run RunJob(Cluster& cluster, int kills, CounterRandom& random, const Kill& kill) {
    Run run;
    const std::string request_id = "the-job";
    const v1::JobSpec spec = SmallJob(cluster.dataset());
    const auto created = cluster.client().CreateJob(spec, request_id);
    EXPECT_THAT(created.status(), IsOk()) << cluster.Logs();
    if (!created.ok()) return run;
    Watcher watcher(cluster.client(), created->id());
    client::Interrupt pause;
    while (run.struck < kills) {
      pause.WaitFor(absl::Seconds(random.Uniform(0, kLongestPauseSeconds)));
      const auto job = cluster.client().GetJob(created->id());
      EXPECT_THAT(job.status(), IsOk()) << cluster.Logs();
      if (!job.ok() || client::IsTerminal(job->state())) break;
      run.struck += kill(cluster, random) ? 1 : 0;
    }
    const auto done = watcher.Join();
    EXPECT_THAT(done.status(), IsOk()) << cluster.Logs();
    if (!done.ok()) return run;
    EXPECT_EQ(done->state(), v1::JOB_STATE_SUCCEEDED) << done->failure_message() << cluster.Logs();
    EXPECT_EQ(watcher.succeeded().size(), static_cast<size_t>(done->tasks_total()));
    // An acknowledged submission is there after any crash, once.
    EXPECT_EQ(cluster.client().CreateJob(spec, request_id)->id(), created->id());
    run.outcome = Examine(cluster, *done);
    return run;
  }

  static Outcome Examine(Cluster& cluster, const v1::Job& job) {
    Outcome outcome;
    const auto tasks = cluster.client().ListTasks(job.id());
    EXPECT_THAT(tasks.status(), IsOk());
    if (!tasks.ok()) return outcome;
    for (const v1::Task& task : *tasks) {
      EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED) << task.id();
      int winners = 0;
      for (const v1::Attempt& attempt : task.attempts()) {
        winners += attempt.state() == "SUCCEEDED" ? 1 : 0;
        ++outcome.attempts;
      }
      EXPECT_EQ(winners, 1) << task.id();
      for (const v1::ArtifactRef& result : task.results()) {
        outcome.digests[absl::StrCat(task.id(), "/", result.name())] = result.digest();
      }
    }
    return outcome;
  }

  static Outcome* undisturbed_;
};

Outcome* KillTest::undisturbed_ = nullptr;

TEST_F(KillTest, WorkersMayDie) {
  ExpectSameBitsDespite(kWorkers, [](Cluster& cluster, CounterRandom& random) {
    cluster.KillWorker(static_cast<int>(random.Below(kWorkers)));
    return true;
  });
}

TEST_F(KillTest, TrainersMayDie) {
  ExpectSameBitsDespite(kWorkers,
                        [](Cluster& cluster, CounterRandom&) { return cluster.KillTrainer(); });
}

// One slot for all modules: they run as a bundle, and after the death of their trainer as singles.
TEST_F(KillTest, TrainersOfBundlesMayDie) {
  ExpectSameBitsDespite(/*workers=*/1,
                        [](Cluster& cluster, CounterRandom&) { return cluster.KillTrainer(); });
}

TEST_F(KillTest, WorkersMayLeaveAndComeBack) {
  ExpectSameBitsDespite(kWorkers, [](Cluster& cluster, CounterRandom& random) {
    EXPECT_TRUE(cluster.RestartWorker(static_cast<int>(random.Below(kWorkers))));
    return true;
  });
}

TEST_F(KillTest, TheServerMayDie) {
  ExpectSameBitsDespite(kWorkers, [](Cluster& cluster, CounterRandom&) {
    cluster.KillServer();
    return true;
  });
}

}  // namespace
}  // namespace distill
