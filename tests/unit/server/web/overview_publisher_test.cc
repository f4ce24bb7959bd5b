// Snapshots are taken once for all that look alike, and sent when they differ.
#include "server/web/overview_publisher.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

// Snapshots that the test sets, and how often they were taken.
class Source {
 public:
  absl::StatusOr<std::string> Take(const OverviewPublisher::Viewer& viewer)
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    ++taken_[viewer.authorization];
    changed_.NotifyAll();
    return next_;
  }
  void Set(absl::StatusOr<std::string> next) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    next_ = std::move(next);
  }
  int taken(const std::string& authorization) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return taken_[authorization];
  }
  // Until the publisher has come round `more` times.
  void AwaitRounds(int more) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    const int wanted = taken_[""] + more;
    while (taken_[""] < wanted) changed_.Wait(mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  absl::StatusOr<std::string> next_ ABSL_GUARDED_BY(mu_) = std::string("{\"a\":1}");
  std::map<std::string, int> taken_ ABSL_GUARDED_BY(mu_);
};

class OverviewPublisherTest : public ::testing::Test {
 protected:
  Source source_;
  OverviewPublisher publisher_{
      [this](const OverviewPublisher::Viewer& viewer) { return source_.Take(viewer); },
      /*interval=*/absl::Milliseconds(5)};
};

TEST_F(OverviewPublisherTest, SendsTheFirstSnapshotAndThenChanges) {
  const absl::StatusOr<std::unique_ptr<WebStream>> stream = publisher_.Subscribe({});
  ASSERT_THAT(stream, IsOk());
  EXPECT_EQ(*(*stream)->Next(), "event: overview\ndata: {\"a\":1}\n\n");
  // Equal snapshots are not sent: the next one is the one that differs.
  source_.AwaitRounds(3);
  source_.Set("{\"a\":2}");
  EXPECT_EQ(*(*stream)->Next(), "event: overview\ndata: {\"a\":2}\n\n");
}

TEST_F(OverviewPublisherTest, EqualViewersShareSnapshots) {
  std::vector<std::unique_ptr<WebStream>> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(*publisher_.Subscribe({"Bearer shared", false}));
    EXPECT_THAT(*streams.back()->Next(), HasSubstr("{\"a\":1}"));
  }
  const absl::StatusOr<std::unique_ptr<WebStream>> other = publisher_.Subscribe({"", false});
  ASSERT_THAT(other, IsOk());
  const int before = source_.taken("Bearer shared");
  source_.AwaitRounds(3);
  EXPECT_LE(source_.taken("Bearer shared") - before, 4);
}

TEST_F(OverviewPublisherTest, FirstErrorIsTheAnswer) {
  source_.Set(absl::UnauthenticatedError("cannot tell who calls"));
  EXPECT_THAT(publisher_.Subscribe({}),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("who calls")));
}

// A token that was revoked sees nothing more; one that comes anew starts anew.
TEST_F(OverviewPublisherTest, LaterErrorEndsTheStream) {
  const absl::StatusOr<std::unique_ptr<WebStream>> stream = publisher_.Subscribe({});
  ASSERT_THAT(stream, IsOk());
  EXPECT_TRUE((*stream)->Next().has_value());
  source_.Set(absl::UnauthenticatedError("token was revoked"));
  EXPECT_THAT(*(*stream)->Next(), HasSubstr("event: failure\ndata: {\"code\":16"));
  EXPECT_EQ((*stream)->Next(), std::nullopt);
  source_.Set("{\"a\":3}");
  const absl::StatusOr<std::unique_ptr<WebStream>> again = publisher_.Subscribe({});
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(*(*again)->Next(), HasSubstr("{\"a\":3}"));
}

TEST_F(OverviewPublisherTest, StopAndCancelEndStreams) {
  const absl::StatusOr<std::unique_ptr<WebStream>> cancelled = publisher_.Subscribe({});
  const absl::StatusOr<std::unique_ptr<WebStream>> stopped = publisher_.Subscribe({});
  ASSERT_THAT(cancelled, IsOk());
  ASSERT_THAT(stopped, IsOk());
  EXPECT_TRUE((*stopped)->Next().has_value());
  (*cancelled)->Cancel();
  EXPECT_EQ((*cancelled)->Next(), std::nullopt);
  publisher_.Stop();
  EXPECT_EQ((*stopped)->Next(), std::nullopt);
  EXPECT_THAT(publisher_.Subscribe({}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
}

}  // namespace
}  // namespace distill::server
