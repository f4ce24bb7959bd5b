// A server that stands by refuses every call, says who leads, and frees its addresses at once.
#include "server/app/standby.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "distill/v1/job_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

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
