#include "tests/conformance/blob_store_suite.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::unique_ptr<BlobUpload> BlobStoreTest::Start(const std::string& id, const std::string& bytes) {
  absl::StatusOr<std::unique_ptr<BlobUpload>> upload =
      store().StartUpload(id, Digest::OfBytes(bytes), bytes.size());
  EXPECT_THAT(upload, IsOk());
  return upload.ok() ? *std::move(upload) : nullptr;
}

TEST_P(BlobStoreTest, WhatIsPutIsRead) {
  const std::string bytes(3'000'000, 'x');
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", bytes);
  ASSERT_THAT(digest, IsOkAndHolds(Digest::OfBytes(bytes)));
  EXPECT_THAT(ReadBlob(store(), *digest), IsOkAndHolds(bytes));
  EXPECT_THAT(store().Stat(*digest), IsOkAndHolds(bytes.size()));
  EXPECT_THAT(store().Verify(*digest), IsOk());
  EXPECT_THAT(store().List(), IsOkAndHolds(ElementsAre(BlobInfo{*digest, bytes.size()})));
  EXPECT_THAT(store().ListUploads(), IsOkAndHolds(IsEmpty()));
  EXPECT_EQ(store().used_bytes(), bytes.size());
}

TEST_P(BlobStoreTest, TheEmptyBlobIsABlob) {
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", "");
  ASSERT_THAT(digest, IsOk());
  EXPECT_THAT(ReadBlob(store(), *digest), IsOkAndHolds(""));
}

