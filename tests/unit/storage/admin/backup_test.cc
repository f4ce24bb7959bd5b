// What a backup holds comes back, into either database, and only into an empty one.
#include "storage/admin/backup.h"

#include <fstream>

#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/admin/strays.h"
#include "storage/blob/memory_blob_store.h"
#include "storage/state/sqlite_state_store.h"
#include "tests/support/state_records.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#ifdef DISTILL_WITH_POSTGRES
#include "base/clock.h"
#include "storage/state/postgres_leadership.h"
#include "tests/support/postgres/postgres_server.h"
#endif

namespace distill::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// One of everything that is hard to write down.
std::vector<Mutation> AState(const Digest& blob) {
  JobRecord job;
  job.id = JobId("job-1");
  job.project = ProjectId("default");
  job.display_name = "tabs \t, lines \n\r, \\ backslashes, \\N and ünïcode";
  job.spec = std::string("\0\xff\n\t\\", 5);
  job.create_time = absl::FromUnixMicros(1700000000000001);
  job.create_revision = 3;
  job.status.revision = 9;
  TaskRecord task;
  task.job = job.id;
  task.id = MakeTaskId(job.id, "t");
  task.definition.name = "t";
  task.status.results = {{"model", blob, 5}};
  task.status.state = TaskState::kSucceeded;
  EventRecord event;
  event.revision = 9;
  event.job = job.id;
  return {InsertJob{job}, InsertTask{task}, AppendEvent{event}, PutWorker{DrainingWorker("w")},
          PutBlob{{blob, 5, 1, BlobState::kPresent, job.create_time}}};
}

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() {
    blob_ = WriteBlob(blobs_, "u", "bytes").value();
    auto store = SqliteStateStore::Open(path_).value();
    EXPECT_THAT(store->Commit(AState(blob_)), IsOk());
    image_ = store->Load().value();
  }
  std::unique_ptr<SqliteConnection> Open(const std::string& path, SqliteConnection::Mode mode) {
    return SqliteConnection::Open(path, mode).value();
  }
  BackupInfo Make() {
    return MakeBackup(*Open(path_, SqliteConnection::Mode::kReadOnly), &blobs_, folder_).value();
  }
  void ExpectSameState(StateStore& store) {
    const StateImage restored = store.Load().value();
    EXPECT_EQ(restored.last_revision, image_.last_revision);
    EXPECT_EQ(restored.jobs, image_.jobs);
    EXPECT_EQ(restored.tasks, image_.tasks);
    EXPECT_EQ(restored.blobs, image_.blobs);
    EXPECT_EQ(restored.workers, image_.workers);
    EXPECT_THAT(store.EventsAfter(JobId("job-1"), 0, 10).value(), SizeIs(1));
  }

  TempDir dir_;
  const std::string path_ = dir_.Join("state.db");
  const std::string folder_ = dir_.Join("backup");
  MemoryBlobStore blobs_;
  Digest blob_;
  StateImage image_;
};

TEST_F(BackupTest, BesideAnOpenStoreAndBack) {
  auto running = SqliteStateStore::Open(path_).value();
  const BackupInfo made = Make();
  EXPECT_EQ(made.blobs, 1);
  EXPECT_EQ(made.copied, 1);
  EXPECT_EQ(made.missing, 0);

  MemoryBlobStore restored_blobs;
  const std::string restored = dir_.Join("restored.db");
  const BackupInfo back =
      RestoreBackup(folder_, *Open(restored, SqliteConnection::Mode::kReadWrite), &restored_blobs)
          .value();
  EXPECT_EQ(back.rows, made.rows);
  EXPECT_EQ(ReadBlob(restored_blobs, blob_).value(), "bytes");
  ExpectSameState(*SqliteStateStore::Open(restored).value());
}

TEST_F(BackupTest, ASecondBackupCopiesOnlyWhatIsNew) {
  Make();
  EXPECT_EQ(Make().copied, 0);
}

TEST_F(BackupTest, ABlobThatIsGoneIsCounted) {
  ASSERT_THAT(blobs_.Delete(blob_), IsOk());
  EXPECT_EQ(Make().missing, 1);
}

TEST_F(BackupTest, OnlyAnEmptyDatabaseIsFilled) {
  Make();
  EXPECT_THAT(
      RestoreBackup(folder_, *Open(path_, SqliteConnection::Mode::kReadWrite), nullptr).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not empty")));
  ExpectSameState(*SqliteStateStore::Open(path_).value());
}

TEST_F(BackupTest, ADamagedDumpIsRefusedAndNothingIsRestored) {
  Make();
  const std::string dump = JoinPath(folder_, "state.dump");
  const std::string text = ReadFile(dump).value();
  const std::string restored = dir_.Join("restored.db");
  const auto restore = [&](const std::string& changed) {
    EXPECT_THAT(WriteFileAtomically(dump, changed), IsOk());
    return RestoreBackup(folder_, *Open(restored, SqliteConnection::Mode::kReadWrite), nullptr)
        .status();
  };
  EXPECT_THAT(restore(absl::StrReplaceAll(text, {{"default", "defauld"}})),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("digest")));
  EXPECT_THAT(restore(text.substr(0, text.size() / 2)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no end")));
  EXPECT_THAT(restore("nonsense"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(restore(""), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Open(restored, SqliteConnection::Mode::kReadWrite)->SchemaVersion().value(), 0);
}

TEST_F(BackupTest, StraysAreRemovedAndTheRestStays) {
  const Digest stray = WriteBlob(blobs_, "s", "stray").value();
  const RemovedStrays removed =
      RemoveStrays(*Open(path_, SqliteConnection::Mode::kReadOnly), blobs_).value();
  EXPECT_EQ(removed.blobs, 1);
  EXPECT_EQ(removed.bytes, 5);
  EXPECT_THAT(blobs_.Stat(stray), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(blobs_.Stat(blob_), IsOkAndHolds(5u));
}

TEST_F(BackupTest, WithoutAStateNoBlobIsAStray) {
  auto empty = Open(dir_.Join("empty.db"), SqliteConnection::Mode::kReadWrite);
  EXPECT_THAT(RemoveStrays(*empty, blobs_), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(blobs_.Stat(blob_), IsOkAndHolds(5u));
}

#ifdef DISTILL_WITH_POSTGRES
// The way from SQLite to PostgreSQL, and back.
TEST_F(BackupTest, MovesFromOneDatabaseToTheOther) {
  const BackupInfo made = Make();
  const std::string conninfo = SharedPostgresServer().NewDatabase();
  EXPECT_EQ(RestoreBackup(folder_, *OpenPostgres(conninfo).value(), nullptr)->rows, made.rows);

  const SystemClock clock;
  PostgresLeadershipConfig config;
  config.conninfo = conninfo;
  config.holder = "test";
  auto leadership = OpenPostgresLeadership(config, clock).value();
  ASSERT_THAT(leadership->TryToLead(), IsOkAndHolds(true));
  ExpectSameState(*leadership->OpenStore().value());

  const std::string first = ReadFile(JoinPath(folder_, "state.dump")).value();
  ASSERT_THAT(MakeBackup(*OpenPostgres(conninfo).value(), &blobs_, folder_).status(), IsOk());
  EXPECT_EQ(ReadFile(JoinPath(folder_, "state.dump")).value(), first);
  EXPECT_THAT(RestoreBackup(folder_, *OpenPostgres(conninfo).value(), nullptr).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}
#endif

}  // namespace
}  // namespace distill::storage
