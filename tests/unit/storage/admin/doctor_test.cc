// A sound state is called so; each kind of damage is found and comes with a remedy.
#include "storage/admin/doctor.h"

#include <sys/stat.h>

#include <cstdio>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/blob/filesystem_blob_store.h"
#include "storage/state/sqlite_state_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

auto Finds(Finding::Severity severity, const std::string& what) {
  return AllOf(Field(&Finding::severity, severity), Field(&Finding::what, HasSubstr(what)),
               Field(&Finding::remedy, Not(IsEmpty())));
}
auto Problem(const std::string& what) { return Finds(Finding::Severity::kProblem, what); }

// Lets something happen after the tasks were read and before the attempts are.
class InterruptedConnection : public SqlConnection {
 public:
  InterruptedConnection(SqlConnection& connection, std::function<void()> interruption)
      : connection_(connection), interruption_(std::move(interruption)) {}

  absl::Status Execute(const std::string& sql) override { return connection_.Execute(sql); }
  SqlStatement Prepare(const char* sql) override {
    if (absl::StrContains(sql, "JOIN attempts") && interruption_ != nullptr) {
      std::exchange(interruption_, nullptr)();
    }
    return connection_.Prepare(sql);
  }
  void Forget() override { connection_.Forget(); }
  absl::StatusOr<int64_t> SchemaVersion() override { return connection_.SchemaVersion(); }
  absl::Status MigrateTo(int64_t version) override { return connection_.MigrateTo(version); }
  absl::StatusOr<std::vector<std::string>> CheckIntegrity() override {
    return connection_.CheckIntegrity();
  }
  absl::Status BeginSnapshot() override { return connection_.BeginSnapshot(); }

 private:
  SqlConnection& connection_;
  std::function<void()> interruption_;
};

class DoctorTest : public ::testing::Test {
 protected:
  DoctorTest() {
    FilesystemBlobStore::Config config;
    config.root = dir_.Join("blobs");
    blobs_ = FilesystemBlobStore::Open(std::move(config)).value();
    blob_ = WriteBlob(*blobs_, "u", "bytes").value();
    auto store = SqliteStateStore::Open(path_).value();
    JobRecord job;
    job.id = JobId("j");
    job.create_revision = 1;
    TaskRecord task;
    task.job = job.id;
    task.id = MakeTaskId(job.id, "t");
    task.definition.name = "t";
    task.status.state = TaskState::kSucceeded;
    task.status.attempts = 1;
    task.status.winner_attempt = 1;
    task.status.results = {{"model", blob_, 5}};
    AttemptRecord attempt;
    attempt.task = task.id;
    attempt.number = 1;
    attempt.state = AttemptState::kSucceeded;
    EXPECT_THAT(store->Commit({InsertJob{job}, InsertTask{task}, PutAttempt{attempt},
                               PutBlob{{blob_, 5, 1, BlobState::kPresent, kUnsetTime}}}),
                IsOk());
  }
  std::unique_ptr<SqliteConnection> Open() {
    return SqliteConnection::Open(path_, SqliteConnection::Mode::kReadWrite).value();
  }
  Diagnosis Examined(bool verify = false) {
    DoctorOptions options;
    options.verify_blobs = verify;
    options.blob_folder = dir_.path();
    options.min_free_disk_bytes = min_free_disk_bytes_;
    return Examine(*Open(), blobs_.get(), options).value();
  }
  void Change(const std::string& sql) { ASSERT_THAT(Open()->Execute(sql), IsOk()); }

  TempDir dir_;
  const std::string path_ = dir_.Join("state.db");
  std::unique_ptr<FilesystemBlobStore> blobs_;
  Digest blob_;
  int64_t min_free_disk_bytes_ = 0;
};

