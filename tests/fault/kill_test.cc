// SIGKILL of workers, trainers and the server at random moments of a real job: it ends all the
// same, with the same bits as a job that nobody disturbed.
//
// DISTILL_FAULT_KILLS sets how many kills each job suffers, DISTILL_FAULT_SEED their moments.
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

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
constexpr double kLongestPauseSeconds = 0.4;

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

class KillTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Cluster cluster(kWorkers);
    undisturbed_ = new Outcome(RunJob(cluster, 0, {}));
    EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
  }
  static void TearDownTestSuite() {
    delete undisturbed_;
    undisturbed_ = nullptr;
  }

  // Runs the small job while `kill` strikes `kills` times, at moments between its first and its
  // last change.
  static Outcome RunJob(Cluster& cluster, int kills, const Kill& kill) {
    const auto seed = static_cast<uint64_t>(FromEnvironment("DISTILL_FAULT_SEED", 1));
    CounterRandom random(seed);
    const std::string request_id = "the-job";
    const SystemClock clock;
    const MonotonicTime start = clock.Now();
    const v1::JobSpec spec = SmallJob(cluster.dataset());
    const auto created = cluster.client().CreateJob(spec, request_id);
    EXPECT_THAT(created.status(), IsOk()) << cluster.Logs();
    if (!created.ok()) return {};
    // Counted in finished tasks, since a kill that made the job longer would draw the next ones to
    // the same task, whose back-off doubles each time.
    std::multiset<size_t> moments;
    for (int i = 0; i < kills; ++i) {
      moments.insert(random.Below(static_cast<uint32_t>(created->tasks_total())));
    }
    client::Interrupt pause;
    std::set<std::string> finished;
    int struck = 0;
    const auto done = cluster.client().WatchJob(
        created->id(), 0, client::WatchProgress::kYes, [&](const v1::JobEvent& event) {
          if (event.task().state() == v1::TASK_STATE_SUCCEEDED) finished.insert(event.task().id());
          while (!moments.empty() && *moments.begin() <= finished.size()) {
            pause.WaitFor(absl::Seconds(random.Uniform(0, kLongestPauseSeconds)));
            if (!kill(cluster, random)) return;  // At the next event, then.
            ++struck;
            moments.erase(moments.begin());
          }
        });
    EXPECT_THAT(done.status(), IsOk()) << cluster.Logs();
    if (!done.ok()) return {};
    EXPECT_EQ(done->state(), v1::JOB_STATE_SUCCEEDED) << done->failure_message() << cluster.Logs();
    std::cout << "kills " << struck << " of " << kills << ", seed " << seed << ", "
              << absl::FormatDuration(clock.Now() - start) << "\n";
    EXPECT_TRUE(kills == 0 || struck > 0);
    // An acknowledged submission is there after any crash, once.
    EXPECT_EQ(cluster.client().CreateJob(spec, request_id)->id(), created->id());
    return Examine(cluster, *done);
  }

  static Outcome Examine(Cluster& cluster, const v1::Job& job) {
    Outcome outcome;
    const auto tasks = cluster.client().ListTasks(job.id());
    EXPECT_THAT(tasks.status(), IsOk());
    for (const v1::Task& task : tasks.value()) {
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

  void ExpectSameBits(const Outcome& outcome) {
    ASSERT_FALSE(undisturbed_->digests.empty());
    EXPECT_EQ(outcome.digests, undisturbed_->digests);
    std::cout << "attempts " << outcome.attempts << ", undisturbed " << undisturbed_->attempts
              << "\n";
  }

  const int kills_ = static_cast<int>(FromEnvironment("DISTILL_FAULT_KILLS", 5));
  static Outcome* undisturbed_;
};

Outcome* KillTest::undisturbed_ = nullptr;

TEST_F(KillTest, WorkersMayDie) {
  Cluster cluster(kWorkers);
  ExpectSameBits(RunJob(cluster, kills_, [](Cluster& killed, CounterRandom& random) {
    killed.KillWorker(static_cast<int>(random.Below(kWorkers)));
    return true;
  }));
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

TEST_F(KillTest, TrainersMayDie) {
  Cluster cluster(kWorkers);
  ExpectSameBits(RunJob(cluster, kills_,
                        [](Cluster& killed, CounterRandom&) { return killed.KillTrainer(); }));
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

// One slot for all modules: they run as a bundle, and after the death of their trainer as singles.
TEST_F(KillTest, TrainersOfBundlesMayDie) {
  Cluster cluster(/*workers=*/1);
  ExpectSameBits(RunJob(cluster, kills_,
                        [](Cluster& killed, CounterRandom&) { return killed.KillTrainer(); }));
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

TEST_F(KillTest, WorkersMayLeaveAndComeBack) {
  Cluster cluster(kWorkers);
  ExpectSameBits(RunJob(cluster, kills_, [](Cluster& restarted, CounterRandom& random) {
    EXPECT_TRUE(restarted.RestartWorker(static_cast<int>(random.Below(kWorkers))));
    return true;
  }));
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

TEST_F(KillTest, TheServerMayDie) {
  Cluster cluster(kWorkers);
  ExpectSameBits(RunJob(cluster, kills_, [](Cluster& killed, CounterRandom&) {
    killed.KillServer();
    return true;
  }));
  EXPECT_TRUE(cluster.EndInOrder()) << cluster.Logs();
}

}  // namespace
}  // namespace distill
