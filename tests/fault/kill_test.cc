// SIGKILL of workers, trainers and the server at random moments of a real job: it ends all the
// same, with the same bits as a job that nobody disturbed.
//
// DISTILL_FAULT_KILLS sets how many kills each of them suffers, DISTILL_FAULT_SEED their moments.
#include <iostream>

#include "base/counter_random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/cluster.h"
#include "tests/fault/small_job.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

constexpr int kWorkers = 2;
constexpr double kLongestPauseSeconds = 0.8;

// Kills something. False: there is nothing to kill just now.
using Kill = std::function<bool(Cluster&, CounterRandom&)>;

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
    const v1::JobSpec spec = SmallJob(cluster.dataset(), gang_size_);
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
    run.outcome = Examine(cluster.client(), *done);
    return run;
  }

  static Outcome* undisturbed_;

 protected:
  static int gang_size_;
};

Outcome* KillTest::undisturbed_ = nullptr;
int KillTest::gang_size_ = 1;

// Whole models are trained by both workers together: the death of either ends the gang, and another
// goes on from its checkpoint.
class GangKillTest : public KillTest {
 protected:
  static void SetUpTestSuite() {
    gang_size_ = kWorkers;
    KillTest::SetUpTestSuite();
  }
  static void TearDownTestSuite() {
    KillTest::TearDownTestSuite();
    gang_size_ = 1;
  }
};

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

TEST_F(GangKillTest, TrainersMayDie) {
  ExpectSameBitsDespite(kWorkers,
                        [](Cluster& cluster, CounterRandom&) { return cluster.KillTrainer(); });
}

TEST_F(GangKillTest, WorkersMayDieOrLeave) {
  ExpectSameBitsDespite(kWorkers, [](Cluster& cluster, CounterRandom& random) {
    const auto worker = static_cast<int>(random.Below(kWorkers));
    if (random.Below(2) == 0) {
      cluster.KillWorker(worker);
    } else {
      EXPECT_TRUE(cluster.RestartWorker(worker));
    }
    return true;
  });
}

TEST_F(GangKillTest, TheServerMayDie) {
  ExpectSameBitsDespite(kWorkers, [](Cluster& cluster, CounterRandom&) {
    cluster.KillServer();
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
