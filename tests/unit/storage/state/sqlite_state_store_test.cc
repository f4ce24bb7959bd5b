// What only the SQLite store promises: survival of a reopening, versions of the schema, and refusal
// of what it cannot trust.
#include "storage/state/sqlite_state_store.h"

#include <thread>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/schema.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::HasSubstr;

class SqliteStateStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteStateStore> Open() { return SqliteStateStore::Open(path_).value(); }
  int64_t QueryInt(const char* sql) {
    return SqliteConnection::Open(path_, SqliteConnection::Mode::kReadOnly)
        .value()
        ->QueryInt(sql)
        .value();
  }

  TempDir dir_;
  const std::string path_ = dir_.Join("state.db");
};

TEST_F(SqliteStateStoreTest, SurvivesReopening) {
  ASSERT_THAT(Open()->Commit({PutWorker{WorkerRecord{WorkerId("w"), true}}}), IsOk());
  EXPECT_TRUE(Open()->Load()->workers.at(0).draining);
}

TEST_F(SqliteStateStoreTest, IsInWriteAheadModeWithTheNewestSchema) {
  Open();
  EXPECT_EQ(QueryInt("PRAGMA user_version"), static_cast<int64_t>(SchemaMigrations().size()));
  EXPECT_TRUE(FileExists(path_));
}

TEST_F(SqliteStateStoreTest, RefusesANewerSchema) {
  Open();
  {
    auto connection = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    ASSERT_THAT(connection->Execute("PRAGMA user_version = 99"), IsOk());
  }
  EXPECT_THAT(SqliteStateStore::Open(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("newer than this program")));
}

// What a server of schema 1 left behind opens: its jobs, results and revisions are all there, and a
// copy of the old file stands beside it.
TEST_F(SqliteStateStoreTest, ADataDirectoryOfSchemaOneKeepsItsJobs) {
  {
    auto connection = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    ASSERT_THAT(connection->Execute(SchemaMigrations()[0]), IsOk());
    ASSERT_THAT(
        connection->Execute(
            "PRAGMA user_version = 1;"
            "UPDATE meta SET value=12 WHERE name='last_revision';"
            "INSERT INTO jobs VALUES ('job-1','default','old job',x'0a00ff',3,20,16,"
            "1700000000000000,5,2,'',1700000001000000,12,'');"
            "INSERT INTO tasks VALUES ('job-1/t','job-1',0,'t','EVALUATE',x'00','','','any','',0,"
            "'','metrics',4,1,0,0,0,0,0,1,'','','',0,0,'',0,0,'','',NULL,NULL,12);"
            "INSERT INTO requests VALUES ('default','r1','','job-1');"
            "INSERT INTO events VALUES (12,'job-1','',2,1,0,'','','',NULL,1,1,0,0);"),
        IsOk());
  }
  auto store = Open();
  const StateImage image = store->Load().value();
  EXPECT_EQ(image.last_revision, 12);
  ASSERT_EQ(image.jobs.size(), 1u);
  EXPECT_EQ(image.jobs[0].display_name, "old job");
  EXPECT_EQ(image.jobs[0].spec, std::string("\n\0\xff", 3));
  EXPECT_EQ(image.jobs[0].status.state, JobState::kSucceeded);
  EXPECT_TRUE(image.jobs[0].datasets.empty());
  ASSERT_EQ(image.tasks.size(), 1u);
  EXPECT_EQ(image.tasks[0].definition.outputs, std::vector<std::string>{"metrics"});
  EXPECT_EQ(image.requests.size(), 1u);
  EXPECT_EQ(store->EventsAfter(JobId("job-1"), 0, 10)->size(), 1u);
  EXPECT_TRUE(image.datasets.empty());
  EXPECT_EQ(QueryInt("PRAGMA user_version"), 2);

  DatasetRecord dataset;
  dataset.name = DatasetName("fashion");
  JobRecord job;
  job.id = JobId("job-2");
  job.create_revision = 13;
  job.datasets = {dataset.name};
  EXPECT_THAT(store->Commit({PutDataset{dataset}, InsertJob{job}}), IsOk());
  EXPECT_EQ(store->GetJob(job.id)->datasets, job.datasets);

  auto backup =
      SqliteConnection::Open(path_ + ".v1.backup", SqliteConnection::Mode::kReadOnly).value();
  EXPECT_EQ(backup->QueryInt("PRAGMA user_version").value(), 1);
  EXPECT_EQ(backup->QueryInt("SELECT count(*) FROM jobs").value(), 1);
}

TEST_F(SqliteStateStoreTest, RefusesAFileThatIsNoDatabase) {
  ASSERT_THAT(WriteFileAtomically(path_, std::string(4096, 'x')), IsOk());
  EXPECT_THAT(SqliteStateStore::Open(path_), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(SqliteStateStoreTest, RefusesTextThatNoOneWrote) {
  auto store = Open();
  JobRecord job;
  job.id = JobId("j");
  job.create_revision = 1;
  ASSERT_THAT(store->Commit({InsertJob{job}}), IsOk());
  {
    auto connection = SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
    ASSERT_THAT(connection->Execute("UPDATE jobs SET artifacts = 'nonsense'"), IsOk());
  }
  EXPECT_THAT(store->Load(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("nonsense")));
}

// Readers never wait for the writer, and see whole commits only.
TEST_F(SqliteStateStoreTest, ReadersOnOtherThreadsSeeWholeCommits) {
  auto store = Open();
  JobRecord job;
  job.id = JobId("j");
  job.create_revision = 1;
  ASSERT_THAT(store->Commit({InsertJob{job}}), IsOk());
  std::thread reader([&] {
    size_t last = 0;
    while (last < 400) {
      const size_t events = store->EventsAfter(JobId("j"), 0, 1000)->size();
      EXPECT_GE(events, last);
      EXPECT_EQ(events % 2, 0u);
      last = events;
    }
  });
  for (int64_t i = 0; i < 200; ++i) {
    EventRecord event;
    event.job = JobId("j");
    event.revision = 2 * i + 1;
    EventRecord second = event;
    second.revision = 2 * i + 2;
    ASSERT_THAT(store->Commit({AppendEvent{event}, AppendEvent{second}}), IsOk());
  }
  reader.join();
}

}  // namespace
}  // namespace distill::storage
