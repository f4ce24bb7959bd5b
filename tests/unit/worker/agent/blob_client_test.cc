// Blobs that go past the server, and what happens when that way is closed.
#include "worker/agent/blob_client.h"

#include <string>
#include <vector>

#include "base/file.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/blob/misbehaving_server.h"
#include "tests/unit/worker/agent/scripted_server.h"

namespace distill::worker {
namespace {

using storage::MisbehavingServer;
using storage::Misbehaviour;
using storage::SeenRequest;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BlobClientTest : public ::testing::Test {
 protected:
  BlobClientTest() {
    server_.With([&](ScriptedServer::State& s) { s.object_store = object_store_.endpoint(); });
  }

  LocalBlob File(const std::string& bytes) {
    EXPECT_THAT(WriteFileAtomically(directory_.Join("file"), bytes), IsOk());
    return {directory_.Join("file"),
            Digest::OfBytes(bytes),
            static_cast<int64_t>(bytes.size()),
            v1::ARTIFACT_TYPE_MODEL,
            {}};
  }
  absl::Status Upload(const std::string& bytes) { return client_.Upload(File(bytes), cancel_); }
  absl::StatusOr<std::string> Read(const Digest& digest, int64_t offset) {
    std::string all;
    const absl::Status status = client_.Read(digest, offset, cancel_, [&](absl::string_view bytes) {
      all.append(bytes.data(), bytes.size());
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    return all;
  }
  ScriptedServer::State State() {
    ScriptedServer::State copy;
    server_.With([&](ScriptedServer::State& s) { copy = s; });
    return copy;
  }

  TempDir directory_;
  ScriptedServer server_;
  MisbehavingServer object_store_;
  ServerConnection connection_{{{server_.address()}, {}}, grpc::InsecureChannelCredentials()};
  BlobClient client_{BlobClient::Config(), connection_};
  CancelToken cancel_;
};

TEST_F(BlobClientTest, SendsTheFileAsTheLocationSaysAndThenTellsTheServer) {
  const std::string bytes(2'000'000, 'b');
  EXPECT_THAT(Upload(bytes), IsOk());
  const std::vector<SeenRequest> seen = object_store_.seen();
  ASSERT_THAT(seen, SizeIs(1));
  const std::string digest = Digest::OfBytes(bytes).str();
  EXPECT_EQ(seen[0].line, "PUT /" + digest + " HTTP/1.1");
  EXPECT_EQ(seen[0].headers.at("x-signed"), "yes");
  EXPECT_EQ(seen[0].body, bytes);
  EXPECT_EQ(State().finalized, std::vector<std::string>{digest});
  EXPECT_EQ(State().uploads, 0);
}

TEST_F(BlobClientTest, APresentBlobIsNotSent) {
  server_.AddBlob("bytes");
  EXPECT_THAT(Upload("bytes"), IsOk());
  EXPECT_THAT(object_store_.seen(), SizeIs(0));
  EXPECT_THAT(State().finalized, SizeIs(0));
}

// The outbox tries again what is unavailable, and then learns where the upload stands.
TEST_F(BlobClientTest, AnUploadThatStandsElsewhereIsTriedAgain) {
  object_store_.Plan({503, {}, "slow down"});
  server_.With([](ScriptedServer::State& state) { state.uploads_elsewhere = 1; });
  EXPECT_THAT(Upload("bytes"), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("wrong offset")));
  object_store_.Plan({503, {}, "slow down"});
  EXPECT_THAT(Upload("bytes"), IsOk());
}

TEST_F(BlobClientTest, FallsBackOnTheServerBothWays) {
  object_store_.Plan({503, {}, "slow down"});
  EXPECT_THAT(Upload("bytes"), IsOk());
  EXPECT_EQ(State().uploads, 1);
  EXPECT_EQ(server_.Blob(Digest::OfBytes("bytes").str()), "bytes");
  Misbehaviour silent;
  silent.silent = true;
  object_store_.Plan(silent);
  EXPECT_THAT(Read(Digest::OfBytes("bytes"), 2), IsOkAndHolds("tes"));
  EXPECT_EQ(State().downloads, 1);
}

TEST_F(BlobClientTest, AnObjectStoreThatFindsOtherBytesBlamesTheFile) {
  object_store_.Plan({400, {}, "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"});
  EXPECT_THAT(Upload("bytes"), StatusIs(absl::StatusCode::kInvalidArgument));
  object_store_.Plan({507, {}, ""});
  EXPECT_THAT(Upload("bytes"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(State().finalized, SizeIs(0));
}

TEST_F(BlobClientTest, ReadsFromWhereItWasCut) {
  const Digest digest = Digest::OfBytes("0123456789");
  Misbehaviour cut;
  cut.body = "0123456789";
  cut.cut_after = 4;
  object_store_.Plan(cut);
  // What arrived is kept: the next try asks for the rest, and not the server.
  EXPECT_THAT(Read(digest, 0), StatusIs(absl::StatusCode::kUnavailable));
  object_store_.Plan({206, {}, "456789"});
  EXPECT_THAT(Read(digest, 4), IsOkAndHolds("456789"));
  EXPECT_EQ(object_store_.seen().back().headers.at("range"), "bytes=4-");
  EXPECT_EQ(State().downloads, 0);
  object_store_.Plan({404, {}, ""});
  EXPECT_THAT(Read(digest, 0), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(BlobClientTest, AServerOfAnEarlierVersionIsUnderstood) {
  server_.With([](ScriptedServer::State& s) { s.object_store.clear(); });
  EXPECT_THAT(Upload("bytes"), IsOk());
  EXPECT_THAT(Upload("bytes"), IsOk());
  EXPECT_EQ(State().uploads, 1);
  EXPECT_THAT(Read(Digest::OfBytes("bytes"), 0), IsOkAndHolds("bytes"));
}

}  // namespace
}  // namespace distill::worker
