// Whoever may not, cannot: a real server with TLS, certificates of deploy/ca, and callers of every
// kind that should be refused, each with the right code.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor_database.h"
#include "server/auth/permissions.h"
#include "tests/integration/server/security_fixture.h"

namespace distill::server {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Every call of the protocol as "/distill.v1.JobService/GetJob".
std::vector<std::string> AllMethodPaths() {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  std::vector<std::string> files;
  google::protobuf::DescriptorPool::internal_generated_database()->FindAllFileNames(&files);
  std::vector<std::string> paths;
  for (const std::string& name : files) {
    if (!absl::StartsWith(name, "distill/v1/")) continue;
    const auto* file = pool->FindFileByName(name);
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        paths.push_back(absl::StrCat("/", file->service(i)->full_name(), "/",
                                     file->service(i)->method(j)->name()));
      }
    }
  }
  return paths;
}

std::string MethodOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A call that the protocol has and this server does not serves nobody either.
auto Refused(absl::StatusCode code) {
  return AnyOf(StatusIs(code), StatusIs(absl::StatusCode::kUnimplemented));
}

// What becomes of an empty request.
absl::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& path) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto context = MakeContext();
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
  grpc::Slice empty;
  request = grpc::ByteBuffer(&empty, 1);
  const auto call = stub.PrepareUnaryCall(context.get(), path, request, &queue);
  call->StartCall();
  grpc::Status status;
  int tag = 0;
  call->Finish(&response, &status, &tag);
  void* got = nullptr;
  bool ok = false;
  queue.Next(&got, &ok);
  return FromGrpcStatus(status);
}

TEST_F(SecurityTest, CertificatesAndTokensTellWhoCalls) {
  Start();
  std::string name;
  EXPECT_THAT(WhoAmI(Of("user-alice"), &name), IsOk());
  EXPECT_EQ(name, "user/alice");
  EXPECT_THAT(WhoAmI(Of("worker-w1"), &name), IsOk());
  EXPECT_EQ(name, "worker/w1");
  EXPECT_THAT(WhoAmI(WithToken(NewTokenText("vision", v1::ROLE_VIEWER)), &name), IsOk());
  EXPECT_THAT(name, ::testing::StartsWith("token/"));
}

// Every single call, whoever adds it and wherever it is implemented.
TEST_F(SecurityTest, WithoutCertificateOrTokenEveryCallIsUnauthenticated) {
  Start();
  const Party nobody = Of("");
  const std::vector<std::string> paths = AllMethodPaths();
  EXPECT_GE(paths.size(), 34u);
  for (const std::string& path : paths) {
    EXPECT_THAT(CallEmpty(nobody.channel, path), Refused(absl::StatusCode::kUnauthenticated))
        << path;
  }
  EXPECT_TRUE(AuditComesToSay("\"code\":\"UNAUTHENTICATED\""));
}

TEST_F(SecurityTest, EveryCallIsRefusedToThoseWhoseRoleIsTooSmall) {
  Start();
  const Party viewer = WithToken(NewTokenText("vision", v1::ROLE_VIEWER));
  const Party editor = Of("user-bob");
  const Party worker = Of("worker-w1");
  const auto refused = Refused(absl::StatusCode::kPermissionDenied);
  for (const std::string& path : AllMethodPaths()) {
    const Rule* rule = FindRule(MethodOf(path));
    ASSERT_NE(rule, nullptr) << path;
    const Permission permission = rule->permission;
    const bool people = permission != Permission::kWork && permission != Permission::kKnown;
    const bool both =
        permission == Permission::kViewOrWork || permission == Permission::kEditOrWork;
    const bool only_view = permission == Permission::kView || permission == Permission::kViewOrWork;
    const bool admins = permission == Permission::kAdminister || permission == Permission::kOperate;
    if (permission == Permission::kWork || (people && !only_view)) {
      EXPECT_THAT(CallEmpty(viewer.channel, path), refused) << path;
    }
    if (permission == Permission::kWork || admins) {
      EXPECT_THAT(CallEmpty(editor.channel, path), refused) << path;
    }
    if (people && !both) {
      EXPECT_THAT(CallEmpty(worker.channel, path), refused) << path;
    }
  }
}

