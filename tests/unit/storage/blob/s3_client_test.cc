// What the S3 client does when the server, or the way to it, misbehaves.
#include "storage/blob/s3_client.h"

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "storage/blob/s3_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/blob/misbehaving_server.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSecret[] = "very-secret-key";

std::string ErrorBody(const std::string& code) {
  return absl::StrCat("<?xml version=\"1.0\"?>\n<Error><Code>", code,
                      "</Code><Message>a &lt;reason&gt;</Message></Error>");
}

class S3ClientTest : public ::testing::Test {
 protected:
  S3ClientTest() {
    keys_ = directory_.Join("keys");
    EXPECT_THAT(
        WriteFileAtomically(keys_, absl::StrCat("# keys\n[other]\naws_access_key_id=no\n[default]\n"
                                                "aws_access_key_id = id\naws_secret_access_key = ",
                                                kSecret, "\n")),
        IsOk());
    EXPECT_EQ(chmod(keys_.c_str(), 0600), 0);
    credentials_ = std::make_unique<S3CredentialsSource>(keys_, clock_);
    config_.endpoint = server_.endpoint();
    config_.bucket = "bucket";
    config_.max_attempts = 4;
    config_.first_retry = absl::Milliseconds(1);
    config_.longest_retry = absl::Milliseconds(4);
    Open();
  }
  void Open() { client_ = std::make_unique<S3Client>(config_, *credentials_, clock_, metrics_); }
  absl::Status Put(const std::string& bytes) {
    return client_->Put("key", BodyOf(bytes), bytes.size(), Digest::OfBytes(bytes).hex());
  }
  absl::StatusOr<std::string> Get(uint64_t offset, uint64_t size) {
    std::string all;
    DISTILL_RETURN_IF_ERROR(client_->Get("key", offset, size, [&all](absl::string_view bytes) {
      all.append(bytes.data(), bytes.size());
      return absl::OkStatus();
    }));
    return all;
  }

  TempDir directory_;
  SystemClock clock_;
  NullMetrics metrics_;
  MisbehavingServer server_;
  std::string keys_;
  std::unique_ptr<S3CredentialsSource> credentials_;
  S3ClientConfig config_;
  std::unique_ptr<S3Client> client_;
};

TEST_F(S3ClientTest, RepeatsWhatTheServerCannotDoNow) {
  for (const int status : {500, 503, 429}) server_.Plan({status, {}, ErrorBody("SlowDown")});
  const std::string bytes(3'000'000, 'x');
  EXPECT_THAT(Put(bytes), IsOk());
  const std::vector<SeenRequest> seen = server_.seen();
  ASSERT_THAT(seen, SizeIs(4));
  for (const SeenRequest& request : seen) {
    EXPECT_EQ(request.line, "PUT /bucket/key HTTP/1.1");
    EXPECT_EQ(request.body, bytes);
    EXPECT_EQ(request.headers.at("x-amz-content-sha256"), Digest::OfBytes(bytes).hex());
  }
}

TEST_F(S3ClientTest, GivesUpAfterItsAttemptsAndSaysWhy) {
  for (int i = 0; i < 10; ++i) server_.Plan({503, {}, ErrorBody("SlowDown")});
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kUnavailable,
                                     AllOf(HasSubstr("cannot put object: SlowDown: a <reason>"),
                                           HasSubstr("path=/bucket/key"))));
  EXPECT_THAT(server_.seen(), SizeIs(4));
}

TEST_F(S3ClientTest, NeverRepeatsWhatIsWrong) {
  const std::vector<std::pair<int, absl::StatusCode>> answers = {
      {400, absl::StatusCode::kInternal},          {403, absl::StatusCode::kPermissionDenied},
      {404, absl::StatusCode::kNotFound},          {409, absl::StatusCode::kAborted},
      {501, absl::StatusCode::kUnimplemented},     {507, absl::StatusCode::kResourceExhausted},
      {301, absl::StatusCode::kFailedPrecondition}};
  for (const auto& [status, code] : answers) {
    server_.Plan({status, {}, ""});
    EXPECT_THAT(Put("bytes"), StatusIs(code, HasSubstr(absl::StrCat("status=", status))));
  }
  server_.Plan({403, {}, ErrorBody("RequestTimeTooSkewed")});
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("clock")));
  server_.Plan({400, {}, ErrorBody("XAmzContentSHA256Mismatch")});
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(server_.seen(), SizeIs(answers.size() + 2));
}

TEST_F(S3ClientTest, RepeatsAfterALostConnection) {
  Misbehaviour silent;
  silent.silent = true;
  server_.Plan(silent);
  server_.Plan(silent);
  EXPECT_THAT(Put("bytes"), IsOk());
}

TEST_F(S3ClientTest, SaysThatNobodyListens) {
  config_.endpoint = "http://127.0.0.1:1";
  Open();
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("127.0.0.1")));
}

