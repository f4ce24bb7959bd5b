// Two servers over one PostgreSQL database, and the leader is ended under load: killed, stopped and
// woken up again, or cut off from the database. The other one leads within seconds, nothing that
// was acknowledged is lost, and the jobs end in the same bits.
//
// DISTILL_FAILOVERS sets how often, DISTILL_FAULT_SEED the moments.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/cluster.h"
#include "tests/fault/small_job.h"
#include "tests/support/postgres/postgres_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill {
namespace {

constexpr int kWorkers = 2;
constexpr int kBlobsPerJob = 20;
// What is promised. The gate's slice may share its machine with anything, so it only prints what it
// measured; the full tier, with more ends than these, holds it.
constexpr absl::Duration kTakeoverLimit = absl::Seconds(5);
constexpr int kEndsOfTheSlice = 10;
constexpr absl::Duration kPatience = absl::Seconds(40);
// Exit codes of distill-server that mean "I do not lead any more, so I write no more".
constexpr int kStoreFailed = 5;
constexpr int kLeadershipLost = 6;

enum class End { kKill, kStop, kPartition };
const char* Name(End end) {
  return end == End::kKill ? "SIGKILL" : end == End::kStop ? "SIGSTOP" : "partition";
}

// Somebody who uploads blobs all the time, and submits and cancels a job now and then, and
// remembers what was acknowledged.
class Changer {
 public:
  explicit Changer(Cluster& cluster) : cluster_(cluster), thread_([this] { Run(); }) {}
  ~Changer() { Finish(); }

  void Finish() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // Asks for everything again. Fails the test where something is missing.
  void CheckNothingIsLost() {
    Finish();
    for (const std::string& digest : uploaded_) {
      EXPECT_THAT(cluster_.client().GetArtifact(digest).status(), IsOk());
    }
    for (const auto& [request, job] : cancelled_) {
      const auto again = cluster_.client().CreateJob(Spec(), request);
      ASSERT_THAT(again.status(), IsOk());
      EXPECT_EQ(again->id(), job) << request;
      EXPECT_EQ(again->state(), v1::JOB_STATE_CANCELLED);
    }
  }
  size_t acknowledged() const { return uploaded_.size() + 2 * cancelled_.size(); }

 private:
  v1::JobSpec Spec() const {
    v1::JobSpec spec = SmallJob(cluster_.dataset());
    // It must share no task with the job that is watched.
    spec.set_seed(77);
    return spec;
  }

  void Run() {
    client::Interrupt pause;
    for (int i = 0; !stop_; ++i) {
      const std::string path = directory_.Join("blob");
      ASSERT_THAT(WriteFileAtomically(path, absl::StrCat("load ", i)), IsOk());
      const auto digest = cluster_.client().UploadFile(path, v1::ARTIFACT_TYPE_MODULE);
      ASSERT_THAT(digest.status(), IsOk());
      uploaded_.push_back(*digest);
      if (i % kBlobsPerJob == 0) SubmitAndCancel(absl::StrCat("load-", i));
      pause.WaitFor(absl::Milliseconds(50));
    }
  }

  void SubmitAndCancel(const std::string& request) {
    const auto job = cluster_.client().CreateJob(Spec(), request);
    ASSERT_THAT(job.status(), IsOk());
    const auto cancelled = cluster_.client().CancelJob(job->id());
    ASSERT_THAT(cancelled.status(), IsOk());
    cancelled_[request] = job->id();
  }

