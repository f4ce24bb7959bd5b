// What only a store on disk can promise or suffer: restarts, damage at rest, links, full disks.
#include "storage/blob/filesystem_blob_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "storage/blob/memory_blob_store.h"
#include "tests/support/faulty_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FilesystemBlobStoreTest : public ::testing::Test {
 protected:
  FilesystemBlobStoreTest() {
    config_.root = directory_.Join("store");
    Reopen();
  }

  // What a restart of the process does.
  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> store = FilesystemBlobStore::Open(config_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }

  std::string PathOf(const Digest& digest) const {
    const std::string hex(digest.hex());
    return absl::StrCat(config_.root, "/blobs/sha256/", hex.substr(0, 2), "/", hex.substr(2, 2),
                        "/", hex);
  }

  Digest Put(const std::string& bytes) {
    const absl::StatusOr<Digest> digest = WriteBlob(*store_, "put", bytes);
    EXPECT_THAT(digest, IsOk());
    return digest.value_or(Digest());
  }

  TempDir directory_;
  FilesystemBlobStore::Config config_;
  std::unique_ptr<FilesystemBlobStore> store_;
};

TEST_F(FilesystemBlobStoreTest, LaysBlobsOutByDigest) {
  const Digest digest = Put("bytes");
  EXPECT_THAT(ReadFile(PathOf(digest)), IsOkAndHolds("bytes"));
  EXPECT_THAT(ListDirectory(config_.root),
              IsOkAndHolds(ElementsAre("blobs", "quarantine", "uploads")));
  EXPECT_THAT(ListDirectory(config_.root + "/uploads"), IsOkAndHolds(IsEmpty()));
}

TEST_F(FilesystemBlobStoreTest, SurvivesARestart) {
  const Digest digest = Put("bytes");
  {
    const auto upload = store_->StartUpload("u1", Digest::OfBytes("0123456789"), 10);
    ASSERT_THAT(upload, IsOk());
    ASSERT_THAT((*upload)->Append(0, "0123"), IsOk());
  }
  Reopen();
  EXPECT_EQ(store_->used_bytes(), 9U);
  EXPECT_THAT(ReadBlob(*store_, digest), IsOkAndHolds("bytes"));
  EXPECT_THAT(store_->UploadedBytes("u1"), IsOkAndHolds(4U));
  const auto upload = store_->StartUpload("u1", Digest::OfBytes("0123456789"), 10);
  ASSERT_THAT(upload, IsOk());
  EXPECT_EQ((*upload)->committed_size(), 4U);
  ASSERT_THAT((*upload)->Append(4, "456789"), IsOk());
  EXPECT_THAT((*upload)->Commit(), IsOk());
}

