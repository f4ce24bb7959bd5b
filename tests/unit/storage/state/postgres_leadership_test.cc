// Who leads: one at a time, the next one after silence, and at once after a resignation.
#include "storage/state/postgres_leadership.h"

#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/postgres_connection.h"
#include "tests/support/postgres/postgres_server.h"
#include "tests/support/state_records.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

class PostgresLeadershipTest : public ::testing::Test {
 protected:
  std::unique_ptr<Leadership> Join(const std::string& holder) {
    PostgresLeadershipConfig config;
    config.conninfo = conninfo_;
    config.holder = holder;
    config.address = holder + ":7700";
    config.renew_interval = absl::Milliseconds(50);
    config.takeover_after = absl::Seconds(2);
    return OpenPostgresLeadership(config, clock_).value();
  }
  void Execute(const std::string& sql) {
    PostgresOptions options;
    options.conninfo = conninfo_;
    ASSERT_THAT(PostgresConnection::Open(options).value()->Execute(sql), IsOk());
  }

  SystemClock clock_;
  const std::string conninfo_ = SharedPostgresServer().NewDatabase();
};

TEST_F(PostgresLeadershipTest, OneLeadsAndTheOtherKnowsWhere) {
  auto a = Join("a");
  auto b = Join("b");
  EXPECT_FALSE(a->Leads());
  EXPECT_THAT(a->TryToLead(), IsOkAndHolds(true));
  EXPECT_TRUE(a->Leads());
  EXPECT_THAT(b->TryToLead(), IsOkAndHolds(false));
  EXPECT_EQ(b->leader_address(), "a:7700");
  EXPECT_FALSE(b->Leads());
}

TEST_F(PostgresLeadershipTest, RenewingKeepsItBeyondTheLimit) {
  auto a = Join("a");
  auto b = Join("b");
  ASSERT_THAT(a->TryToLead(), IsOkAndHolds(true));
  a->Hold([](const absl::Status& status) { ADD_FAILURE() << status; });
  // As if the time had passed: the next renewal comes before it is judged.
  Execute("UPDATE distill_leadership SET renewed_at = clock_timestamp() - INTERVAL '1500 ms'");
  EXPECT_TRUE(Eventually(
      [&] {
        PostgresOptions options;
        options.conninfo = conninfo_;
        return PostgresConnection::Open(options)
                   .value()
                   ->QueryInt(
                       "SELECT COUNT(*) FROM distill_leadership WHERE renewed_at > "
                       "clock_timestamp() - INTERVAL '1 s'")
                   .value() == 1;
      },
      absl::Seconds(20)));
  EXPECT_THAT(b->TryToLead(), IsOkAndHolds(false));
}

TEST_F(PostgresLeadershipTest, SilenceLosesItAndTheLoserIsTold) {
  auto a = Join("a");
  auto b = Join("b");
  ASSERT_THAT(a->TryToLead(), IsOkAndHolds(true));
  auto old_store = a->OpenStore().value();
  Execute("UPDATE distill_leadership SET renewed_at = clock_timestamp() - INTERVAL '3 s'");
  ASSERT_THAT(b->TryToLead(), IsOkAndHolds(true));
  EXPECT_EQ(b->leader_address(), "b:7700");
  Mutex mu;
  CondVar told;
  absl::Status cause;
  a->Hold([&](const absl::Status& status) {
    MutexLock lock(mu);
    cause = status;
    told.NotifyAll();
  });
  {
    MutexLock lock(mu);
    while (cause.ok()) told.Wait(mu);
    EXPECT_THAT(cause, StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  EXPECT_FALSE(a->Leads());
  EXPECT_FALSE(old_store->Commit({PutWorker{DrainingWorker("w")}}).ok());
}

TEST_F(PostgresLeadershipTest, ResigningLetsTheNextOneLeadAtOnce) {
  auto a = Join("a");
  auto b = Join("b");
  ASSERT_THAT(a->TryToLead(), IsOkAndHolds(true));
  a->Hold([](const absl::Status& status) { ADD_FAILURE() << status; });
  a->Resign();
  EXPECT_FALSE(a->Leads());
  EXPECT_THAT(b->TryToLead(), IsOkAndHolds(true));
}

// A writer that was stopped inside a transaction holds the row's lock; its session is ended.
TEST_F(PostgresLeadershipTest, ALockThatTheOldLeaderHoldsDoesNotStopTheNext) {
  auto a = Join("a");
  auto b = Join("b");
  ASSERT_THAT(a->TryToLead(), IsOkAndHolds(true));
  Execute("UPDATE distill_leadership SET renewed_at = clock_timestamp() - INTERVAL '3 s'");
  PostgresOptions options;
  options.conninfo = conninfo_;
  options.application_name = "distill-writer-a";
  auto stuck = PostgresConnection::Open(options).value();
  ASSERT_THAT(stuck->Execute("BEGIN; UPDATE distill_leadership SET writer_epoch=1"), IsOk());
  EXPECT_THAT(b->TryToLead(), IsOkAndHolds(true));
  EXPECT_THAT(stuck->Execute("COMMIT"), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace distill::storage
