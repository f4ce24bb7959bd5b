// A database that an older server left behind opens with everything in it, whatever migrations came
// since; each step of the schema is whole or not there at all.
#include <cstdlib>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/schema.h"
#include "storage/state/sqlite_state_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Digest DigestOf(char digit) { return Digest::Parse("sha256:" + std::string(64, digit)).value(); }

class SchemaMigrationTest : public ::testing::Test {
 protected:
  SchemaMigrationTest() {
    const std::string fixture = ReadFile(JoinPath(SCHEMA_FIXTURE_DIR, "schema_1.sql")).value();
    auto old = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    EXPECT_THAT(old->Execute(SchemaMigrations()[0]), IsOk());
    EXPECT_THAT(old->Execute(fixture + "PRAGMA user_version = 1;"), IsOk());
  }
  int64_t QueryInt(const std::string& path, const char* sql) {
    return SqliteConnection::Open(path, SqliteConnection::Mode::kReadOnly)
        .value()
        ->QueryInt(sql)
        .value();
  }

  TempDir dir_;
  const std::string path_ = dir_.Join("state.db");
};

TEST_F(SchemaMigrationTest, JobsAndTasksOfSchemaOneAreAllThere) {
  auto store = SqliteStateStore::Open(path_).value();
  const StateImage image = store->Load().value();
  EXPECT_EQ(image.last_revision, 12);
  ASSERT_THAT(image.jobs, SizeIs(2));
  const JobRecord& old = image.jobs[0];
  EXPECT_EQ(old.display_name, "old job");
  EXPECT_EQ(old.spec, std::string("\n\0\xff", 3));
  EXPECT_EQ(old.status.state, JobState::kSucceeded);
  EXPECT_THAT(old.status.artifacts, ElementsAre(NamedBlob{"report.json", DigestOf('1'), 7}));
  EXPECT_THAT(old.datasets, SizeIs(0));
  EXPECT_EQ(image.jobs[1].project, ProjectId("vision"));
  EXPECT_EQ(image.jobs[1].limits.max_user_failures, 4);
  EXPECT_EQ(image.jobs[1].status.finish_time, kUnsetTime);

  ASSERT_THAT(image.tasks, SizeIs(2));
  EXPECT_THAT(image.tasks[0].definition.inputs,
              ElementsAre(TaskInput{"model", "", "", DigestOf('3')}));
  EXPECT_THAT(image.tasks[0].status.results, ElementsAre(NamedBlob{"metrics", DigestOf('4'), 9}));
  EXPECT_EQ(image.tasks[1].status.state, TaskState::kRunning);
  EXPECT_EQ(image.tasks[1].status.checkpoint, (Checkpoint{DigestOf('5'), 10, 40}));
  EXPECT_TRUE(image.tasks[1].status.solo);
}

TEST_F(SchemaMigrationTest, TheRestOfSchemaOneIsAllThere) {
  auto store = SqliteStateStore::Open(path_).value();
  const StateImage image = store->Load().value();
  ASSERT_THAT(image.attempts, SizeIs(3));
  EXPECT_EQ(image.attempts[1].message, "loss is not finite");
  EXPECT_EQ(image.attempts[1].failure_class, FailureClass::kUser);
  EXPECT_EQ(image.attempts[2].lease_id, LeaseId("lease-c"));
  ASSERT_THAT(image.blobs, SizeIs(1));
  EXPECT_EQ(image.blobs[0].size_bytes, 9);
  ASSERT_THAT(image.results, SizeIs(1));
  EXPECT_EQ(image.results[0].key, DigestOf('2'));
  EXPECT_EQ(image.results[0].kind, "EVALUATE");
  EXPECT_EQ(image.results[0].create_time, kUnsetTime);
  EXPECT_EQ(image.attempts[0].device_time, absl::ZeroDuration());
  EXPECT_THAT(image.ledger, SizeIs(0));
  ASSERT_THAT(image.requests, SizeIs(2));
  EXPECT_EQ(image.requests[1].body, DigestOf('6'));
  ASSERT_THAT(image.workers, SizeIs(1));
  EXPECT_TRUE(image.workers[0].draining);
  EXPECT_THAT(store->Lineage(DigestOf('4')).value(), SizeIs(1));
  EXPECT_THAT(store->EventsAfter(JobId("job-2"), 0, 10).value(), SizeIs(1));
}

TEST_F(SchemaMigrationTest, AMigratedDatabaseIsOfTheNewestSchemaAndKeepsACopyOfTheOld) {
  auto store = SqliteStateStore::Open(path_).value();
  EXPECT_EQ(QueryInt(path_, "PRAGMA user_version"),
            static_cast<int64_t>(SchemaMigrations().size()));
  EXPECT_EQ(QueryInt(path_ + ".v1.backup", "PRAGMA user_version"), 1);
  EXPECT_EQ(QueryInt(path_ + ".v1.backup", "SELECT count(*) FROM jobs"), 2);

  DatasetRecord dataset;
  dataset.name = DatasetName("fashion");
  JobRecord job;
  job.id = JobId("job-3");
  job.create_revision = 13;
  job.datasets = {dataset.name};
  EXPECT_THAT(store->Commit({PutDataset{dataset}, InsertJob{job}}), IsOk());
  EXPECT_EQ(store->GetJob(job.id)->datasets, job.datasets);
}

// The last step fails: none has happened.
TEST_F(SchemaMigrationTest, AMigrationThatFailsLeavesTheOldSchema) {
  {
    auto connection = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    ASSERT_THAT(connection->Execute("CREATE TABLE datasets (in_the_way INTEGER) STRICT"), IsOk());
  }
  EXPECT_THAT(SqliteStateStore::Open(path_).status().message(),
              HasSubstr("cannot migrate state database"));
  EXPECT_EQ(QueryInt(path_, "PRAGMA user_version"), 1);
  EXPECT_EQ(QueryInt(path_, "SELECT count(*) FROM jobs"), 2);
}

TEST_F(SchemaMigrationTest, ANewerSchemaIsRefused) {
  {
    auto connection = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    ASSERT_THAT(connection->Execute("PRAGMA user_version = 99"), IsOk());
  }
  EXPECT_THAT(SqliteStateStore::Open(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("newer than this program")));
  EXPECT_EQ(QueryInt(path_, "PRAGMA user_version"), 99);
}

}  // namespace
}  // namespace distill::storage
