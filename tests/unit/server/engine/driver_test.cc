// The driver's promise: first the commit, then the reply.
#include "server/engine/driver.h"

#include <future>
#include <optional>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/memory_state_store.h"
#include "tests/support/scheduler/job_builder.h"
#include "tests/support/scripted_id_source.h"
#include "tests/support/simulated_clock.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Counts commits and fails them on request.
class WatchedStore : public storage::MemoryStateStore {
 public:
  absl::Status Commit(absl::Span<const storage::Mutation> mutations) override {
    ++commits;
    for (const storage::Mutation& mutation : mutations) {
      ledger_rows += std::holds_alternative<storage::PutLedger>(mutation) ? 1 : 0;
    }
    if (fail) return absl::ResourceExhaustedError("disk is full");
    return MemoryStateStore::Commit(mutations);
  }
  int commits = 0;
  int ledger_rows = 0;
  bool fail = false;
};

class DriverTest : public ::testing::Test {
 protected:
  DriverTest() { Open(); }
  void Open() {
    DriverConfig config;
    config.max_queue = 100;
    DriverDependencies dependencies{&store_, &clock_, &ids_, &metrics_, nullptr, nullptr};
    dependencies.on_fatal = [this](const absl::Status& status) { fatal_ = status; };
    dependencies.unlink_blobs = [this](std::vector<Digest> digests) {
      for (Digest& digest : digests) unlinked_.push_back(std::move(digest));
    };
    driver_ = Driver::Open(config, dependencies).value();
  }
  template <typename EventType>
  absl::StatusOr<typename EventType::Reply> Call(EventType event) {
    absl::StatusOr<typename EventType::Reply> result = absl::UnknownError("no reply");
    driver_->Post(std::move(event), [&](auto reply) { result = std::move(reply); });
    while (driver_->RunOnce()) {
    }
    return result;
  }