// After power loss a file may have its old length but zeros in it.
TEST_F(FilesystemBlobStoreTest, TornPartIsNoticedAtCommit) {
  {
    const auto upload = store_->StartUpload("u1", Digest::OfBytes("0123456789"), 10);
    ASSERT_THAT(upload, IsOk());
    ASSERT_THAT((*upload)->Append(0, "0123"), IsOk());
  }
  store_.reset();
  ASSERT_THAT(WriteFileAtomically(config_.root + "/uploads/u1.part", std::string(4, '\0')), IsOk());
  Reopen();
  {
    const auto upload = store_->StartUpload("u1", Digest::OfBytes("0123456789"), 10);
    ASSERT_THAT(upload, IsOk());
    ASSERT_THAT((*upload)->Append(4, "456789"), IsOk());
    EXPECT_THAT((*upload)->Commit(), StatusIs(absl::StatusCode::kAborted));
  }
  EXPECT_THAT(ListDirectory(config_.root + "/uploads"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(WriteBlob(*store_, "u1", "0123456789"), IsOk());
}

TEST_F(FilesystemBlobStoreTest, FlippedBitAtRestIsDetectedAndQuarantined) {
  const Digest digest = Put("bytes");
  {
    std::fstream file(PathOf(digest), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2);
    file.put('T');
  }
  EXPECT_THAT(store_->Verify(digest),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(digest.str())));
  EXPECT_THAT(ReadBlob(*store_, digest), StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_THAT(store_->Quarantine(digest), IsOk());
  EXPECT_THAT(ReadFile(absl::StrCat(config_.root, "/quarantine/", digest.hex())),
              IsOkAndHolds("byTes"));
  EXPECT_THAT(WriteBlob(*store_, "again", "bytes"), IsOk());
  EXPECT_THAT(store_->Verify(digest), IsOk());
}

TEST_F(FilesystemBlobStoreTest, TruncatedBlobIsDetectedAndReplaced) {
  const Digest digest = Put("bytes");
  const auto reader = store_->OpenReader(digest);
  ASSERT_THAT(reader, IsOk());
  ASSERT_EQ(truncate(PathOf(digest).c_str(), 3), 0);
  EXPECT_THAT((*reader)->Read(0, 5), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("shorter")));
  EXPECT_THAT(store_->Verify(digest), StatusIs(absl::StatusCode::kDataLoss));
  Reopen();
  EXPECT_EQ(store_->used_bytes(), 3U);
  EXPECT_THAT(WriteBlob(*store_, "again", "bytes"),
              IsOk());  // Its size told that it is not present.
  EXPECT_THAT(ReadBlob(*store_, digest), IsOkAndHolds("bytes"));
  EXPECT_EQ(store_->used_bytes(), 5U);
}

TEST_F(FilesystemBlobStoreTest, BlobThatSomeoneRemovedIsNotFound) {
  const Digest digest = Put("bytes");
  ASSERT_THAT(RemoveFile(PathOf(digest)), IsOk());
  EXPECT_THAT(store_->Stat(digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(WriteBlob(*store_, "again", "bytes"), IsOk());
  EXPECT_THAT(ReadBlob(*store_, digest), IsOkAndHolds("bytes"));
}

// Links planted in the tree must neither be read nor written through.
TEST_F(FilesystemBlobStoreTest, FollowsNoLinks) {
  const std::string secret = directory_.Join("secret");
  ASSERT_THAT(WriteFileAtomically(secret, "bytes"), IsOk());
  ASSERT_EQ(symlink(secret.c_str(), (config_.root + "/uploads/u1.part").c_str()), 0);
  EXPECT_THAT(WriteBlob(*store_, "u1", "other"), StatusIs(absl::StatusCode::kInternal));
  const Digest digest = Digest::OfBytes("bytes");
  ASSERT_THAT(CreateDirectories(PathOf(digest).substr(0, PathOf(digest).rfind('/'))), IsOk());
  ASSERT_EQ(symlink(secret.c_str(), PathOf(digest).c_str()), 0);
  EXPECT_THAT(store_->Stat(digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->OpenReader(digest), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(store_->List(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(WriteBlob(*store_, "u2", "bytes"), IsOk());  // The rename replaces the link itself.
  EXPECT_THAT(ReadBlob(*store_, digest), IsOkAndHolds("bytes"));
  EXPECT_THAT(ReadFile(secret), IsOkAndHolds("bytes"));
}

TEST_F(FilesystemBlobStoreTest, ForeignFilesAreLeftAlone) {
  const Digest digest = Put("bytes");
  ASSERT_THAT(WriteFileAtomically(PathOf(digest) + ".bak", "x"), IsOk());
  ASSERT_THAT(WriteFileAtomically(config_.root + "/uploads/notes.txt", "x"), IsOk());
  ASSERT_THAT(WriteFileAtomically(config_.root + "/uploads/a b.part", "x"), IsOk());
  Reopen();
  EXPECT_THAT(store_->List(), IsOkAndHolds(SizeIs(1)));
  EXPECT_THAT(store_->ListUploads(), IsOkAndHolds(IsEmpty()));
  EXPECT_TRUE(FileExists(config_.root + "/uploads/notes.txt"));
}

TEST_F(FilesystemBlobStoreTest, KeepsTheLowWaterMarkFree) {
  config_.low_water_free_bytes = UINT64_MAX / 2;
  Reopen();
  EXPECT_THAT(WriteBlob(*store_, "u1", "bytes"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("the disk is nearly full; free space"),
                             HasSubstr("low_water_free_bytes="))));
}

TEST_F(FilesystemBlobStoreTest, LimitsUnfinishedUploads) {
  config_.max_uploads = 1;
  Reopen();
  const auto upload = store_->StartUpload("u1", Digest::OfBytes("x"), 1);
  ASSERT_THAT(upload, IsOk());
  EXPECT_THAT(store_->StartUpload("u2", Digest::OfBytes("y"), 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_uploads=1")));
}

// A commit that cannot publish keeps the bytes, so that the retry need not send them again.
TEST_F(FilesystemBlobStoreTest, FailedPublishKeepsThePart) {
  const Digest digest = Digest::OfBytes("bytes");
  ASSERT_THAT(CreateDirectories(PathOf(digest)), IsOk());  // Where a file belongs.
  EXPECT_THAT(WriteBlob(*store_, "u1", "bytes"), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(store_->UploadedBytes("u1"), IsOkAndHolds(5U));
  EXPECT_EQ(store_->used_bytes(), 5U);
  ASSERT_THAT(RemoveTree(PathOf(digest)), IsOk());
  EXPECT_THAT(WriteBlob(*store_, "u1", "bytes"), IsOk());
  EXPECT_EQ(store_->used_bytes(), 5U);
}

TEST_F(FilesystemBlobStoreTest, FailsToOpenWhereItCannotWrite) {
  ASSERT_THAT(WriteFileAtomically(directory_.Join("file"), ""), IsOk());
  FilesystemBlobStore::Config config;
  config.root = directory_.Join("file");
  EXPECT_THAT(FilesystemBlobStore::Open(config).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cannot open blob store")));
}

TEST(FaultyBlobStoreTest, FailsTheCallsItIsToldTo) {
  MemoryBlobStore memory;
  FaultyBlobStore store(memory);
  store.FailCall(BlobCall::kCommit, 1, absl::UnavailableError("lost"),
                 FaultyBlobStore::When::kAfter);
  store.FailCall(BlobCall::kStat, 2, absl::InternalError("broken"));
  const Digest digest = Digest::OfBytes("bytes");
  EXPECT_THAT(WriteBlob(store, "u1", "bytes"), StatusIs(absl::StatusCode::kUnavailable, "lost"));
  EXPECT_THAT(store.Stat(digest), IsOkAndHolds(5U));  // Only the reply was lost.
  EXPECT_THAT(store.Stat(digest), StatusIs(absl::StatusCode::kInternal, "broken"));
  EXPECT_THAT(store.Stat(digest), IsOk());
  EXPECT_THAT(WriteBlob(store, "u1", "bytes"), IsOk());
  EXPECT_EQ(store.calls(BlobCall::kStat), 3);
}

}  // namespace
}  // namespace distill::storage
