// Blobs over the wire: whole, resumed, wrong, and rotten at rest.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ArtifactTest : public ServerTest {
 protected:
  static std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 251);
    return bytes;
  }

  v1::QueryUploadResponse Query(const std::string& upload_id, const std::string& bytes) {
    v1::QueryUploadRequest request;
    request.set_upload_id(upload_id);
    request.set_digest(Digest::OfBytes(bytes).str());
    v1::QueryUploadResponse response;
    EXPECT_THAT(FromGrpc(artifacts_->QueryUpload(MakeContext().get(), request, &response)), IsOk());
    return response;
  }

  // One message of an upload, and the end of the stream.
  absl::Status SendOne(const std::string& upload_id, const std::string& whole, size_t offset,
                       const std::string& data) {
    v1::UploadRequest request;
    request.set_upload_id(upload_id);
    request.set_digest(Digest::OfBytes(whole).str());
    request.set_size_bytes(static_cast<int64_t>(whole.size()));
    request.set_type(v1::ARTIFACT_TYPE_MODEL);
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(data);
    v1::UploadResponse response;
    const auto context = MakeContext();
    const auto writer = artifacts_->Upload(context.get(), &response);
    writer->Write(request);
    writer->WritesDone();
    return FromGrpc(writer->Finish());
  }

  // The only file below the blob store that holds `bytes`.
  std::string FileOf(const std::string& bytes) {
    const std::string hex(Digest::OfBytes(bytes).hex());
    std::string found;
    Find(JoinPath(Config().data_dir, "blobs"), hex, 0, found);
    return found;
  }

 private:
  static void Find(const std::string& directory, const std::string& hex, int depth,
                   std::string& found) {
    const absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
    if (!names.ok() || depth > 4) return;
    for (const std::string& name : *names) {
      const std::string path = JoinPath(directory, name);
      if (name.size() >= 32 && absl::StrContains(hex, name)) found = path;
      Find(path, hex, depth + 1, found);
    }
  }
};

TEST_F(ArtifactTest, ABlobOfSeveralChunksComesBackAsItWas) {
  const std::string bytes = Bytes(3'000'000);
  ASSERT_THAT(Upload("u1", bytes, v1::ARTIFACT_TYPE_MODEL), IsOk());
  EXPECT_THAT(Download(Digest::OfBytes(bytes).str()), IsOkAndHolds(bytes));
  EXPECT_TRUE(Query("u1", bytes).complete());
}

TEST_F(ArtifactTest, AnEmptyBlobIsABlob) {
  ASSERT_THAT(Upload("u1", "", v1::ARTIFACT_TYPE_LOG), IsOk());
  EXPECT_THAT(Download(Digest::OfBytes("").str()), IsOkAndHolds(std::string()));
}

TEST_F(ArtifactTest, UploadingTwiceIsFine) {
  ASSERT_THAT(Upload("u1", "abc", v1::ARTIFACT_TYPE_LOG), IsOk());
  ASSERT_THAT(Upload("u2", "abc", v1::ARTIFACT_TYPE_LOG), IsOk());
}

TEST_F(ArtifactTest, AnInterruptedUploadGoesOnWhereItStood) {
  const std::string bytes = Bytes(100'000);
  EXPECT_THAT(SendOne("u1", bytes, 0, bytes.substr(0, 60'000)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("committed_bytes=60000")));
  EXPECT_EQ(Query("u1", bytes).committed_bytes(), 60'000);
  EXPECT_FALSE(Query("u1", bytes).complete());
  StopServer();
  StartServer();
  EXPECT_EQ(Query("u1", bytes).committed_bytes(), 60'000);
  EXPECT_THAT(SendOne("u1", bytes, 50'000, bytes.substr(50'000)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(SendOne("u1", bytes, 60'000, bytes.substr(60'000)), IsOk());
  EXPECT_THAT(Download(Digest::OfBytes(bytes).str()), IsOkAndHolds(bytes));
}

TEST_F(ArtifactTest, BytesThatDoNotFitTheDigestAreRefused) {
  EXPECT_THAT(SendOne("u1", "what was promised", 0, "what was sent  ..."),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SendOne("u2", "what was promised", 0, "what was promise!"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Download(Digest::OfBytes("what was promised").str()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ArtifactTest, ChunksAboveOneMebibyteAreRefused) {
  const std::string bytes = Bytes((1 << 20) + 1);
  EXPECT_THAT(SendOne("u1", bytes, 0, bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("data: got 1048577")));
}

TEST_F(ArtifactTest, UploadsMustBeNamed) {
  EXPECT_THAT(SendOne("../up", "abc", 0, "abc"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("upload_id")));
  v1::UploadResponse response;
  const auto context = MakeContext();
  const auto writer = artifacts_->Upload(context.get(), &response);
  writer->WritesDone();
  EXPECT_THAT(FromGrpc(writer->Finish()), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ArtifactTest, DownloadsMayStartAndEndAnywhere) {
  ASSERT_THAT(Upload("u1", "0123456789", v1::ARTIFACT_TYPE_LOG), IsOk());
  v1::DownloadRequest request;
  request.set_digest(Digest::OfBytes("0123456789").str());
  request.set_offset(3);
  request.set_limit(4);
  const auto context = MakeContext();
  const auto reader = artifacts_->Download(context.get(), request);
  v1::DownloadResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.offset(), 3);
  EXPECT_EQ(response.data(), "3456");
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_THAT(FromGrpc(reader->Finish()), IsOk());

  request.set_offset(11);
  const auto beyond_context = MakeContext();
  const auto beyond = artifacts_->Download(beyond_context.get(), request);
  EXPECT_FALSE(beyond->Read(&response));
  EXPECT_THAT(FromGrpc(beyond->Finish()), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(ArtifactTest, WhatIsMissingIsFound) {
  ASSERT_THAT(Upload("u1", "here", v1::ARTIFACT_TYPE_LOG), IsOk());
  v1::FindMissingRequest request;
  request.add_digests(Digest::OfBytes("here").str());
  request.add_digests(Digest::OfBytes("away").str());
  v1::FindMissingResponse response;
  ASSERT_THAT(FromGrpc(artifacts_->FindMissing(MakeContext().get(), request, &response)), IsOk());
  EXPECT_THAT(response.missing_digests(), ElementsAre(Digest::OfBytes("away").str()));
}

// A flipped bit on the disk must never reach anyone as a sound blob, and the name is free again.
TEST_F(ArtifactTest, ARottenBlobIsDataLossAndCanBeUploadedAgain) {
  const std::string bytes = Bytes(10'000);
  ASSERT_THAT(Upload("u1", bytes, v1::ARTIFACT_TYPE_MODEL), IsOk());
  const std::string file = FileOf(bytes);
  ASSERT_FALSE(file.empty());
  {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(5000);
    stream.put(static_cast<char>(bytes[5000] ^ 1));
    ASSERT_TRUE(stream.good());
  }
  EXPECT_THAT(Download(Digest::OfBytes(bytes).str()), StatusIs(absl::StatusCode::kDataLoss));
  ASSERT_THAT(Upload("u2", bytes, v1::ARTIFACT_TYPE_MODEL), IsOk());
  EXPECT_THAT(Download(Digest::OfBytes(bytes).str()), IsOkAndHolds(bytes));
}

}  // namespace
}  // namespace distill::server
