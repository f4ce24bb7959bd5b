// What only the PostgreSQL store promises: survival of a reopening, versions of the schema, text
// that PostgreSQL can keep, and no secrets on command lines.
#include "storage/state/postgres_state_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/postgres_leadership.h"
#include "storage/state/schema.h"
#include "tests/support/postgres/postgres_server.h"
#include "tests/support/state_records.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tcp_proxy.h"

namespace distill::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class PostgresStateStoreTest : public ::testing::Test {
 protected:
  // Becomes the leader, so that an earlier store's writes are refused from then on.
  absl::StatusOr<std::unique_ptr<StateStore>> TryOpen() {
    PostgresLeadershipConfig config;
    config.conninfo = conninfo_;
    config.holder = absl::StrCat("server-", ++opened_);
    config.takeover_after = absl::ZeroDuration();
    auto leadership = OpenPostgresLeadership(config, clock_).value();
    EXPECT_TRUE(leadership->TryToLead().value());
    return leadership->OpenStore();
  }
  std::unique_ptr<StateStore> Open() { return TryOpen().value(); }
  std::unique_ptr<PostgresConnection> Connect() {
    PostgresOptions options;
    options.conninfo = conninfo_;
    return PostgresConnection::Open(options).value();
  }

  SystemClock clock_;
  std::string conninfo_ = SharedPostgresServer().NewDatabase();
  int opened_ = 0;
};

JobRecord Job(const std::string& id, int64_t age) {
  JobRecord job;
  job.id = JobId(id);
  job.create_revision = age;
  return job;
}

TEST_F(PostgresStateStoreTest, SurvivesReopening) {
  ASSERT_THAT(Open()->Commit({PutWorker{DrainingWorker("w")}}), IsOk());
  auto store = Open();
  EXPECT_TRUE(store->Load()->workers.at(0).draining);
  EXPECT_EQ(Connect()->QueryInt("SELECT MAX(version) FROM distill_schema").value(),
            static_cast<int64_t>(SchemaMigrations().size()));
}

