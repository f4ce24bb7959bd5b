// The suite of all blob stores against S3, and what S3 adds: parts, direct transfers, quarantine by
// copying. Needs a server: tests/support/s3/s3_server.py starts one and runs this.
#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/random_ids.h"
#include "storage/blob/s3_blob_store.h"
#include "storage/http/http_client.h"
#include "tests/conformance/blob_store_suite.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A store of its own for each test: another prefix.
S3BlobStore::Config ConfigOf(const World& world) {
  SystemIdSource ids;
  S3BlobStore::Config config;
  config.client.endpoint = Environment("DISTILL_S3_ENDPOINT");
  config.client.region = Environment("DISTILL_S3_REGION");
  config.client.bucket = Environment("DISTILL_S3_BUCKET");
  config.prefix = absl::StrCat(ids.RandomHex(8), "/");
  config.spool_directory = world.directory.Join("spool");
  config.part_bytes = 5 << 20;
  return config;
}

void OpenS3(World& world, uint64_t max_bytes) {
  S3BlobStore::Config config = ConfigOf(world);
  config.max_bytes = max_bytes;
  absl::StatusOr<std::unique_ptr<S3BlobStore>> store =
      S3BlobStore::Open(std::move(config), world.clock, world.metrics);
  ASSERT_THAT(store, IsOk());
  world.store = *std::move(store);
}

INSTANTIATE_TEST_SUITE_P(Stores, BlobStoreTest, ::testing::Values(Backend{"S3", OpenS3}), NameOf);
INSTANTIATE_TEST_SUITE_P(Stores, LimitedBlobStoreTest, ::testing::Values(Backend{"S3", OpenS3}),
                         NameOf);

class S3Test : public ::testing::Test {
 protected:
  S3Test() : config_(ConfigOf(world_)) { Open(); }
  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<S3BlobStore>> store =
        S3BlobStore::Open(config_, world_.clock, world_.metrics);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }
  // Plays the worker: does what the location says.
  absl::StatusOr<HttpResponse> Follow(const BlobLocation& location, const std::string& bytes) {
    HttpRequest request;
    request.method = location.method;
    request.url = location.url;
    request.headers = location.headers;
    request.body = BodyOf(bytes);
    request.body_size = bytes.size();
    return http_.Send(request);
  }

  World world_;
  S3BlobStore::Config config_;
  std::unique_ptr<S3BlobStore> store_;
  HttpClient http_{HttpClient::Config{}};
};

std::string ManyBytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761U) >> 13);
  return bytes;
}

