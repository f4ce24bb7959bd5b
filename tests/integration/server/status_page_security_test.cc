// The status page of a server that wants to know who asks: a token shows what the API would show
// its holder, and nothing is shown without one.
#include "gmock/gmock.h"
#include "tests/integration/server/security_fixture.h"
#include "tests/support/http_client.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class StatusPageSecurityTest : public SecurityTest {
 protected:
  void SetUp() override {
    SecurityTest::SetUp();
    config_.http = "127.0.0.1:0";
    Start();
    job_ = Create(Of("user-bob"), "vision", "r")->id();
  }

  int Port() const { return PortOf(server_->http_address()); }
  static std::string Bearer(const std::string& token) {
    return absl::StrCat("Authorization: Bearer ", token, "\r\n");
  }
  std::string Api(const std::string& path, const std::string& token) const {
    return HttpGet(Port(), absl::StrCat("/api/v1/", path), token.empty() ? "" : Bearer(token));
  }

  std::string job_;
};

TEST_F(StatusPageSecurityTest, NothingIsShownToWhoDoesNotSayWhoItIs) {
  EXPECT_THAT(HttpGet(Port(), "/"), AllOf(StartsWith("HTTP/1.1 200"), Not(HasSubstr(job_))));
  EXPECT_THAT(HttpGet(Port(), "/static/main.js"), StartsWith("HTTP/1.1 200"));
  for (const std::string& path :
       {std::string("jobs?project=-"), absl::StrCat("jobs/", job_), std::string("overview/events"),
        absl::StrCat("jobs/", job_, "/events"), std::string("workers")}) {
    EXPECT_THAT(Api(path, ""), AllOf(StartsWith("HTTP/1.1 401"), Not(HasSubstr(job_)))) << path;
    EXPECT_THAT(Api(path, "no-such-token"), StartsWith("HTTP/1.1 401")) << path;
  }
}

TEST_F(StatusPageSecurityTest, ATokenShowsTheJobsOfItsProject) {
  const std::string vision = NewTokenText("vision", v1::ROLE_VIEWER);
  const std::string audio = NewTokenText("audio", v1::ROLE_VIEWER);
  EXPECT_THAT(Api("jobs?project=-", vision), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr(job_)));
  EXPECT_THAT(Api("jobs?project=-", audio),
              AllOf(StartsWith("HTTP/1.1 200"), Not(HasSubstr(job_))));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job_, "/report"), vision), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Api(absl::StrCat("jobs/", job_, "/report"), audio), StartsWith("HTTP/1.1 404"));
  const auto overview = [&](const std::string& token) {
    HttpConnection stream(
        Port(),
        absl::StrCat("GET /api/v1/overview/events?queue=true HTTP/1.1\r\n", Bearer(token), "\r\n"));
    return std::string(stream.ReadUntil("\n\n\r\n"));
  };
  EXPECT_THAT(overview(vision), AllOf(HasSubstr("event: overview"), HasSubstr(job_)));
  EXPECT_THAT(overview(audio), AllOf(HasSubstr("event: overview"), Not(HasSubstr(job_))));
}

// Pages that are open see nothing more.
TEST_F(StatusPageSecurityTest, ARevokedTokenEndsItsOverview) {
  const std::string token = NewTokenText("vision", v1::ROLE_VIEWER);
  HttpConnection stream(
      Port(), absl::StrCat("GET /api/v1/overview/events HTTP/1.1\r\n", Bearer(token), "\r\n"));
  EXPECT_THAT(stream.ReadUntil(job_), HasSubstr("event: overview"));
  v1::ListTokensResponse tokens;
  const Party alice = Of("user-alice");
  ASSERT_THAT(
      FromGrpcStatus(alice.auth->ListTokens(MakeContext().get(), v1::ListTokensRequest(), &tokens)),
      IsOk());
  v1::RevokeTokenRequest revoke;
  revoke.set_token(tokens.tokens(0).id());
  v1::Token revoked;
  ASSERT_THAT(FromGrpcStatus(alice.auth->RevokeToken(MakeContext().get(), revoke, &revoked)),
              IsOk());
  EXPECT_THAT(stream.ReadAll(), HasSubstr("event: failure\ndata: {\"code\":16"));
}

}  // namespace
}  // namespace distill::server
