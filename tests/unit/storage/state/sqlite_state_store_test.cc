// What only the SQLite store promises: survival of a reopening, versions of the schema, and refusal
// of what it cannot trust.
#include "storage/state/sqlite_state_store.h"

#include <thread>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/state/schema.h"
#include "tests/support/state_records.h"
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
  ASSERT_THAT(Open()->Commit({PutWorker{
                  WorkerRecord{WorkerId("w"), true, kUnsetTime, Quarantine::kNone, ""}}}),
              IsOk());
  EXPECT_TRUE(Open()->Load()->workers.at(0).draining);
}

TEST_F(SqliteStateStoreTest, LeavesNoLogBehindOnceItWasRead) {
  auto store = Open();
  ASSERT_THAT(store->Commit({PutWorker{DrainingWorker("w")}}), IsOk());
  ASSERT_THAT(store->ListJobs({}), IsOk());
  ASSERT_TRUE(FileExists(path_ + "-wal"));
  store.reset();
  EXPECT_FALSE(FileExists(path_ + "-wal"));
}

TEST_F(SqliteStateStoreTest, IsInWriteAheadModeWithTheNewestSchema) {
  Open();
  EXPECT_EQ(QueryInt("PRAGMA user_version"), static_cast<int64_t>(SchemaMigrations().size()));
  EXPECT_TRUE(FileExists(path_));
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