TEST_F(PostgresStateStoreTest, AFormerLeaderWritesNothing) {
  auto old_store = Open();
  ASSERT_THAT(old_store->Commit({InsertJob{Job("kept", 1)}}), IsOk());
  auto new_store = Open();
  EXPECT_THAT(old_store->Commit({InsertJob{Job("refused", 2)}}),
              StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(new_store->Commit({InsertJob{Job("also-kept", 3)}}), IsOk());
  EXPECT_THAT(new_store->Load()->jobs, SizeIs(2));
  EXPECT_THAT(new_store->GetJob(JobId("refused")), StatusIs(absl::StatusCode::kNotFound));
}

// Even one whose session was not ended: the row itself refuses.
TEST_F(PostgresStateStoreTest, TheRowRefusesAnotherEpoch) {
  auto store = Open();
  ASSERT_THAT(Connect()->Execute(
                  "UPDATE distill_leadership SET epoch=epoch+1, writer_epoch=writer_epoch+1"),
              IsOk());
  EXPECT_THAT(store->Commit({InsertJob{Job("refused", 1)}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only_the_leader_writes")));
  EXPECT_THAT(store->Commit({InsertJob{Job("refused", 1)}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("restart the server")));
  EXPECT_EQ(Connect()->QueryInt("SELECT COUNT(*) FROM jobs").value(), 0);
}

TEST_F(PostgresStateStoreTest, RefusesANewerSchema) {
  Open();
  ASSERT_THAT(Connect()->Execute("INSERT INTO distill_schema VALUES (99)"), IsOk());
  EXPECT_THAT(TryOpen().status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                           HasSubstr("newer than this program")));
}

TEST_F(PostgresStateStoreTest, ADatabaseOfSchemaOneKeepsItsJobs) {
  auto connection = Connect();
  ASSERT_THAT(connection->Execute("BEGIN"), IsOk());
  ASSERT_THAT(connection->MigrateTo(1), IsOk());
  ASSERT_THAT(connection->Execute(
                  "INSERT INTO jobs VALUES ('job-1','default','old job','\\x0a00ff',3,20,16,"
                  "1700000000000000,5,2,'',1700000001000000,12,''); COMMIT"),
              IsOk());
  const StateImage image = Open()->Load().value();
  ASSERT_THAT(image.jobs, SizeIs(1));
  EXPECT_EQ(image.jobs[0].spec, std::string("\n\0\xff", 3));
  EXPECT_THAT(image.datasets, SizeIs(0));
}

// A message that was cut in the middle of a character must not stop the server.
TEST_F(PostgresStateStoreTest, TextBecomesWhatTheDatabaseCanKeep) {
  auto store = Open();
  JobRecord job = Job("j", 1);
  job.display_name = std::string("\0a\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3", 15);
  job.status.failure_message = "\xed\xa0\x80|\xc0\xaf|\xff";
  ASSERT_THAT(store->Commit({InsertJob{job}}), IsOk());
  EXPECT_EQ(store->GetJob(job.id)->display_name, "?a\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 ?");
  EXPECT_EQ(store->GetJob(job.id)->status.failure_message, "???|??|?");
}

TEST_F(PostgresStateStoreTest, ALargeTransactionIsOneRoundTrip) {
  auto store = Open();
  std::vector<Mutation> mutations = {InsertJob{Job("j", 1)}};
  for (int i = 0; i < 5000; ++i) {
    TaskRecord task;
    task.job = JobId("j");
    task.definition.name = absl::StrCat("t", i);
    task.definition.index = i;
    task.definition.spec = std::string(2000, 'x');
    task.id = MakeTaskId(task.job, task.definition.name);
    mutations.push_back(InsertTask{task});
  }
  ASSERT_THAT(store->Commit(mutations), IsOk());
  EXPECT_EQ(store->CountTasks(JobId("j"))->total, 5000);
  EXPECT_THAT(store->Load()->tasks, SizeIs(5000));
}

// A new leader waits for it, perhaps far from the database.
TEST_F(PostgresStateStoreTest, LoadsManyJobsInAFewRoundTrips) {
  constexpr int kJobs = 300;
  constexpr absl::Duration kDelay = absl::Milliseconds(10);
  std::vector<Mutation> mutations;
  for (int i = 1; i <= kJobs; ++i) mutations.push_back(InsertJob{Job(absl::StrCat("j", i), i)});
  ASSERT_THAT(Open()->Commit(mutations), IsOk());

  TcpProxy network(SharedPostgresServer().socket_path());
  conninfo_ = PostgresServer::Through(conninfo_, "127.0.0.1", network.port());
  auto store = Open();
  network.SetDelay(TcpProxy::Direction::kToServer, kDelay);
  const MonotonicTime start = clock_.Now();
  EXPECT_THAT(store->Load()->jobs, SizeIs(kJobs));
  EXPECT_LT(clock_.Now() - start, kJobs * kDelay);
}

TEST_F(PostgresStateStoreTest, AnUnknownRowUndoesTheWholeTransaction) {
  auto store = Open();
  EXPECT_THAT(store->Commit({InsertJob{Job("j", 1)}, UpdateJob{JobId("ghost"), {}}}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("id=ghost")));
  EXPECT_EQ(Connect()->QueryInt("SELECT COUNT(*) FROM jobs").value(), 0);
}

TEST(PostgresConninfoTest, PasswordsAreRefusedAndNotRepeated) {
  for (const std::string conninfo : {"host=db password=hunter2", "postgresql://me:hunter2@db/x"}) {
    const absl::Status status = ValidatePostgresConninfo(conninfo);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("PGPASSFILE")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2")));
  }
  EXPECT_THAT(ValidatePostgresConninfo("nonsense hunter2"),
              StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("hunter2"))));
  EXPECT_THAT(ValidatePostgresConninfo("host=db dbname=distill"), IsOk());
}

TEST(PostgresConninfoTest, ADatabaseThatIsNotThereIsUnavailable) {
  PostgresOptions options;
  options.conninfo = "host=/nowhere dbname=distill";
  EXPECT_THAT(PostgresConnection::Open(options).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/nowhere")));
}

}  // namespace
}  // namespace distill::storage