TEST_F(DoctorTest, ASoundStateIsHealthy) {
  const Diagnosis diagnosis = Examined(/*verify=*/true);
  EXPECT_TRUE(diagnosis.healthy());
  EXPECT_THAT(diagnosis.findings, IsEmpty());
  EXPECT_EQ(diagnosis.jobs, 1);
  EXPECT_EQ(diagnosis.tasks, 1);
  EXPECT_EQ(diagnosis.verified_blobs, 1);
}

TEST_F(DoctorTest, AMissingResultIsFound) {
  ASSERT_THAT(blobs_->Delete(blob_), IsOk());
  const Diagnosis diagnosis = Examined();
  EXPECT_FALSE(diagnosis.healthy());
  EXPECT_THAT(diagnosis.findings, ElementsAre(Problem("model of j/t is lost")));
}

TEST_F(DoctorTest, AResultThatNoRowKnowsIsFound) {
  Change("DELETE FROM blobs");
  EXPECT_THAT(Examined().findings,
              ElementsAre(Problem("no row knows it"),
                          Finds(Finding::Severity::kNote, "1 of the stored blobs")));
}

TEST_F(DoctorTest, ChangedBytesAreFoundByReadingThem) {
  const std::string hex(blob_.hex());
  const std::string path =
      dir_.Join("blobs/blobs/sha256/" + hex.substr(0, 2) + "/" + hex.substr(2, 2) + "/" + hex);
  FILE* file = fopen(path.c_str(), "r+");
  if (file == nullptr) {
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    file = fopen(path.c_str(), "r+");
  }
  ASSERT_NE(file, nullptr);
  fputc('X', file);
  fclose(file);
  EXPECT_TRUE(Examined().healthy());
  EXPECT_THAT(Examined(/*verify=*/true).findings, ElementsAre(Problem("do not match its digest")));
}

TEST_F(DoctorTest, RowsThatDisagreeAreFound) {
  Change("UPDATE attempts SET state=1");
  EXPECT_THAT(Examined().findings,
              ElementsAre(Problem("an attempt of it runs"), Problem("its winner")));
  Change("DELETE FROM attempts");
  EXPECT_THAT(Examined().findings, ElementsAre(Problem("has 0 attempts of 1"), Problem("winner")));
  Change("UPDATE tasks SET state=3, winner_attempt=0, attempts=0; UPDATE jobs SET state=2");
  EXPECT_THAT(Examined().findings,
              ElementsAre(Problem("RUNNING without"), Problem("though its job is SUCCEEDED")));
  Change("UPDATE jobs SET state=1, revision=77; UPDATE tasks SET state=2");
  EXPECT_THAT(Examined().findings, ElementsAre(Problem("revision that was never given")));
}

TEST_F(DoctorTest, ARunningServerIsNotTakenForADamagedOne) {
  const auto connection = Open();
  bool interrupted = false;
  InterruptedConnection busy(*connection, [&] {
    interrupted = true;
    Change("DELETE FROM attempts");
  });
  EXPECT_TRUE(Examine(busy, blobs_.get(), {{}, {}, 0}).value().healthy());
  EXPECT_TRUE(interrupted);
}

TEST_F(DoctorTest, RowsWithoutAnOwnerAreFound) {
  Change("PRAGMA foreign_keys=OFF; DELETE FROM jobs");
  EXPECT_THAT(Examined().findings,
              testing::Contains(Problem("a row of table tasks has lost its owner")));
}

TEST_F(DoctorTest, AFullDiskIsFound) {
  min_free_disk_bytes_ = int64_t{1} << 60;
  EXPECT_THAT(Examined().findings, ElementsAre(Problem("nearly full")));
}

TEST_F(DoctorTest, AnotherSchemaIsLeftAlone) {
  Change("PRAGMA user_version=99");
  EXPECT_THAT(Examine(*Open(), blobs_.get(), {}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
  Change("PRAGMA user_version=1");
  EXPECT_THAT(Examine(*Open(), blobs_.get(), {}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("start the server once")));
}

}  // namespace
}  // namespace distill::storage