TEST_P(BlobStoreTest, ReadsRanges) {
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", "0123456789");
  ASSERT_THAT(digest, IsOk());
  const absl::StatusOr<std::unique_ptr<BlobReader>> reader = store().OpenReader(*digest);
  ASSERT_THAT(reader, IsOk());
  EXPECT_EQ((*reader)->size_bytes(), 10U);
  EXPECT_THAT((*reader)->Read(2, 3), IsOkAndHolds("234"));
  EXPECT_THAT((*reader)->Read(8, 100), IsOkAndHolds("89"));
  EXPECT_THAT((*reader)->Read(8, UINT64_MAX), IsOkAndHolds("89"));
  EXPECT_THAT((*reader)->Read(10, 1), IsOkAndHolds(""));
  EXPECT_THAT((*reader)->Read(11, 1), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT((*reader)->Read(UINT64_MAX, 1), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_P(BlobStoreTest, AbsentBlobsAreNotFound) {
  for (const Digest& digest : {Digest::OfBytes("absent"), Digest()}) {
    EXPECT_THAT(store().Stat(digest), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(store().OpenReader(digest),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(digest.str())));
    EXPECT_THAT(store().Verify(digest), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(store().Quarantine(digest), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(store().Delete(digest), IsOk());
  }
}

// A reader that found half a checkpoint would train on it.
TEST_P(BlobStoreTest, NothingIsVisibleBeforeCommit) {
  const std::string bytes = "half and half";
  const Digest digest = Digest::OfBytes(bytes);
  {
    const std::unique_ptr<BlobUpload> upload = Start("u1", bytes);
    ASSERT_THAT(upload->Append(0, bytes), IsOk());
    EXPECT_THAT(store().Stat(digest), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(store().OpenReader(digest), StatusIs(absl::StatusCode::kNotFound));
    EXPECT_THAT(store().List(), IsOkAndHolds(IsEmpty()));
    ASSERT_THAT(upload->Commit(), IsOk());
  }
  EXPECT_THAT(store().Stat(digest), IsOkAndHolds(bytes.size()));
}

TEST_P(BlobStoreTest, AnUploadResumesWhereItStood) {
  const std::string bytes = "0123456789";
  {
    const std::unique_ptr<BlobUpload> upload = Start("u1", bytes);
    EXPECT_EQ(upload->committed_size(), 0U);
    ASSERT_THAT(upload->Append(0, "0123"), IsOk());
    EXPECT_EQ(upload->committed_size(), 4U);
    EXPECT_THAT(store().UploadedBytes("u1"), IsOkAndHolds(4U));
  }
  EXPECT_THAT(store().UploadedBytes("u1"), IsOkAndHolds(4U));
  const std::unique_ptr<BlobUpload> upload = Start("u1", bytes);
  EXPECT_EQ(upload->committed_size(), 4U);
  ASSERT_THAT(upload->Append(4, "456789"), IsOk());
  ASSERT_THAT(upload->Commit(), IsOk());
  EXPECT_THAT(ReadBlob(store(), Digest::OfBytes(bytes)), IsOkAndHolds(bytes));
  EXPECT_THAT(store().UploadedBytes("u1"), IsOkAndHolds(0U));
}

TEST_P(BlobStoreTest, AppendAcceptsOnlyTheOffsetWhereItStands) {
  const std::unique_ptr<BlobUpload> upload = Start("u1", "0123456789");
  ASSERT_THAT(upload->Append(0, "0123"), IsOk());
  for (const uint64_t offset : {uint64_t{0}, uint64_t{3}, uint64_t{5}, UINT64_MAX}) {
    EXPECT_THAT(upload->Append(offset, "x"),
                StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("committed_size=4")));
  }
  EXPECT_THAT(upload->Append(4, "4567890"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more bytes than announced")));
  EXPECT_EQ(upload->committed_size(), 4U);
  ASSERT_THAT(upload->Append(4, ""), IsOk());
  ASSERT_THAT(upload->Append(4, "456789"), IsOk());
  EXPECT_THAT(upload->Commit(), IsOk());
}

TEST_P(BlobStoreTest, CommitRefusesOtherBytesAndForgetsThem) {
  const std::string bytes = "0123456789";
  std::unique_ptr<BlobUpload> upload = Start("u1", bytes);
  ASSERT_THAT(upload->Append(0, "012345678X"), IsOk());
  EXPECT_THAT(upload->Commit(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("not the announced ones"), HasSubstr("upload_id=u1"))));
  EXPECT_THAT(upload->Append(10, "x"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(upload->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition));
  upload.reset();
  EXPECT_THAT(store().List(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(store().UploadedBytes("u1"), IsOkAndHolds(0U));

  upload = Start("u2", bytes);
  ASSERT_THAT(upload->Append(0, "0123"), IsOk());
  EXPECT_THAT(upload->Commit(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("size=4")));
  EXPECT_EQ(store().used_bytes(), 0U);
}

// The sender of the second half may be honest: the first half is not its fault.
TEST_P(BlobStoreTest, DamagedResumedUploadIsAbortedAndStartsAnew) {
  {
    const std::unique_ptr<BlobUpload> other = Start("u1", "XXXXYYYYY");
    ASSERT_THAT(other->Append(0, "XXXX"), IsOk());
  }
  const std::string bytes = "0123456789";
  std::unique_ptr<BlobUpload> upload = Start("u1", bytes);
  ASSERT_THAT(upload->Append(4, "456789"), IsOk());
  EXPECT_THAT(upload->Commit(), StatusIs(absl::StatusCode::kAborted, HasSubstr("upload again")));
  upload.reset();
  EXPECT_THAT(WriteBlob(store(), "u1", bytes), IsOk());
}

TEST_P(BlobStoreTest, LongerPartOfAnotherBlobIsDropped) {
  {
    const std::unique_ptr<BlobUpload> other = Start("u1", "a longer blob");
    ASSERT_THAT(other->Append(0, "a longer"), IsOk());
  }
  EXPECT_THAT(WriteBlob(store(), "u1", "short"), IsOk());
}

TEST_P(BlobStoreTest, PresentBlobNeedsNoSecondUpload) {
  ASSERT_THAT(WriteBlob(store(), "u1", "bytes"), IsOk());
  {
    const std::unique_ptr<BlobUpload> upload = Start("u2", "bytes");
    EXPECT_TRUE(upload->already_present());
    EXPECT_EQ(upload->committed_size(), 5U);
    EXPECT_THAT(upload->Commit(), IsOk());
    EXPECT_THAT(upload->Commit(), IsOk());
  }
  EXPECT_EQ(store().used_bytes(), 5U);
  EXPECT_THAT(store().ListUploads(), IsOkAndHolds(IsEmpty()));
}

TEST_P(BlobStoreTest, TwoUploadsOfOneBlobLeaveOne) {
  const std::unique_ptr<BlobUpload> one = Start("u1", "bytes");
  const std::unique_ptr<BlobUpload> other = Start("u2", "bytes");
  ASSERT_THAT(one->Append(0, "bytes"), IsOk());
  ASSERT_THAT(other->Append(0, "bytes"), IsOk());
  EXPECT_THAT(one->Commit(), IsOk());
  EXPECT_THAT(other->Commit(), IsOk());
  EXPECT_EQ(store().used_bytes(), 5U);
  EXPECT_THAT(ReadBlob(store(), Digest::OfBytes("bytes")), IsOkAndHolds("bytes"));
}

TEST_P(BlobStoreTest, OneSessionAtATimeForAnUpload) {
  std::unique_ptr<BlobUpload> upload = Start("u1", "bytes");
  EXPECT_THAT(store().StartUpload("u1", Digest::OfBytes("bytes"), 5),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("upload_id=u1")));
  EXPECT_THAT(store().DiscardUpload("u1"), StatusIs(absl::StatusCode::kUnavailable));
  upload.reset();
  EXPECT_THAT(store().StartUpload("u1", Digest::OfBytes("bytes"), 5), IsOk());
}

TEST_P(BlobStoreTest, DiscardedUploadStartsAnew) {
  { ASSERT_THAT(Start("u1", "bytes")->Append(0, "by"), IsOk()); }
  const absl::StatusOr<std::vector<UploadInfo>> uploads = store().ListUploads();
  ASSERT_THAT(uploads, IsOk());
  ASSERT_EQ(uploads->size(), 1U);
  EXPECT_EQ(uploads->front().upload_id, "u1");
  EXPECT_EQ(uploads->front().committed_bytes, 2U);
  EXPECT_FALSE(uploads->front().in_use);
  EXPECT_EQ(store().used_bytes(), 2U);
  EXPECT_THAT(store().DiscardUpload("u1"), IsOk());
  EXPECT_THAT(store().DiscardUpload("u1"), IsOk());
  EXPECT_EQ(store().used_bytes(), 0U);
  EXPECT_EQ(Start("u1", "bytes")->committed_size(), 0U);
}

TEST_P(BlobStoreTest, RefusesIdsThatCouldLeaveTheTree) {
  const Digest digest = Digest::OfBytes("x");
  for (const std::string& id :
       {std::string(), std::string("."), std::string(".."), std::string("../../etc/passwd"),
        std::string("a/b"), std::string("/abs"), std::string("a\0b", 3), std::string(129, 'a')}) {
    EXPECT_THAT(store().StartUpload(id, digest, 1), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store().UploadedBytes(id), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(store().DiscardUpload(id), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(store().StartUpload("u1", Digest(), 1), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(BlobStoreTest, DeletedBlobIsGoneAndOpenReadersNeverLie) {
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", "bytes");
  ASSERT_THAT(digest, IsOk());
  const absl::StatusOr<std::unique_ptr<BlobReader>> reader = store().OpenReader(*digest);
  ASSERT_THAT(reader, IsOk());
  EXPECT_THAT(store().Delete(*digest), IsOk());
  EXPECT_THAT(store().Delete(*digest), IsOk());
  EXPECT_THAT(store().Stat(*digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT((*reader)->Read(0, 5),
              AnyOf(IsOkAndHolds("bytes"), StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_EQ(store().used_bytes(), 0U);
  EXPECT_THAT(WriteBlob(store(), "u1", "bytes"), IsOk());
}

TEST_P(BlobStoreTest, QuarantinedNameIsFreeForAGoodCopy) {
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", "bytes");
  ASSERT_THAT(digest, IsOk());
  EXPECT_THAT(store().Quarantine(*digest), IsOk());
  EXPECT_THAT(store().Stat(*digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().Quarantine(*digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(store().used_bytes(), 0U);
  EXPECT_THAT(WriteBlob(store(), "u2", "bytes"), IsOk());
  EXPECT_THAT(store().Quarantine(*digest), IsOk());
}

TEST_P(BlobStoreTest, ReadBlobKeepsItsLimit) {
  const absl::StatusOr<Digest> digest = WriteBlob(store(), "u1", "bytes");
  ASSERT_THAT(digest, IsOk());
  EXPECT_THAT(ReadBlob(store(), *digest, 5), IsOkAndHolds("bytes"));
  EXPECT_THAT(ReadBlob(store(), *digest, 4),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_bytes=4")));
}

TEST_P(BlobStoreTest, PutsFiles) {
  const std::string bytes(2'500'000, 'f');
  ASSERT_THAT(WriteFileAtomically(world_.directory.Join("file"), bytes), IsOk());
  { ASSERT_THAT(Start("u1", bytes)->Append(0, bytes.substr(0, 1'234'567)), IsOk()); }
  const absl::StatusOr<Digest> digest = WriteBlobFile(store(), "u1", world_.directory.Join("file"));
  ASSERT_THAT(digest, IsOkAndHolds(Digest::OfBytes(bytes)));
  EXPECT_THAT(ReadBlob(store(), *digest), IsOkAndHolds(bytes));
  EXPECT_THAT(WriteBlobFile(store(), "u2", world_.directory.Join("file")), IsOk());
  EXPECT_THAT(WriteBlobFile(store(), "u3", world_.directory.Join("missing")),
              StatusIs(absl::StatusCode::kNotFound));
}

// Several uploads of few blobs at once, each published, read, deleted and published again.
TEST_P(BlobStoreTest, HoldsUnderConcurrentUse) {
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([this, thread, &failures] {
      for (int round = 0; round < 25; ++round) {
        const std::string bytes = absl::StrCat("blob ", round % 5, std::string(10'000, 'x'));
        const absl::StatusOr<Digest> digest = WriteBlob(store(), absl::StrCat("u", thread), bytes);
        if (!digest.ok()) ++failures;
        const absl::StatusOr<std::string> read = ReadBlob(store(), Digest::OfBytes(bytes));
        if (read.ok() ? *read != bytes : !absl::IsNotFound(read.status())) ++failures;
        if (thread == 0 && !store().Delete(Digest::OfBytes(bytes)).ok()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(store().ListUploads(), IsOkAndHolds(IsEmpty()));
  const absl::StatusOr<std::vector<BlobInfo>> blobs = store().List();
  ASSERT_THAT(blobs, IsOk());
  uint64_t total = 0;
  for (const BlobInfo& blob : *blobs) total += blob.size_bytes;
  EXPECT_EQ(store().used_bytes(), total);
}

TEST_P(LimitedBlobStoreTest, RefusesWhatDoesNotFitAndSaysHowToMendIt) {
  ASSERT_THAT(WriteBlob(store(), "u1", std::string(60, 'a')), IsOk());
  EXPECT_THAT(WriteBlob(store(), "u2", std::string(41, 'b')),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("delete finished jobs or raise"), HasSubstr("used_bytes=60"),
                             HasSubstr("wanted_bytes=41"), HasSubstr("max_bytes=100"))));
  EXPECT_THAT(store().StartUpload("u2", Digest::OfBytes("x"), UINT64_MAX),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(store().ListUploads(), IsOkAndHolds(IsEmpty()));
  ASSERT_THAT(store().Delete(Digest::OfBytes(std::string(60, 'a'))), IsOk());
  EXPECT_THAT(WriteBlob(store(), "u2", std::string(41, 'b')), IsOk());
}

// Two uploads that fit one by one but not together must not both be let in.
TEST_P(LimitedBlobStoreTest, AnnouncedSizesCountBeforeTheyArrive) {
  std::unique_ptr<BlobUpload> upload = Start("u1", std::string(60, 'a'));
  EXPECT_EQ(store().used_bytes(), 60U);
  EXPECT_THAT(store().StartUpload("u2", Digest::OfBytes("x"), 41),
              StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_THAT(upload->Append(0, std::string(10, 'a')), IsOk());
  upload.reset();
  EXPECT_EQ(store().used_bytes(), 10U);
  EXPECT_THAT(store().StartUpload("u2", Digest::OfBytes("x"), 90), IsOk());
  EXPECT_THAT(store().StartUpload("u1", Digest::OfBytes(std::string(60, 'a')), 60), IsOk());
}

}  // namespace distill::storage