  Cluster& cluster_;
  TempDir directory_;
  std::vector<std::string> uploaded_;
  std::map<std::string, std::string> cancelled_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class FailoverTest : public ::testing::Test {
 protected:
  FailoverTest()
      : cluster_(kWorkers, database_.socket_path(), [this](int port) {
          return PostgresServer::Through(conninfo_, "127.0.0.1", port);
        }) {}

  int AwaitLeader() {
    int leader = -1;
    EXPECT_TRUE(Eventually(
        [&] {
          for (int i = 0; i < 2 && leader < 0; ++i) leader = cluster_.Leads(i) ? i : -1;
          return leader >= 0;
        },
        kPatience))
        << cluster_.Logs();
    return leader;
  }

  // Ends the leader, waits for the other one, and brings the ended one back to stand by.
  void FailOver(End end) {
    const int leader = AwaitLeader();
    ASSERT_GE(leader, 0);
    const int other = 1 - leader;
    Process& process = cluster_.server(leader);
    const MonotonicTime struck = clock_.Now();
    if (end == End::kKill) process.Kill();
    if (end == End::kStop) process.Signal(SIGSTOP);
    if (end == End::kPartition) cluster_.database_link(leader).CutBoth();
    ASSERT_TRUE(Eventually([&] { return cluster_.Leads(other); }, kPatience)) << cluster_.Logs();
    const absl::Duration took = clock_.Now() - struck;
    if (ends_ > kEndsOfTheSlice) EXPECT_LT(took, kTakeoverLimit) << Name(end) << cluster_.Logs();
    longest_ = std::max(longest_, took);
    if (end == End::kStop) process.Signal(SIGCONT);
    if (end != End::kKill) {
      // It finds out, or its next write is refused: it ends either way.
      const std::optional<int> status = process.Wait(kPatience);
      EXPECT_TRUE(status == kLeadershipLost || status == kStoreFailed)
          << Name(end) << " ended with " << status.value_or(-1) << cluster_.Logs();
    }
    if (end == End::kPartition) cluster_.database_link(leader).Heal();
    cluster_.StartServer(leader);
  }

  const int ends_ = static_cast<int>(FromEnvironment("DISTILL_FAILOVERS", 3));
  SystemClock clock_;
  PostgresServer database_;
  const std::string conninfo_ = database_.NewDatabase();
  Cluster cluster_;
  absl::Duration longest_;
};

TEST_F(FailoverTest, NothingAcknowledgedIsLostAndTheBitsAreTheSame) {
  CounterRandom random(static_cast<uint64_t>(FromEnvironment("DISTILL_FAULT_SEED", 1)));
  // Nobody disturbs the first one.
  const auto first = cluster_.client().CreateJob(SmallJob(cluster_.dataset()), "undisturbed");
  ASSERT_THAT(first.status(), IsOk()) << cluster_.Logs();
  Watcher undisturbed(cluster_.client(), first->id());
  const auto done = undisturbed.Join();
  ASSERT_THAT(done.status(), IsOk());
  const Outcome expected = Examine(cluster_.client(), *done);
  EXPECT_FALSE(expected.digests.empty());

  Changer changer(cluster_);
  int struck = 0;
  int jobs = 0;
  std::map<End, int> by_kind;
  while (struck < ends_ && !HasFailure()) {
    // In a project of its own it shares no results with those before.
    v1::JobSpec spec = SmallJob(cluster_.dataset());
    spec.set_project(absl::StrCat("again-", jobs++));
    const auto job = cluster_.client().CreateJob(spec, absl::StrCat("job-", jobs));
    ASSERT_THAT(job.status(), IsOk()) << cluster_.Logs();
    Watcher watcher(cluster_.client(), job->id());
    client::Interrupt pause;
    for (int in_this_job = 0; in_this_job < 3 && struck < ends_ && !HasFailure(); ++in_this_job) {
      pause.WaitFor(absl::Seconds(random.Uniform(0, 1)));
      const End end = static_cast<End>(struck % 3);
      FailOver(end);
      ++struck;
      ++by_kind[end];
    }
    const auto ended = watcher.Join();
    ASSERT_THAT(ended.status(), IsOk()) << cluster_.Logs();
    EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->failure_message();
    EXPECT_EQ(watcher.succeeded().size(), static_cast<size_t>(ended->tasks_total()));
    EXPECT_EQ(Examine(cluster_.client(), *ended).digests, expected.digests);
  }
  changer.CheckNothingIsLost();
  EXPECT_TRUE(cluster_.EndInOrder()) << cluster_.Logs();
  std::cout << struck << " ends of the leader (" << by_kind[End::kKill] << " SIGKILL, "
            << by_kind[End::kStop] << " SIGSTOP, " << by_kind[End::kPartition] << " partition) in "
            << jobs << " jobs, longest takeover " << longest_ << ", " << changer.acknowledged()
            << " acknowledged changes besides, none lost\n";
}

}  // namespace
}  // namespace distill
