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
    EXPECT_THAT(FromGrpcStatus(artifacts_->QueryUpload(MakeContext().get(), request, &response)),
                IsOk());
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
    return FromGrpcStatus(writer->Finish());
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
              StatusIs(absl::StatusCode::kOutOfRange));
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
  EXPECT_THAT(FromGrpcStatus(writer->Finish()), StatusIs(absl::StatusCode::kInvalidArgument));
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
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());

  request.set_offset(11);
  const auto beyond_context = MakeContext();
  const auto beyond = artifacts_->Download(beyond_context.get(), request);
  EXPECT_FALSE(beyond->Read(&response));
  EXPECT_THAT(FromGrpcStatus(beyond->Finish()), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(ArtifactTest, WhatIsMissingIsFound) {
  ASSERT_THAT(Upload("u1", "here", v1::ARTIFACT_TYPE_LOG), IsOk());
  v1::FindMissingRequest request;
  request.add_digests(Digest::OfBytes("here").str());
  request.add_digests(Digest::OfBytes("away").str());
  v1::FindMissingResponse response;
  ASSERT_THAT(FromGrpcStatus(artifacts_->FindMissing(MakeContext().get(), request, &response)),
              IsOk());
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

// One call says all that an upload must know.
TEST_F(ArtifactTest, LocateUploadTellsWhatIsLeftToSend) {
  const std::string bytes = Bytes(1'000);
  v1::LocateUploadRequest request;
  request.set_upload_id("u1");
  request.set_digest(Digest::OfBytes(bytes).str());
  request.set_size_bytes(1'000);
  const auto locate = [&] {
    v1::LocateUploadResponse response;
    EXPECT_THAT(FromGrpcStatus(artifacts_->LocateUpload(MakeContext().get(), request, &response)),
                IsOk());
    return response;
  };
  EXPECT_EQ(locate().committed_bytes(), 0);
  EXPECT_FALSE(locate().already_present());
  EXPECT_THAT(SendOne("u1", bytes, 0, bytes.substr(0, 400)),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(locate().committed_bytes(), 400);
  // Blobs on the server's own disk have no other way.
  EXPECT_FALSE(locate().has_location());
  EXPECT_THAT(SendOne("u1", bytes, 400, bytes.substr(400)), IsOk());
  EXPECT_TRUE(locate().already_present());
}

TEST_F(ArtifactTest, DirectTransfersNeedAnObjectStore) {
  const std::string bytes = Bytes(10);
  v1::FinalizeUploadRequest finalize;
  finalize.set_digest(Digest::OfBytes(bytes).str());
  finalize.set_size_bytes(10);
  v1::UploadResponse finalized;
  EXPECT_THAT(FromGrpcStatus(artifacts_->FinalizeUpload(MakeContext().get(), finalize, &finalized)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("type")));
  finalize.set_type(v1::ARTIFACT_TYPE_MODEL);
  EXPECT_THAT(FromGrpcStatus(artifacts_->FinalizeUpload(MakeContext().get(), finalize, &finalized)),
              StatusIs(absl::StatusCode::kUnimplemented));
  v1::LocateDownloadRequest locate;
  locate.set_digest(Digest::OfBytes(bytes).str());
  v1::LocateDownloadResponse located;
  EXPECT_THAT(FromGrpcStatus(artifacts_->LocateDownload(MakeContext().get(), locate, &located)),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(Upload("u1", bytes, v1::ARTIFACT_TYPE_MODEL), IsOk());
  EXPECT_THAT(FromGrpcStatus(artifacts_->LocateDownload(MakeContext().get(), locate, &located)),
              IsOk());
  EXPECT_FALSE(located.has_location());
}

// Nobody asks for the blob: the scrubber alone finds that it has rotted.
TEST_F(ArtifactTest, TheScrubberSetsACorruptBlobAside) {
  const std::string good = Bytes(5'000);
  const std::string rotten = Bytes(3'000'000);
  const std::string missing = Bytes(77);
  for (const std::string& bytes : {good, rotten, missing}) {
    ASSERT_THAT(Upload("u1", bytes, v1::ARTIFACT_TYPE_MODEL), IsOk());
  }
  StopServer();
  {
    std::fstream file(FileOf(rotten), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2'999'999);
    file.put('!');
  }
  ASSERT_THAT(RemoveFile(FileOf(missing)), IsOk());
  scrub_interval_hours_ = 0.0001;
  StartServer();
  const auto present = [this](const std::string& bytes) {
    v1::GetArtifactRequest request;
    request.set_digest(Digest::OfBytes(bytes).str());
    v1::Artifact artifact;
    return artifacts_->GetArtifact(MakeContext().get(), request, &artifact).ok();
  };
  const MonotonicTime deadline = clock_.Now() + absl::Seconds(30);
  while ((present(rotten) || present(missing)) && clock_.Now() < deadline) {
  }
  EXPECT_FALSE(present(rotten));
  EXPECT_FALSE(present(missing));
  EXPECT_TRUE(present(good));
  EXPECT_THAT(FileOf(rotten), HasSubstr("quarantine"));
  // Its name is free for a good copy.
  EXPECT_THAT(Upload("u1", rotten, v1::ARTIFACT_TYPE_MODEL), IsOk());
  EXPECT_THAT(Download(Digest::OfBytes(rotten).str()), IsOkAndHolds(rotten));
}

}  // namespace
}  // namespace distill::server