// Each cut answer brings some bytes, so more cuts than attempts are no reason to give up.
TEST_F(S3ClientTest, ReadsOnWhereItWasCut) {
  const std::string bytes = "0123456789";
  for (size_t at = 2; at < bytes.size(); ++at) {
    Misbehaviour cut;
    cut.status = 206;
    cut.headers["etag"] = "\"e\"";
    cut.body = bytes.substr(at);
    cut.cut_after = 1;
    server_.Plan(cut);
  }
  EXPECT_THAT(Get(2, 8), IsOkAndHolds("23456789"));
  const std::vector<SeenRequest> seen = server_.seen();
  ASSERT_THAT(seen, SizeIs(8));
  EXPECT_EQ(seen[0].headers.at("range"), "bytes=2-9");
  EXPECT_EQ(seen[0].headers.count("if-match"), 0U);
  EXPECT_EQ(seen[5].headers.at("range"), "bytes=7-9");
  EXPECT_EQ(seen[5].headers.at("if-match"), "\"e\"");
}

TEST_F(S3ClientTest, NoticesAnObjectThatBecameAnother) {
  Misbehaviour cut;
  cut.status = 206;
  cut.headers["etag"] = "\"e\"";
  cut.body = "01234";
  cut.cut_after = 2;
  server_.Plan(cut);
  server_.Plan({412, {}, ErrorBody("PreconditionFailed")});
  EXPECT_THAT(Get(0, 5), StatusIs(absl::StatusCode::kDataLoss));
  server_.Plan({206, {}, "012"});
  EXPECT_THAT(Get(0, 5), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("shorter")));
  server_.Plan({206, {}, "0123456789"});
  EXPECT_THAT(Get(0, 5), StatusIs(absl::StatusCode::kInternal, HasSubstr("more than")));
  server_.Plan({200, {}, "01234"});
  EXPECT_THAT(Get(3, 5), StatusIs(absl::StatusCode::kInternal, HasSubstr("ranges")));
}