// Programs need not read the messages.
TEST_F(SecurityTest, RefusalsSayWhyToProgramsToo) {
  Start();
  EXPECT_EQ(ReasonOf(WhoAmI(Of(""))), reason::kCredentialsInvalid);
  const absl::Status denied = Create(Of("user-bob"), "audio", "r-1").status();
  EXPECT_EQ(ReasonOf(denied), reason::kPermissionDenied);
  EXPECT_EQ(DetailsOf(denied).metadata["caller"], "user/bob");
  EXPECT_EQ(DetailsOf(GetJob(Of("user-bob"), "job-0")).resource_type, "job");
}

TEST_F(SecurityTest, ReflectionIsNotThere) {
  Start();
  EXPECT_THAT(
      CallEmpty(Of("").channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
      StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(SecurityTest, StrangersGetNoConnection) {
  Start();
  const auto refused = StatusIs(absl::StatusCode::kUnavailable);
  // Of another authority, whatever name it writes.
  const TestAuthority other;
  other.Run({"user", "alice", "admin"});
  ChannelSecurity mallory;
  mallory.files = other.Files("user-alice");
  mallory.files.ca = authority_->ca();
  EXPECT_THAT(WhoAmI(Party{Channel(mallory)}), refused);
  // Whom the client does not believe.
  mallory.files = authority_->Files("user-alice");
  mallory.files.ca = other.ca();
  EXPECT_THAT(WhoAmI(Party{Channel(mallory)}), refused);
  // No TLS at all.
  const auto plain =
      grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials());
  EXPECT_THAT(WhoAmI(Party{plain}), refused);
  // A server's certificate is no client's.
  ChannelSecurity server;
  server.files = authority_->Files("server");
  EXPECT_THAT(WhoAmI(Party{Channel(server)}), refused);
}

TEST_F(SecurityTest, AnExpiredCertificateIsRefusedByBothEnds) {
  Start();
  authority_->Run(
      {"--from", "20200101000000Z", "--until", "20200102000000Z", "user", "old", "admin"});
  const TlsFiles files = authority_->Files("user-old");
  // Our own client says so before it connects.
  EXPECT_THAT(CheckTlsFiles(files, SystemClock().WallNow()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it expired at 2020")));
  // One that does not look is refused by the server.
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadFile(files.ca).value();
  options.pem_cert_chain = ReadFile(files.certificate).value();
  options.pem_private_key = ReadFile(files.key).value();
  const auto channel = grpc::CreateChannel(server_->grpc_address(), grpc::SslCredentials(options));
  EXPECT_THAT(WhoAmI(Party{channel}), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(SecurityTest, ARevokedCertificateIsRefused) {
  authority_->Run({"user", "eve", "admin"});
  authority_->Run({"revoke", authority_->Path("user-eve.pem")});
  config_.tls_revoked_dir = authority_->Path("revoked");
  Start();
  EXPECT_THAT(WhoAmI(Of("user-eve")), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(WhoAmI(Of("user-alice")), IsOk());
}

TEST_F(SecurityTest, ACertificateMayBeRequiredOfAll) {
  config_.tls_require_client_certificate = true;
  Start();
  EXPECT_THAT(WhoAmI(Of("")), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(WhoAmI(Of("user-alice")), IsOk());
}

TEST_F(SecurityTest, TokensExpireAndAreRevokedAtOnce) {
  Start();
  const std::string text = NewTokenText("vision", v1::ROLE_EDITOR, 600);
  const Party holder = WithToken(text);
  EXPECT_THAT(WhoAmI(holder), IsOk());
  clock_.Advance(absl::Seconds(601));
  EXPECT_THAT(WhoAmI(holder), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("expired")));

  const Party other = WithToken(NewTokenText("vision", v1::ROLE_EDITOR, 600));
  std::string name;
  ASSERT_THAT(WhoAmI(other, &name), IsOk());
  v1::RevokeTokenRequest revoke;
  revoke.set_token(name.substr(name.find('/') + 1));
  v1::Token token;
  // Only by those who administer its project.
  EXPECT_THAT(FromGrpcStatus(Of("user-dan").auth->RevokeToken(MakeContext().get(), revoke, &token)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(
      FromGrpcStatus(Of("user-alice").auth->RevokeToken(MakeContext().get(), revoke, &token)),
      IsOk());
  EXPECT_THAT(WhoAmI(other), StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("revoked")));
  // Still so after a restart.
  server_.reset();
  Start();
  EXPECT_THAT(WhoAmI(WithToken(text)),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("expired")));
  // Nothing of a token is written anywhere but its digest.
  const std::string secret = text.substr(text.rfind('_') + 1);
  server_.reset();
  EXPECT_THAT(AuditText(), Not(HasSubstr(secret)));
  EXPECT_THAT(ReadFile(config_.data_dir + "/state.db").value(), Not(HasSubstr(secret)));
}

TEST_F(SecurityTest, ATokenGivesNoMoreThanItsMakerHas) {
  Start();
  const Party dan = Of("user-dan");  // Administers audio.
  v1::CreateTokenRequest request;
  request.set_role(v1::ROLE_VIEWER);
  v1::CreateTokenResponse response;
  for (const char* project : {"vision", "*", "default"}) {
    request.set_project(project);
    request.set_request_id(absl::StrCat("r-", ids_.RandomHex(4)));
    EXPECT_THAT(FromGrpcStatus(dan.auth->CreateToken(MakeContext().get(), request, &response)),
                StatusIs(absl::StatusCode::kPermissionDenied))
        << project;
  }
  request.set_project("audio");
  request.set_request_id("r-1");
  EXPECT_THAT(FromGrpcStatus(dan.auth->CreateToken(MakeContext().get(), request, &response)),
              IsOk());
  // A replay of it makes no second one, and does not tell the text again.
  response.Clear();
  EXPECT_THAT(FromGrpcStatus(dan.auth->CreateToken(MakeContext().get(), request, &response)),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(response.text(), IsEmpty());
  v1::ListTokensResponse list;
  EXPECT_THAT(
      FromGrpcStatus(dan.auth->ListTokens(MakeContext().get(), v1::ListTokensRequest(), &list)),
      IsOk());
  EXPECT_THAT(list.tokens(), SizeIs(1));
}

TEST_F(SecurityTest, ProjectsDoNotSeeEachOthersJobs) {
  Start();
  const Party bob = Of("user-bob");      // Edits vision.
  const Party carol = Of("user-carol");  // Views audio.
  const absl::StatusOr<v1::Job> job = Create(bob, "vision", "r-1");
  ASSERT_THAT(job, IsOk());
  EXPECT_THAT(Create(bob, "audio", "r-2"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Create(carol, "audio", "r-3"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(GetJob(bob, job->id()), IsOk());
  // Not there, rather than forbidden: that it exists is not carol's to know.
  EXPECT_THAT(GetJob(carol, job->id()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(GetJob(carol, job->id()).message().substr(0, 20),
            GetJob(carol, "job-0").message().substr(0, 20));
  v1::ListTasksRequest tasks;
  tasks.set_job(job->id());
  v1::ListTasksResponse listed;
  EXPECT_THAT(FromGrpcStatus(carol.tasks->ListTasks(MakeContext().get(), tasks, &listed)),
              StatusIs(absl::StatusCode::kNotFound));
  v1::WatchJobRequest watch;
  watch.set_job(job->id());
  const auto context = MakeContext();
  const auto reader = carol.jobs->WatchJob(context.get(), watch);
  v1::JobEvent event;
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kNotFound));
  v1::ReadLogRequest log;
  log.set_job(job->id());
  log.set_task("pretrain-meta");
  const auto log_context = MakeContext();
  const auto log_reader = carol.tasks->ReadLog(log_context.get(), log);
  v1::ReadLogResponse chunk;
  EXPECT_FALSE(log_reader->Read(&chunk));
  EXPECT_THAT(FromGrpcStatus(log_reader->Finish()), StatusIs(absl::StatusCode::kNotFound));

  v1::ListJobsRequest list;
  v1::ListJobsResponse jobs;
  list.set_project("-");  // All that carol has: audio.
  EXPECT_THAT(FromGrpcStatus(carol.jobs->ListJobs(MakeContext().get(), list, &jobs)), IsOk());
  EXPECT_THAT(jobs.jobs(), IsEmpty());
  list.set_project("vision");
  EXPECT_THAT(FromGrpcStatus(carol.jobs->ListJobs(MakeContext().get(), list, &jobs)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(FromGrpcStatus(Of("user-alice").jobs->ListJobs(MakeContext().get(), list, &jobs)),
              IsOk());
  EXPECT_THAT(jobs.jobs(), SizeIs(1));
  // A replay by its owner is the same job; by another it is another's, and refused.
  EXPECT_EQ(Create(bob, "vision", "r-1")->id(), job->id());
  EXPECT_THAT(Create(carol, "vision", "r-1"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_TRUE(AuditComesToSay(
      absl::StrCat("\"method\":\"CreateJob\",\"resource\":\"spec.project=vision job=", job->id())));
}

TEST_F(SecurityTest, ProjectsDoNotSeeEachOthersArtifacts) {
  Start();
  const Party bob = Of("user-bob");
  const Party dan = Of("user-dan");
  const std::string secret = "weights of the project vision";
  const std::string digest = Digest::OfBytes(secret).str();
  EXPECT_THAT(Upload(bob, secret, "audio"), StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_THAT(Upload(bob, secret, "vision"), IsOk());
  EXPECT_THAT(Download(bob, digest), IsOk());
  EXPECT_THAT(Download(dan, digest), StatusIs(absl::StatusCode::kNotFound));
  v1::GetArtifactRequest get;
  get.set_digest(digest);
  v1::Artifact artifact;
  EXPECT_THAT(FromGrpcStatus(dan.artifacts->GetArtifact(MakeContext().get(), get, &artifact)),
              StatusIs(absl::StatusCode::kNotFound));
  v1::FindMissingRequest find;
  find.add_digests(digest);
  v1::FindMissingResponse missing;
  EXPECT_THAT(FromGrpcStatus(dan.artifacts->FindMissing(MakeContext().get(), find, &missing)),
              IsOk());
  EXPECT_THAT(missing.missing_digests(), SizeIs(1));
  v1::ListArtifactsResponse all;
  EXPECT_THAT(FromGrpcStatus(dan.artifacts->ListArtifacts(MakeContext().get(),
                                                          v1::ListArtifactsRequest(), &all)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  // Nor may they start a job from it.
  v1::CreateJobRequest job;
  *job.mutable_spec() = Spec("audio");
  job.mutable_spec()->mutable_given()->set_meta(digest);
  job.set_request_id("r-given");
  v1::Job created;
  EXPECT_THAT(FromGrpcStatus(dan.jobs->CreateJob(MakeContext().get(), job, &created)),
              StatusIs(absl::StatusCode::kNotFound));
  // Whoever has all the bytes may have them here too; a digest alone is not enough.
  const auto context = MakeContext();
  v1::UploadResponse response;
  const auto writer = dan.artifacts->Upload(context.get(), &response);
  v1::UploadRequest lie;
  lie.set_upload_id("lie");
  lie.set_digest(digest);
  lie.set_size_bytes(static_cast<int64_t>(secret.size()));
  lie.set_type(v1::ARTIFACT_TYPE_MODEL);
  lie.set_project("audio");
  lie.set_data(std::string(secret.size(), 'x'));
  writer->Write(lie);
  writer->WritesDone();
  EXPECT_THAT(FromGrpcStatus(writer->Finish()), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Download(dan, digest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Upload(dan, secret, "audio"), IsOk());
  EXPECT_THAT(Download(dan, digest), IsOk());
}

TEST_F(SecurityTest, ProjectsDoNotSeeEachOthersDataSets) {
  Start();
  const Party bob = Of("user-bob");
  const Party dan = Of("user-dan");
  v1::CreateDatasetRequest create;
  create.set_name("faces");
  create.set_request_id("r-1");
  create.set_project("vision");
  create.mutable_source()->set_path(JoinPath(directory_.path(), "dataset"));
  v1::Dataset dataset;
  EXPECT_THAT(FromGrpcStatus(dan.datasets->CreateDataset(MakeContext().get(), create, &dataset)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_THAT(FromGrpcStatus(bob.datasets->CreateDataset(MakeContext().get(), create, &dataset)),
              IsOk());
  EXPECT_EQ(dataset.project(), "vision");
  v1::GetDatasetRequest get;
  get.set_name("faces");
  EXPECT_THAT(FromGrpcStatus(dan.datasets->GetDataset(MakeContext().get(), get, &dataset)),
              StatusIs(absl::StatusCode::kNotFound));
  v1::ListDatasetsResponse list;
  EXPECT_THAT(FromGrpcStatus(dan.datasets->ListDatasets(MakeContext().get(),
                                                        v1::ListDatasetsRequest(), &list)),
              IsOk());
  EXPECT_THAT(list.datasets(), IsEmpty());
  v1::DeleteDatasetRequest remove;
  remove.set_name("faces");
  v1::DeleteDatasetResponse removed;
  EXPECT_THAT(FromGrpcStatus(dan.datasets->DeleteDataset(MakeContext().get(), remove, &removed)),
              StatusIs(absl::StatusCode::kNotFound));
  v1::CreateJobRequest job;
  *job.mutable_spec() = Spec("audio");
  job.mutable_spec()->mutable_dataset()->clear_path();
  job.mutable_spec()->mutable_dataset()->set_name("faces");
  job.set_request_id("r-2");
  v1::Job created;
  EXPECT_THAT(FromGrpcStatus(dan.jobs->CreateJob(MakeContext().get(), job, &created)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not registered")));
  EXPECT_THAT(FromGrpcStatus(bob.datasets->DeleteDataset(MakeContext().get(), remove, &removed)),
              AnyOf(IsOk(), StatusIs(absl::StatusCode::kFailedPrecondition)));
}

// Whoever has one project may not look into every folder of the server's machine.
TEST_F(SecurityTest, FoldersOfTheServerTakeARoleInAllProjects) {
  config_.dataset_roots.clear();
  Start();
  v1::CreateDatasetRequest create;
  create.set_name("faces");
  create.set_request_id("r-1");
  create.set_project("vision");
  create.mutable_source()->set_path(JoinPath(directory_.path(), "dataset"));
  v1::Dataset dataset;
  const auto refused = StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("--dataset-root"));
  EXPECT_THAT(
      FromGrpcStatus(Of("user-bob").datasets->CreateDataset(MakeContext().get(), create, &dataset)),
      refused);
  EXPECT_THAT(Create(Of("user-bob"), "vision", "r-2"), refused);
  EXPECT_THAT(FromGrpcStatus(
                  Of("user-alice").datasets->CreateDataset(MakeContext().get(), create, &dataset)),
              IsOk());
  EXPECT_THAT(Create(Of("user-alice"), "vision", "r-3"), IsOk());
}

TEST_F(SecurityTest, WhatIsTooLargeIsRefused) {
  Start();
  const Party alice = Of("user-alice");
  v1::GetJobRequest request;
  request.set_job(std::string(5 << 20, 'j'));
  v1::Job job;
  EXPECT_THAT(FromGrpcStatus(alice.jobs->GetJob(MakeContext().get(), request, &job)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  const auto context = MakeContext();
  context->AddMetadata("x-padding", std::string(64 << 10, 'p'));
  EXPECT_THAT(FromGrpcStatus(alice.auth->WhoAmI(context.get(), v1::WhoAmIRequest(),
                                                std::make_unique<v1::WhoAmIResponse>().get())),
              StatusIs(absl::StatusCode::kResourceExhausted));
  v1::CreateTokenRequest token;
  token.set_role(v1::ROLE_VIEWER);
  token.set_request_id("r");
  token.set_description(std::string(10'000, 'd'));
  v1::CreateTokenResponse made;
  // Over a connection of its own: such metadata may have ended the other.
  EXPECT_THAT(FromGrpcStatus(Of("user-alice").auth->CreateToken(MakeContext().get(), token, &made)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("description")));
}

TEST_F(SecurityTest, ASenderThatStopsIsNotWaitedFor) {
  Start();
  const Party alice = Of("user-alice");
  const auto context = MakeContext();
  v1::UploadResponse response;
  const auto writer = alice.artifacts->Upload(context.get(), &response);
  v1::UploadRequest first;
  first.set_upload_id("slow");
  first.set_digest(Digest::OfBytes("never sent").str());
  first.set_size_bytes(10);
  first.set_type(v1::ARTIFACT_TYPE_MODEL);
  ASSERT_TRUE(writer->Write(first));
  EXPECT_THAT(FromGrpcStatus(writer->Finish()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("nothing arrived")));
}

TEST_F(SecurityTest, AReaderThatStopsIsCutOff) {
  Start();
  const Party alice = Of("user-alice");
  // More than all buffers on the way hold.
  const std::string chunk(1 << 20, 'x');
  std::string bytes;
  for (int i = 0; i < 32; ++i) bytes += chunk;
  const std::string digest = Digest::OfBytes(bytes).str();
  {
    const auto context = MakeContext();
    v1::UploadResponse response;
    const auto writer = alice.artifacts->Upload(context.get(), &response);
    v1::UploadRequest request;
    request.set_upload_id("large");
    request.set_digest(digest);
    request.set_size_bytes(static_cast<int64_t>(bytes.size()));
    request.set_type(v1::ARTIFACT_TYPE_MODEL);
    for (int i = 0; i < 32; ++i) {
      request.set_offset(int64_t{i} << 20);
      request.set_data(chunk);
      ASSERT_TRUE(writer->Write(request));
      request.Clear();
    }
    writer->WritesDone();
    ASSERT_THAT(FromGrpcStatus(writer->Finish()), IsOk());
  }
  v1::DownloadRequest request;
  request.set_digest(digest);
  const auto context = MakeContext();
  const auto reader = alice.artifacts->Download(context.get(), request);
  v1::DownloadResponse response;
  ASSERT_TRUE(reader->Read(&response));
  // It reads on only when the server has given up, six times its patience later.
  const SystemClock clock;
  const MonotonicTime end = clock.Now() + absl::Seconds(3);
  EXPECT_TRUE(Eventually([&] { return clock.Now() >= end; }, absl::Seconds(20)));
  while (reader->Read(&response)) {
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(SecurityTest, PathsGetNobodyAnywhere) {
  Start();
  const Party alice = Of("user-alice");
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  for (const std::string& name : {std::string("../../etc/passwd"), std::string("/etc/passwd"),
                                  std::string(".."), std::string("a/../b"), std::string("a\0b", 3),
                                  std::string("%2e%2e"), std::string(129, 'a'), std::string()}) {
    EXPECT_THAT(Upload(alice, "x", "default", nullptr, name), invalid) << name;
    EXPECT_THAT(GetJob(alice, name), invalid) << name;
    v1::GetDatasetRequest get;
    get.set_name(name);
    v1::Dataset dataset;
    EXPECT_THAT(FromGrpcStatus(alice.datasets->GetDataset(MakeContext().get(), get, &dataset)),
                invalid)
        << name;
    v1::RevokeTokenRequest revoke;
    revoke.set_token(name);
    v1::Token token;
    EXPECT_THAT(FromGrpcStatus(alice.auth->RevokeToken(MakeContext().get(), revoke, &token)),
                invalid)
        << name;
    EXPECT_THAT(Download(alice, "sha256:" + name), invalid) << name;
  }
  v1::CreateDatasetRequest create;
  create.set_name("etc");
  create.set_request_id("r");
  v1::Dataset dataset;
  for (const std::string& path : {std::string("/etc"), directory_.path() + "/../../etc"}) {
    create.mutable_source()->set_path(path);
    EXPECT_THAT(
        FromGrpcStatus(alice.datasets->CreateDataset(MakeContext().get(), create, &dataset)),
        StatusIs(absl::StatusCode::kPermissionDenied))
        << path;
  }
}

TEST_F(SecurityTest, OnlyOperatorsTouchTheFleet) {
  Start();
  v1::DrainWorkerRequest drain;
  drain.set_worker_id("w1");
  v1::Worker worker;
  EXPECT_THAT(
      FromGrpcStatus(Of("user-dan").fleet->DrainWorker(MakeContext().get(), drain, &worker)),
      StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(
      FromGrpcStatus(Of("user-alice").fleet->DrainWorker(MakeContext().get(), drain, &worker)),
      StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(AuditComesToSay("\"caller\":\"user/dan\""));
  EXPECT_TRUE(AuditComesToSay("\"resource\":\"worker_id=w1\""));
}

// A renewed certificate is served to new connections without a restart.
TEST_F(SecurityTest, RenewedCertificatesAreNoticed) {
  const TestAuthority authority;
  authority.Run({"server", "localhost", "127.0.0.1"});
  authority.Run({"user", "alice", "admin"});
  const TlsFiles files = authority.Files("server");
  config_.tls_certificate = files.certificate;
  config_.tls_key = files.key;
  config_.tls_client_ca = files.ca;
  Start();
  ChannelSecurity security;
  security.files = authority.Files("user-alice");
  security.server_name = "renewed.test";
  EXPECT_THAT(WhoAmI(Party{Channel(security)}), StatusIs(absl::StatusCode::kUnavailable));
  authority.Run({"server", "renewed.test"});
  EXPECT_TRUE(Eventually([&] { return WhoAmI(Party{Channel(security)}).ok(); }, absl::Seconds(60)));
}

}  // namespace
}  // namespace distill::server
