// A server that stands by refuses every call, says who leads, and frees its addresses at once.
#include "server/app/standby.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificates.h"
#include "tests/support/http_client.h"
#include "tests/support/status_matchers.h"
#include "transport/secure_channel.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class StandbyTest : public ::testing::Test {
 protected:
  StandbyTest() {
    config_.listen = "127.0.0.1:0";
    config_.http = "127.0.0.1:0";
    standby_ = Standby::Start(config_).value();
  }
  grpc::Status GetJob(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const auto stub = v1::JobService::NewStub(
        grpc::CreateChannel(standby_->grpc_address(), grpc::InsecureChannelCredentials()));
    v1::Job job;
    return stub->GetJob(&context, v1::GetJobRequest(), &job);
  }

  ServerConfig config_;
  std::unique_ptr<Standby> standby_;
};

TEST_F(StandbyTest, RefusesCallsAndNamesTheLeader) {
  {
    grpc::ClientContext context;
    const grpc::Status status = GetJob(context);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("stands by; leader=unknown"));
  }
  standby_->SetLeader("server-b:7700");
  grpc::ClientContext context;
  const grpc::Status status = GetJob(context);
  EXPECT_THAT(status.error_message(), HasSubstr("leader=server-b:7700"));
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto leader = metadata.find(kLeaderMetadata);
  ASSERT_NE(leader, metadata.end());
  EXPECT_EQ(std::string(leader->second.data(), leader->second.size()), "server-b:7700");
}

// A page behind an address of both servers takes it as a reason to wait.
TEST_F(StandbyTest, PagesAreToldToComeBack) {
  standby_->SetLeader("server-b:7700");
  const int port = PortOf(standby_->http_address());
  for (const char* const path :
       {"/", "/static/main.js", "/api/v1/jobs", "/api/v1/overview/events"}) {
    EXPECT_THAT(HttpGet(port, path),
                AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("leader=server-b:7700")));
  }
  EXPECT_THAT(HttpGet(port, "/healthz"), StartsWith("HTTP/1.1 200"));
}

// Clients walk a list of servers with one set of credentials, whichever of them leads.
TEST(SecureStandbyTest, SpeaksTlsLikeTheLeader) {
  const TestAuthority authority;
  authority.Run({"server", "127.0.0.1"});
  ServerConfig config;
  config.listen = "127.0.0.1:0";
  config.http.clear();
  const TlsFiles files = authority.Files("server");
  config.tls_certificate = files.certificate;
  config.tls_key = files.key;
  config.tls_client_ca = files.ca;
  const absl::StatusOr<std::unique_ptr<Standby>> standby = Standby::Start(config);
  ASSERT_THAT(standby, IsOk());
  (*standby)->SetLeader("server-b:7700");
  const std::string address = (*standby)->grpc_address();
  const auto ask = [&](std::shared_ptr<grpc::ChannelCredentials> credentials) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const auto stub = v1::JobService::NewStub(grpc::CreateChannel(address, credentials));
    v1::Job job;
    return stub->GetJob(&context, v1::GetJobRequest(), &job);
  };
  ChannelSecurity security;
  security.files.ca = authority.ca();
  const auto credentials = MakeChannelCredentials({address}, security, SystemClock().WallNow());
  ASSERT_THAT(credentials, IsOk());
  const grpc::Status told = ask(*credentials);
  EXPECT_EQ(told.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(told.error_message(), HasSubstr("leader=server-b:7700"));
  const grpc::Status plain = ask(grpc::InsecureChannelCredentials());
  EXPECT_EQ(plain.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(plain.error_message(), Not(HasSubstr("server-b")));
}

TEST_F(StandbyTest, ItsAddressesAreFreeOnceItStopped) {
  ServerConfig same = config_;
  same.listen = standby_->grpc_address();
  same.http = standby_->http_address();
  EXPECT_THAT(Standby::Start(same).status(), StatusIs(absl::StatusCode::kUnavailable));
  standby_->Stop();
  EXPECT_THAT(Standby::Start(same).status(), IsOk());
}

}  // namespace
}  // namespace distill::server