  WatchedStore store_;
  SimulatedClock clock_;
  ScriptedIdSource ids_;
  NullMetrics metrics_;
  absl::Status fatal_;
  std::vector<Digest> unlinked_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(DriverTest, RepliesAfterTheCommit) {
  int commits_at_reply = -1;
  driver_->Post(MakeJob("j", {TaskBuilder("a")}), [&](absl::StatusOr<SubmitJobReply> reply) {
    EXPECT_THAT(reply, IsOk());
    EXPECT_THAT(store_.GetJob(JobId("j")), IsOk());
    commits_at_reply = store_.commits;
  });
  EXPECT_EQ(commits_at_reply, -1);
  EXPECT_TRUE(driver_->RunOnce());
  EXPECT_EQ(commits_at_reply, 1);
  EXPECT_FALSE(driver_->RunOnce());
}

TEST_F(DriverTest, CommitsABatchAtOnce) {
  for (int i = 0; i < 50; ++i) {
    driver_->Post(BlobPresent{DigestFor(std::to_string(i)), 1, 1}, nullptr);
  }
  EXPECT_TRUE(driver_->RunOnce());
  EXPECT_EQ(store_.commits, 1);
  EXPECT_EQ(store_.Load()->blobs.size(), 50u);
}

// A busy line of the ledger is one row of a commit, not one for each task.
TEST_F(DriverTest, OfALineOfTheLedgerACommitHoldsOnlyTheLast) {
  for (int i = 0; i < 10; ++i) {
    driver_->Post(MakeJob(absl::StrCat("j", i), {TaskBuilder("a").Key(absl::StrCat(i))}), nullptr);
  }
  EXPECT_TRUE(driver_->RunOnce());
  EXPECT_EQ(store_.commits, 1);
  EXPECT_EQ(store_.ledger_rows, 11);  // A line of each job, one of their project.
  const std::vector<storage::LedgerRecord> ledger = store_.Load()->ledger;
  ASSERT_THAT(ledger, SizeIs(11));
  EXPECT_EQ(ledger[0].job, JobId());
  EXPECT_EQ(ledger[0].entry, storage::LedgerEntry::kMissed);
  EXPECT_EQ(ledger[0].count, 10);
}

// Memory is ahead of the disk: nothing may be promised any more.
TEST_F(DriverTest, AFailedCommitEndsEveryCallAndStaysFailed) {
  Call(RegisterWorker{MakeWorker("w1"), {}}).value();
  std::vector<absl::Status> polls;
  driver_->Post(AcquireTasks{WorkerId("w1"), RequestId("r"), 1, absl::Seconds(60), {}, {}},
                [&](absl::StatusOr<AcquireReply> reply) { polls.push_back(reply.status()); });
  driver_->RunOnce();
  store_.fail = true;
  EXPECT_THAT(Call(MakeJob("j", {TaskBuilder("a")})),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("disk is full")));
  EXPECT_THAT(polls, ElementsAre(StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_THAT(fatal_, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(driver_->Health().ok());
  store_.fail = false;
  EXPECT_THAT(Call(CancelJob{JobId("j")}), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(store_.commits, 1);
}

TEST_F(DriverTest, LongPollsEndAtTheirDeadline) {
  Call(RegisterWorker{MakeWorker("w1"), {}}).value();
  std::optional<AcquireReply> reply;
  driver_->Post(AcquireTasks{WorkerId("w1"), RequestId("r"), 1, absl::Seconds(20), {}, {}},
                [&](absl::StatusOr<AcquireReply> answer) { reply = *std::move(answer); });
  driver_->RunOnce();
  EXPECT_EQ(driver_->NextDeadline(), clock_.Now() + absl::Seconds(20));
  clock_.Advance(absl::Seconds(20));
  EXPECT_TRUE(driver_->RunOnce());
  ASSERT_TRUE(reply.has_value());
  EXPECT_THAT(reply->lease_sets, IsEmpty());
}

TEST_F(DriverTest, AbandonedPollsAreAnsweredWithCancelled) {
  Call(RegisterWorker{MakeWorker("w1"), {}}).value();
  absl::Status status;
  const uint64_t call =
      driver_->Post(AcquireTasks{WorkerId("w1"), RequestId("r"), 1, absl::Seconds(20), {}, {}},
                    [&](absl::StatusOr<AcquireReply> reply) { status = reply.status(); });
  driver_->RunOnce();
  driver_->Abandon(call);
  driver_->RunOnce();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(DriverTest, RefusesMoreThanItsQueueHolds) {
  for (int i = 0; i < 100; ++i) driver_->Post(CancelJob{JobId("j")}, nullptr);
  absl::Status status;
  driver_->Post(CancelJob{JobId("j")},
                [&](absl::StatusOr<Done> reply) { status = reply.status(); });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(DriverTest, QueriesSeeTheCore) {
  Call(RegisterWorker{MakeWorker("w1", 3), {}}).value();
  int64_t workers = 0;
  driver_->PostQuery(
      [&](const Core* core, MonotonicTime now) { workers = core->Totals(now).workers_live; });
  driver_->RunOnce();
  EXPECT_EQ(workers, 1);
}

TEST_F(DriverTest, WatchersSeeEventsAfterTheCommit) {
  int wakes = 0;
  auto watch = driver_->watch_hub().Subscribe(JobId("j"), 0, [&] { ++wakes; });
  Call(MakeJob("j", {TaskBuilder("a")})).value();
  EXPECT_EQ(wakes, 1);
  const WatchBatch batch = watch->Next();
  EXPECT_THAT(batch.events, SizeIs(3));  // The job, its task BLOCKED, then QUEUED.
  EXPECT_EQ(batch.events, store_.EventsAfter(JobId("j"), 0, 100).value());
  EXPECT_TRUE(watch->Next().empty());
}

TEST_F(DriverTest, RecoversFromTheStore) {
  Call(MakeJob("j", {TaskBuilder("a")})).value();
  driver_.reset();
  Open();
  EXPECT_TRUE(Call(MakeJob("j", {TaskBuilder("a")}))->existed);
}

TEST_F(DriverTest, BlobsAreUnlinkedOnlyAfterTheCommitThatGivesThemUp) {
  const CollectGarbage collect{absl::Hours(1000), absl::Hours(1), 0};
  Call(BlobPresent{DigestFor("orphan"), 1, 1}).value();
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(Call(collect)->blobs_marked, 1);
  EXPECT_THAT(unlinked_, IsEmpty());
  clock_.Advance(absl::Hours(1));
  Call(collect).value();
  EXPECT_THAT(unlinked_, ElementsAre(DigestFor("orphan")));
  EXPECT_EQ(store_.GetBlob(DigestFor("orphan"))->state, storage::BlobState::kUnlinking);
}

TEST(DriverThreadTest, AnswersFromItsOwnThreadAndStops) {
  storage::MemoryStateStore store;
  SystemClock clock;
  SystemIdSource ids;
  NullMetrics metrics;
  std::unique_ptr<Driver> driver =
      Driver::Open(DriverConfig{}, DriverDependencies{&store, &clock, &ids, &metrics, {}, {}})
          .value();
  driver->Start();
  std::vector<std::future<absl::Status>> replies;
  for (int i = 0; i < 200; ++i) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    replies.push_back(promise->get_future());
    driver->Post(BlobPresent{DigestFor(std::to_string(i)), 1, 1},
                 [promise](absl::StatusOr<Done> reply) { promise->set_value(reply.status()); });
  }
  for (std::future<absl::Status>& reply : replies) EXPECT_THAT(reply.get(), IsOk());
  std::promise<absl::Status> open;
  driver->Post(RegisterWorker{MakeWorker("w1"), {}}, nullptr);
  driver->Post(AcquireTasks{WorkerId("w1"), RequestId("r"), 1, absl::Seconds(60), {}, {}},
               [&](absl::StatusOr<AcquireReply> reply) { open.set_value(reply.status()); });
  driver->Stop();
  EXPECT_THAT(open.get_future().get(), StatusIs(absl::StatusCode::kUnavailable));
}

storage::EventRecord EventAt(int64_t revision) {
  storage::EventRecord event;
  event.revision = revision;
  event.job = JobId("j");
  return event;
}

void Publish(WatchHub& hub, const std::vector<storage::EventRecord>& events,
             const std::vector<ProgressNews>& progress = {}) {
  std::vector<const storage::EventRecord*> pointers;
  for (const storage::EventRecord& event : events) pointers.push_back(&event);
  hub.Publish(pointers, progress);
}

TEST(WatchHubTest, DeliversOnlyAfterTheRevision) {
  WatchHub hub(WatchHubConfig{});
  auto watch = hub.Subscribe(JobId("j"), 4, nullptr);
  Publish(hub, {EventAt(3), EventAt(4), EventAt(5)});
  Publish(hub, {EventAt(5), EventAt(6)});
  EXPECT_THAT(watch->Next().events, ElementsAre(EventAt(5), EventAt(6)));
}

TEST(WatchHubTest, KeepsOnlyTheLatestProgressOfATask) {
  WatchHub hub(WatchHubConfig{});
  auto watch = hub.Subscribe(JobId("j"), 0, nullptr);
  for (int64_t step = 1; step <= 3; ++step) {
    ProgressNews news;
    news.job = JobId("j");
    news.task = "a";
    news.progress.step = step;
    Publish(hub, {}, {news});
  }
  const WatchBatch batch = watch->Next();
  ASSERT_THAT(batch.progress, SizeIs(1));
  EXPECT_EQ(batch.progress[0].progress.step, 3);
}

// One slow reader must not make the server's memory grow.
TEST(WatchHubTest, ASlowReaderLagsAndResumes) {
  WatchHub hub(WatchHubConfig{/*max_queued_events=*/4});
  auto watch = hub.Subscribe(JobId("j"), 0, nullptr);
  for (int64_t revision = 1; revision <= 6; ++revision) Publish(hub, {EventAt(revision)});
  WatchBatch batch = watch->Next();
  EXPECT_TRUE(batch.lagged);
  EXPECT_THAT(batch.events, IsEmpty());
  Publish(hub, {EventAt(7)});
  batch = watch->Next();
  EXPECT_FALSE(batch.lagged);
  EXPECT_THAT(batch.events, ElementsAre(EventAt(7)));
}

TEST(WatchHubTest, ClosingTellsEverybody) {
  WatchHub hub(WatchHubConfig{});
  int wakes = 0;
  auto watch = hub.Subscribe(JobId("j"), 0, [&] { ++wakes; });
  hub.Close();
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(watch->Next().closed);
  EXPECT_TRUE(hub.Subscribe(JobId("j"), 0, nullptr)->Next().closed);
}

}  // namespace
}  // namespace distill::server