TEST_F(S3ClientTest, CutsWhatStalls) {
  config_.idle_timeout = absl::Seconds(1);
  config_.max_attempts = 1;
  Open();
  Misbehaviour stall;
  stall.stall = true;
  server_.Plan(stall);
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(S3ClientTest, CancelEndsPauses) {
  config_.first_retry = config_.longest_retry = absl::Hours(1);
  Open();
  server_.Plan({503, {}, ""});
  absl::Status status;
  std::thread caller([&] { status = Put("bytes"); });
  while (server_.seen().empty()) std::this_thread::yield();
  client_->Cancel();
  caller.join();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
  EXPECT_THAT(Put("bytes"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
  EXPECT_THAT(server_.seen(), SizeIs(1));
}

// S3 may take its "200 OK" back in the body.
TEST_F(S3ClientTest, ReadsTheErrorInsideOfASuccess) {
  server_.Plan({200, {}, ErrorBody("InternalError")});
  server_.Plan({200, {}, "<CompleteMultipartUploadResult/>"});
  EXPECT_THAT(client_->CompleteMultipart("key", "id", {"\"a\"", "\"b\""}, 10), IsOk());
  EXPECT_THAT(server_.seen()[1].body,
              HasSubstr("<Part><PartNumber>2</PartNumber><ETag>&quot;b&quot;</ETag></Part>"));
}

// The first try may have worked with only its answer lost.
TEST_F(S3ClientTest, ACompletedUploadThatIsGoneIsLookedFor) {
  Misbehaviour silent;
  silent.silent = true;
  server_.Plan(silent);
  server_.Plan({404, {}, ErrorBody("NoSuchUpload")});
  server_.Plan({200, {{"content-length", "10"}}, ""});
  EXPECT_THAT(client_->CompleteMultipart("key", "id", {"\"a\""}, 10), IsOk());
  server_.Plan({404, {}, ErrorBody("NoSuchUpload")});
  server_.Plan({404, {}, ""});
  EXPECT_THAT(client_->CompleteMultipart("key", "id", {"\"a\""}, 10),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(S3ClientTest, AddressesBucketsByPathOrByHost) {
  ASSERT_THAT(client_->Head("a b"), StatusIs(absl::StatusCode::kOk));
  config_.addressing = S3Addressing::kVirtualHosted;
  config_.endpoint = "https://s3.example.org";
  Open();
  const absl::StatusOr<BlobLocation> location = client_->PresignGet("dir/key", absl::Minutes(5));
  ASSERT_THAT(location, IsOk());
  EXPECT_THAT(location->url, AllOf(HasSubstr("https://bucket.s3.example.org/dir/key?"),
                                   HasSubstr("X-Amz-Expires=300"), Not(HasSubstr(kSecret))));
  EXPECT_EQ(server_.seen().front().line, "HEAD /bucket/a%20b HTTP/1.1");
}

TEST_F(S3ClientTest, RefusesImpossibleSettings) {
  EXPECT_THAT(S3Client::Check(config_), IsOk());
  for (const char* endpoint : {"", "127.0.0.1:9000", "ftp://host", "http://", "http://a/b",
                               "https://user:password@host"}) {
    S3ClientConfig config = config_;
    config.endpoint = endpoint;
    EXPECT_THAT(S3Client::Check(config), StatusIs(absl::StatusCode::kInvalidArgument));
  }
  for (const char* bucket : {"", "ab", "a/b", "a b c"}) {
    S3ClientConfig config = config_;
    config.bucket = bucket;
    EXPECT_THAT(S3Client::Check(config), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(S3ClientTest, RefusesKeysThatOthersCanReadOrThatAreNone) {
  ASSERT_EQ(chmod(keys_.c_str(), 0644), 0);
  S3CredentialsSource open_file(keys_, clock_);
  EXPECT_THAT(open_file.Get(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod")));
  S3CredentialsSource no_file(directory_.Join("absent"), clock_);
  EXPECT_THAT(no_file.Get(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ParseS3Credentials("[default]\naws_access_key_id = only\n"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseS3Credentials(absl::StrCat("[default]\n", kSecret, "\n")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line=2"), Not(HasSubstr(kSecret)))));
}

// --- The store on top ----------------------------------------------------------------------------

class S3StoreFaultTest : public S3ClientTest {
 protected:
  S3BlobStore::Config StoreConfig() {
    S3BlobStore::Config config;
    config.client = config_;
    config.credentials_file = keys_;
    config.spool_directory = directory_.Join("spool");
    config.multipart_bytes = 6 << 20;
    config.part_bytes = 5 << 20;
    config.parallel_parts = 1;
    return config;
  }
  // What a start asks: put, a put that must be refused, delete, list, list of multipart uploads.
  std::unique_ptr<S3BlobStore> OpenStore(bool checks_payloads) {
    server_.Plan({});
    server_.Plan(checks_payloads ? Misbehaviour{400, {}, ErrorBody("BadDigest")} : Misbehaviour{});
    server_.Plan({204, {}, ""});
    server_.Plan(
        {200, {}, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"});
    server_.Plan({200, {}, "<ListMultipartUploadsResult></ListMultipartUploadsResult>"});
    absl::StatusOr<std::unique_ptr<S3BlobStore>> store =
        S3BlobStore::Open(StoreConfig(), clock_, metrics_);
    EXPECT_THAT(store, IsOk());
    return store.ok() ? *std::move(store) : nullptr;
  }
};

TEST_F(S3StoreFaultTest, HandsOutNoUploadsWhenTheServerChecksNothing) {
  const std::unique_ptr<S3BlobStore> trusting = OpenStore(/*checks_payloads=*/false);
  const absl::StatusOr<std::optional<BlobLocation>> none =
      trusting->LocateUpload(Digest::OfBytes("x"), 1);
  ASSERT_THAT(none, IsOk());
  EXPECT_FALSE(none->has_value());
  const std::unique_ptr<S3BlobStore> checking = OpenStore(/*checks_payloads=*/true);
  const absl::StatusOr<std::optional<BlobLocation>> some =
      checking->LocateUpload(Digest::OfBytes("x"), 1);
  ASSERT_THAT(some, IsOk());
  EXPECT_TRUE(some->has_value());
}

TEST_F(S3StoreFaultTest, AbortsAMultipartUploadThatFails) {
  const std::unique_ptr<S3BlobStore> store = OpenStore(/*checks_payloads=*/true);
  std::string bytes;
  bytes.resize(11'000'000, 'x');
  const size_t before = server_.seen().size();
  server_.Plan({404, {}, ""});  // Not there yet.
  server_.Plan({200, {}, "<R><UploadId>id</UploadId></R>"});
  server_.Plan({200, {{"etag", "\"1\""}}, ""});
  server_.Plan({403, {}, ErrorBody("AccessDenied")});
  server_.Plan({204, {}, ""});
  EXPECT_THAT(WriteBlob(*store, "u1", bytes), StatusIs(absl::StatusCode::kPermissionDenied));
  const std::vector<SeenRequest> seen = server_.seen();
  ASSERT_THAT(seen, SizeIs(before + 5));
  EXPECT_THAT(seen.back().line, AllOf(HasSubstr("DELETE"), HasSubstr("uploadId=id")));
  // What has arrived is kept: the next try need not send it again.
  EXPECT_THAT(store->UploadedBytes("u1"), IsOkAndHolds(bytes.size()));
}

TEST_F(S3StoreFaultTest, AnUnreachableStoreLosesNothing) {
  const std::unique_ptr<S3BlobStore> store = OpenStore(/*checks_payloads=*/true);
  server_.Plan({404, {}, ""});
  for (int i = 0; i < config_.max_attempts; ++i) server_.Plan({503, {}, ""});
  EXPECT_THAT(WriteBlob(*store, "u1", "bytes"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(store->UploadedBytes("u1"), IsOkAndHolds(5U));
  server_.Plan({404, {}, ""});
  EXPECT_THAT(WriteBlob(*store, "u1", "bytes"), IsOk());
  EXPECT_EQ(server_.seen().back().body, "bytes");
  EXPECT_THAT(store->UploadedBytes("u1"), IsOkAndHolds(0U));
}

}  // namespace
}  // namespace distill::storage