TEST_F(S3Test, SendsLargeBlobsInParts) {
  config_.multipart_bytes = 8 << 20;
  Open();
  const std::string bytes = ManyBytes(21'000'001);
  const absl::StatusOr<Digest> digest = WriteBlob(*store_, "u1", bytes);
  ASSERT_THAT(digest, IsOk());
  EXPECT_THAT(store_->Stat(*digest), IsOkAndHolds(bytes.size()));
  EXPECT_THAT(store_->Verify(*digest), IsOk());
  EXPECT_THAT(ReadBlob(*store_, *digest), IsOkAndHolds(bytes));
  EXPECT_EQ(store_->used_bytes(), bytes.size());
  EXPECT_THAT(ListDirectory(config_.spool_directory), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(store_->Delete(*digest), IsOk());
  EXPECT_THAT(store_->Stat(*digest), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(S3Test, ReadsOnInLargerPieces) {
  const std::string bytes = ManyBytes(6'000'000);
  const absl::StatusOr<Digest> digest = WriteBlob(*store_, "u1", bytes);
  ASSERT_THAT(digest, IsOk());
  const absl::StatusOr<std::unique_ptr<BlobReader>> reader = store_->OpenReader(*digest);
  ASSERT_THAT(reader, IsOk());
  std::string read;
  while (read.size() < bytes.size()) {
    const absl::StatusOr<std::string> piece = (*reader)->Read(read.size(), 700'000);
    ASSERT_THAT(piece, IsOk());
    read += *piece;
  }
  EXPECT_EQ(read, bytes);
  EXPECT_THAT((*reader)->Read(3, 4), IsOkAndHolds(bytes.substr(3, 4)));
}

TEST_F(S3Test, WhatIsThereIsCountedAndFoundAfterARestart) {
  ASSERT_THAT(WriteBlob(*store_, "u1", "bytes"), IsOk());
  {
    absl::StatusOr<std::unique_ptr<BlobUpload>> upload =
        store_->StartUpload("u2", Digest::OfBytes("0123456789"), 10);
    ASSERT_THAT(upload, IsOk());
    ASSERT_THAT((*upload)->Append(0, "0123"), IsOk());
  }
  Open();
  EXPECT_EQ(store_->used_bytes(), 9U);
  EXPECT_THAT(ReadBlob(*store_, Digest::OfBytes("bytes")), IsOkAndHolds("bytes"));
  EXPECT_THAT(store_->UploadedBytes("u2"), IsOkAndHolds(4U));
  EXPECT_THAT(WriteBlob(*store_, "u2", "0123456789"), IsOk());
}

TEST_F(S3Test, AWorkerMovesBlobsWithoutKeys) {
  const std::string bytes = ManyBytes(3'000'000);
  const Digest digest = Digest::OfBytes(bytes);
  EXPECT_THAT(store_->FinishDirectUpload(digest, bytes.size()),
              StatusIs(absl::StatusCode::kNotFound));
  absl::StatusOr<std::optional<BlobLocation>> upload = store_->LocateUpload(digest, bytes.size());
  ASSERT_THAT(upload, IsOk());
  ASSERT_TRUE(upload->has_value());
  EXPECT_GT((*upload)->expire_time, world_.clock.WallNow());
  const absl::StatusOr<HttpResponse> sent = Follow(**upload, bytes);
  ASSERT_THAT(sent, IsOk());
  EXPECT_EQ(sent->status, 200) << sent->body;
  EXPECT_THAT(store_->FinishDirectUpload(digest, bytes.size()), IsOk());
  EXPECT_THAT(store_->FinishDirectUpload(digest, bytes.size()), IsOk());
  EXPECT_EQ(store_->used_bytes(), bytes.size());

  const absl::StatusOr<std::optional<BlobLocation>> download = store_->LocateDownload(digest);
  ASSERT_THAT(download, IsOk());
  ASSERT_TRUE(download->has_value());
  const std::string secret = Environment("AWS_SECRET_ACCESS_KEY");
  EXPECT_THAT((*download)->url, ::testing::Not(HasSubstr(secret)));
  BlobLocation ranged = **download;
  ranged.headers.emplace_back("range", "bytes=1000-1009");
  const absl::StatusOr<HttpResponse> part = Follow(ranged, "");
  ASSERT_THAT(part, IsOk());
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(part->body, bytes.substr(1000, 10));
}

// The digest is part of what is signed: a location for one blob cannot be used for another.
TEST_F(S3Test, ALocationTakesNoOtherBytesAndNoOtherName) {
  const std::string bytes = "the right bytes";
  const std::string wrong = "the wrong bytes";
  const Digest digest = Digest::OfBytes(bytes);
  const absl::StatusOr<std::optional<BlobLocation>> upload =
      store_->LocateUpload(digest, bytes.size());
  ASSERT_THAT(upload, IsOk());
  ASSERT_TRUE(upload->has_value());
  const absl::StatusOr<HttpResponse> refused = Follow(**upload, wrong);
  ASSERT_THAT(refused, IsOk());
  EXPECT_GE(refused->status, 400);
  EXPECT_THAT(store_->Stat(digest), StatusIs(absl::StatusCode::kNotFound));

  BlobLocation renamed = **upload;
  const size_t at = renamed.url.find(std::string(digest.hex()));
  renamed.url.replace(at, 64, std::string(64, 'a'));
  const absl::StatusOr<HttpResponse> forbidden = Follow(renamed, bytes);
  ASSERT_THAT(forbidden, IsOk());
  EXPECT_EQ(forbidden->status, 403);

  const absl::StatusOr<HttpResponse> sent = Follow(**upload, bytes);
  ASSERT_THAT(sent, IsOk());
  EXPECT_EQ(sent->status, 200);
  EXPECT_THAT(store_->FinishDirectUpload(digest, 3),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("another size")));
  EXPECT_THAT(store_->Stat(digest), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(S3Test, ReadBackFindsBytesThatNobodyChecked) {
  config_.read_back = true;
  Open();
  const std::string bytes = ManyBytes(100'000);
  const Digest digest = Digest::OfBytes(bytes);
  absl::StatusOr<std::optional<BlobLocation>> upload = store_->LocateUpload(digest, bytes.size());
  ASSERT_THAT(upload, IsOk());
  ASSERT_THAT(Follow(**upload, bytes), IsOk());
  EXPECT_THAT(store_->FinishDirectUpload(digest, bytes.size()), IsOk());
}

TEST_F(S3Test, ExpiredLocationsAreRefused) {
  config_.download_lifetime = absl::Seconds(1);
  Open();
  const absl::StatusOr<Digest> digest = WriteBlob(*store_, "u1", "bytes");
  ASSERT_THAT(digest, IsOk());
  const absl::StatusOr<std::optional<BlobLocation>> location = store_->LocateDownload(*digest);
  ASSERT_THAT(location, IsOk());
  // A second passes by itself: the server is asked until it says no.
  int status = 200;
  for (int i = 0; i < 100'000 && status == 200; ++i) {
    const absl::StatusOr<HttpResponse> response = Follow(**location, "");
    ASSERT_THAT(response, IsOk());
    status = response->status;
  }
  EXPECT_EQ(status, 403);
}

TEST_F(S3Test, SaysWhatIsWrongWithTheSettings) {
  S3BlobStore::Config config = config_;
  config.client.bucket = "no-such-bucket-anywhere";
  EXPECT_THAT(S3BlobStore::Open(config, world_.clock, world_.metrics),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("make the bucket first")));
  config = config_;
  config.client.region = "another-region";
  EXPECT_THAT(S3BlobStore::Open(config, world_.clock, world_.metrics),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("region")));
  config = config_;
  config.credentials_file = world_.directory.Join("keys");
  ASSERT_THAT(WriteFileAtomically(
                  config.credentials_file,
                  absl::StrCat("[default]\naws_access_key_id = ", Environment("AWS_ACCESS_KEY_ID"),
                               "\naws_secret_access_key = wrong\n")),
              IsOk());
  ASSERT_EQ(chmod(config.credentials_file.c_str(), 0600), 0);
  EXPECT_THAT(S3BlobStore::Open(config, world_.clock, world_.metrics),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("SignatureDoesNotMatch")));
}

TEST_F(S3Test, ListsMoreThanAPage) {
  config_.client.list_page_keys = 3;
  Open();
  std::vector<BlobInfo> expected;
  for (int i = 0; i < 10; ++i) {
    const absl::StatusOr<Digest> digest = WriteBlob(*store_, "u1", absl::StrCat(i));
    ASSERT_THAT(digest, IsOk());
    expected.push_back({*digest, absl::StrCat(i).size()});
  }
  EXPECT_THAT(store_->List(), IsOkAndHolds(::testing::UnorderedElementsAreArray(expected)));
}

}  // namespace
}  // namespace distill::storage
