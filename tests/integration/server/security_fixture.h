// A server with TLS in this process, and callers of every kind.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "distill/v1/auth_service.grpc.pb.h"
#include "distill/v1/dataset_service.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/certificates.h"
#include "tests/support/idx_files.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "transport/secure_channel.h"

namespace distill::server {

// The system's clock, of which tests move the time of day.
class MovableClock : public Clock {
 public:
  MonotonicTime Now() const override { return clock_.Now(); }
  absl::Time WallNow() const override { return clock_.WallNow() + absl::Seconds(ahead_.load()); }
  void Advance(absl::Duration by) { ahead_ += absl::ToInt64Seconds(by); }

 private:
  SystemClock clock_;
  std::atomic<int64_t> ahead_{0};
};

// All stubs of one caller.
struct Party {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::JobService::Stub> jobs = v1::JobService::NewStub(channel);
  std::unique_ptr<v1::TaskService::Stub> tasks = v1::TaskService::NewStub(channel);
  std::unique_ptr<v1::FleetService::Stub> fleet = v1::FleetService::NewStub(channel);
  std::unique_ptr<v1::WorkerService::Stub> workers = v1::WorkerService::NewStub(channel);
  std::unique_ptr<v1::ArtifactService::Stub> artifacts = v1::ArtifactService::NewStub(channel);
  std::unique_ptr<v1::DatasetService::Stub> datasets = v1::DatasetService::NewStub(channel);
  std::unique_ptr<v1::AuthService::Stub> auth = v1::AuthService::NewStub(channel);
};

class SecurityTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    authority_ = new TestAuthority();
    authority_->Run({"server", "localhost", "127.0.0.1"});
    authority_->Run({"worker", "w1"});
    authority_->Run({"worker", "w2"});
    authority_->Run({"user", "alice", "admin"});
    authority_->Run({"user", "bob", "editor@vision"});
    authority_->Run({"user", "carol", "viewer@audio"});
    authority_->Run({"user", "dan", "admin@audio"});
  }
  static void TearDownTestSuite() { delete authority_; }

  void SetUp() override {
    WriteIdxDataset(JoinPath(directory_.path(), "dataset"));
    config_.data_dir = directory_.Join("server");
    config_.listen = "127.0.0.1:0";
    config_.http.clear();
    config_.blobs.min_free_disk_bytes = 0;
    const TlsFiles files = authority_->Files("server");
    config_.tls_certificate = files.certificate;
    config_.tls_key = files.key;
    config_.tls_client_ca = files.ca;
    config_.stream_stall_seconds = 0.5;
    config_.dataset_roots = {directory_.path()};
  }

  void Start() {
    absl::StatusOr<std::unique_ptr<ServerApp>> app =
        ServerApp::Start(config_, {&clock_, &ids_, nullptr});
    ASSERT_THAT(app, IsOk());
    server_ = *std::move(app);
  }

  std::shared_ptr<grpc::Channel> Channel(const ChannelSecurity& security) {
    grpc::ChannelArguments arguments;
    ApplyTo(security, arguments);
    // Otherwise channels with equal settings share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const std::string address = server_->grpc_address();
    const auto credentials = MakeChannelCredentials({address}, security, SystemClock().WallNow());
    EXPECT_THAT(credentials, IsOk());
    return grpc::CreateCustomChannel(address, *credentials, arguments);
  }
  // The holder of a certificate; empty: of none.
  Party Of(const std::string& name) {
    ChannelSecurity security;
    if (!name.empty()) security.files = authority_->Files(name);
    security.files.ca = authority_->ca();
    return Party{Channel(security)};
  }
  Party WithToken(const std::string& text) {
    ChannelSecurity security;
    security.files.ca = authority_->ca();
    security.token_file = directory_.Join(absl::StrCat("token-", ids_.RandomHex(4)));
    EXPECT_THAT(WriteFileAtomically(security.token_file, text + "\n"), IsOk());
    EXPECT_EQ(chmod(security.token_file.c_str(), 0600), 0);
    return Party{Channel(security)};
  }
  std::string NewTokenText(const std::string& project, v1::Role role, int64_t lifetime = 0) {
    v1::CreateTokenRequest request;
    request.set_project(project);
    request.set_role(role);
    request.set_lifetime_seconds(lifetime);
    request.set_request_id(ids_.RandomHex(8));
    v1::CreateTokenResponse response;
    EXPECT_THAT(
        FromGrpcStatus(Of("user-alice").auth->CreateToken(MakeContext().get(), request, &response)),
        IsOk());
    return response.text();
  }

  v1::JobSpec Spec(const std::string& project) const {
    v1::JobSpec spec;
    spec.set_project(project);
    spec.mutable_dataset()->set_path(JoinPath(directory_.path(), "dataset"));
    spec.set_modules(2);
    spec.set_patch_size(7);
    for (v1::TrainingRecipe* recipe :
         {spec.mutable_pretrain_meta(), spec.mutable_incubate_teacher(),
          spec.mutable_finetune_teacher(), spec.mutable_distill_modules(),
          spec.mutable_finetune_student()}) {
      recipe->set_batch_size(8);
    }
    spec.mutable_execution()->set_numeric_class("cpu-test");
    return spec;
  }
  absl::StatusOr<v1::Job> Create(const Party& party, const std::string& project,
                                 const std::string& request_id) {
    v1::CreateJobRequest request;
    *request.mutable_spec() = Spec(project);
    request.set_request_id(request_id);
    v1::Job job;
    const grpc::Status status = party.jobs->CreateJob(MakeContext().get(), request, &job);
    if (!status.ok()) return FromGrpcStatus(status);
    return job;
  }
  static absl::Status WhoAmI(const Party& party, std::string* name = nullptr) {
    v1::WhoAmIResponse response;
    const grpc::Status status =
        party.auth->WhoAmI(MakeContext().get(), v1::WhoAmIRequest(), &response);
    if (name != nullptr) *name = response.caller();
    return FromGrpcStatus(status);
  }
  static absl::Status GetJob(const Party& party, const std::string& id) {
    v1::GetJobRequest request;
    request.set_job(id);
    v1::Job job;
    return FromGrpcStatus(party.jobs->GetJob(MakeContext().get(), request, &job));
  }
  static absl::Status Download(const Party& party, const std::string& digest) {
    v1::DownloadRequest request;
    request.set_digest(digest);
    const auto context = MakeContext();
    const auto reader = party.artifacts->Download(context.get(), request);
    v1::DownloadResponse response;
    while (reader->Read(&response)) {
    }
    return FromGrpcStatus(reader->Finish());
  }
  static absl::Status Upload(const Party& party, const std::string& bytes,
                             const std::string& project, const v1::LeaseRef* lease = nullptr,
                             const std::string& upload_id = "up") {
    const auto context = MakeContext();
    v1::UploadResponse response;
    const auto writer = party.artifacts->Upload(context.get(), &response);
    v1::UploadRequest request;
    request.set_upload_id(upload_id);
    request.set_digest(Digest::OfBytes(bytes).str());
    request.set_size_bytes(static_cast<int64_t>(bytes.size()));
    request.set_type(v1::ARTIFACT_TYPE_MODEL);
    request.set_project(project);
    if (lease != nullptr) *request.mutable_lease() = *lease;
    request.set_data(bytes);
    writer->Write(request);
    writer->WritesDone();
    return FromGrpcStatus(writer->Finish());
  }
  std::string AuditText() const { return ReadFile(config_.data_dir + "/audit.jsonl").value(); }
  // The log is written behind the callers' backs.
  bool AuditComesToSay(const std::string& text) const {
    return Eventually([&] { return absl::StrContains(AuditText(), text); }, absl::Seconds(20));
  }

  inline static TestAuthority* authority_ = nullptr;
  TempDir directory_;
  MovableClock clock_;
  SystemIdSource ids_;
  ServerConfig config_;
  std::unique_ptr<ServerApp> server_;
};

}  // namespace distill::server
