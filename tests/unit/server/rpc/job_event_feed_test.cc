// A watch gets each event once and in order, and is woken for what comes while it does not look.
#include "server/rpc/job_event_feed.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/memory_state_store.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class JobEventFeedTest : public ::testing::Test {
 protected:
  JobEventFeedTest() {
    job_.id = JobId("job-1");
    job_.create_revision = 1;
    EXPECT_THAT(store_.Commit({storage::InsertJob{job_}}), IsOk());
  }

  JobEventFeed Feed(int64_t after_revision = 0) {
    JobEventFeed::Options options;
    options.after_revision = after_revision;
    return JobEventFeed(store_, hub_, job_.id, options, [this] { ++wakes_; });
  }

  // Committed and published, as the driver does it.
  void Happens(int64_t revision, storage::JobState state = storage::JobState::kRunning) {
    storage::EventRecord event;
    event.revision = revision;
    event.job = job_.id;
    event.job_state = state;
    job_.status.state = state;
    job_.status.revision = revision;
    ASSERT_THAT(
        store_.Commit({storage::UpdateJob{job_.id, job_.status}, storage::AppendEvent{event}}),
        IsOk());
    hub_.Publish({&event}, {});
  }

  static std::vector<int64_t> Revisions(const JobEventFeed::Batch& batch) {
    std::vector<int64_t> revisions;
    for (const v1::JobEvent& event : batch.events) revisions.push_back(event.revision());
    return revisions;
  }

  storage::MemoryStateStore store_;
  WatchHub hub_{WatchHubConfig{/*max_queued_events=*/4}};
  storage::JobRecord job_;
  int wakes_ = 0;
};

TEST_F(JobEventFeedTest, HistoryThenNewsThenTheEnd) {
  Happens(2);
  JobEventFeed feed = Feed();
  EXPECT_THAT(Revisions(feed.Next().value()), ElementsAre(2));
  EXPECT_THAT(Revisions(feed.Next().value()), IsEmpty());
  Happens(3);
  EXPECT_EQ(wakes_, 1);
  EXPECT_THAT(Revisions(feed.Next().value()), ElementsAre(3));
  Happens(4, storage::JobState::kSucceeded);
  const JobEventFeed::Batch last = feed.Next().value();
  EXPECT_THAT(Revisions(last), ElementsAre(4));
  EXPECT_TRUE(last.terminal);
}

// The news that wakes may be read from history; what comes later must wake again.
TEST_F(JobEventFeedTest, IsWokenAlsoAfterNewsThatHistoryHadAlready) {
  JobEventFeed feed = Feed();
  Happens(2);
  EXPECT_EQ(wakes_, 1);
  EXPECT_THAT(Revisions(feed.Next().value()), ElementsAre(2));
  EXPECT_THAT(Revisions(feed.Next().value()), IsEmpty());
  Happens(3, storage::JobState::kSucceeded);
  EXPECT_EQ(wakes_, 2);
  const JobEventFeed::Batch last = feed.Next().value();
  EXPECT_THAT(Revisions(last), ElementsAre(3));
  EXPECT_TRUE(last.terminal);
}

TEST_F(JobEventFeedTest, OneThatWasTooSlowGoesOnFromTheStore) {
  JobEventFeed feed = Feed();
  EXPECT_THAT(Revisions(feed.Next().value()), IsEmpty());
  for (int64_t revision = 2; revision < 9; ++revision) Happens(revision);
  EXPECT_EQ(wakes_, 1);
  EXPECT_THAT(Revisions(feed.Next().value()), ElementsAre(2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(Revisions(feed.Next().value()), IsEmpty());
  Happens(9);
  EXPECT_EQ(wakes_, 2);
  EXPECT_THAT(Revisions(feed.Next().value()), ElementsAre(9));
}

TEST_F(JobEventFeedTest, OfAJobThatHasEndedNothingFollows) {
  Happens(2, storage::JobState::kFailed);
  JobEventFeed feed = Feed(/*after_revision=*/2);
  const JobEventFeed::Batch batch = feed.Next().value();
  EXPECT_THAT(batch.events, IsEmpty());
  EXPECT_TRUE(batch.terminal);
}

TEST_F(JobEventFeedTest, EndsWithTheServer) {
  JobEventFeed feed = Feed();
  EXPECT_THAT(Revisions(feed.Next().value()), IsEmpty());
  hub_.Close();
  EXPECT_EQ(wakes_, 1);
  EXPECT_THAT(feed.Next().status(), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace distill::server
