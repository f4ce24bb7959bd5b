// Workers speak for themselves alone, and touch only what their tasks need.
#include <memory>
#include <string>

#include "base/error_details.h"
#include "base/error_reasons.h"
#include "gmock/gmock.h"
#include "tests/integration/server/security_fixture.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WorkerSecurityTest : public SecurityTest {
 protected:
  void SetUp() override {
    SecurityTest::SetUp();
    Start();
    w1_ = std::make_unique<Party>(Of("worker-w1"));
    w2_ = std::make_unique<Party>(Of("worker-w2"));
    ASSERT_THAT(Create(Of("user-bob"), "vision", "r-1"), IsOk());
    grant_ = Lease(*w1_, "w1");
  }

  static v1::RegisterWorkerRequest Registration(const std::string& id) {
    v1::RegisterWorkerRequest request;
    request.mutable_worker()->set_worker_id(id);
    request.mutable_worker()->set_slots(4);
    request.mutable_worker()->set_device_kind("cpu");
    request.mutable_worker()->add_numeric_classes("cpu-test");
    request.mutable_worker()->set_slot_memory_bytes(int64_t{64} << 30);
    return request;
  }
  v1::Grant Lease(const Party& party, const std::string& id) {
    v1::RegisterWorkerResponse registered;
    EXPECT_THAT(FromGrpcStatus(party.workers->RegisterWorker(MakeContext().get(), Registration(id),
                                                             &registered)),
                IsOk());
    v1::AcquireTasksRequest acquire;
    acquire.set_worker_id(id);
    acquire.set_request_id(ids_.RandomHex(8));
    acquire.set_max_lease_sets(1);
    acquire.set_wait_seconds(30);
    v1::AcquireTasksResponse acquired;
    EXPECT_THAT(
        FromGrpcStatus(party.workers->AcquireTasks(MakeContext().get(), acquire, &acquired)),
        IsOk());
    EXPECT_THAT(acquired.lease_sets(), SizeIs(1));
    return acquired.lease_sets_size() == 1 ? acquired.lease_sets(0).grants(0) : v1::Grant();
  }
  static v1::CompleteAttemptsRequest Completion(const std::string& worker, const v1::Grant& grant,
                                                const std::string& bytes) {
    v1::CompleteAttemptsRequest request;
    request.set_worker_id(worker);
    auto& item = *request.add_items();
    *item.mutable_lease() = grant.lease();
    for (const std::string& output : grant.spec().outputs()) {
      v1::ArtifactRef& ref = *item.add_results();
      ref.set_name(output);
      ref.set_digest(Digest::OfBytes(bytes).str());
      ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
    }
    return request;
  }

  std::unique_ptr<Party> w1_;
  std::unique_ptr<Party> w2_;
  v1::Grant grant_;
};

TEST_F(WorkerSecurityTest, AWorkerSpeaksForItselfAlone) {
  v1::RegisterWorkerResponse registered;
  EXPECT_THAT(FromGrpcStatus(w2_->workers->RegisterWorker(MakeContext().get(), Registration("w1"),
                                                          &registered)),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("another worker")));
  EXPECT_THAT(FromGrpcStatus(w2_->workers->RegisterWorker(MakeContext().get(), Registration("w2.b"),
                                                          &registered)),
              IsOk());
  v1::HeartbeatRequest beat;
  beat.set_worker_id("w1");
  v1::HeartbeatResponse beaten;
  EXPECT_THAT(FromGrpcStatus(w2_->workers->Heartbeat(MakeContext().get(), beat, &beaten)),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

// Even one that has seen the other's lease.
TEST_F(WorkerSecurityTest, AReplayedCompletionOfAnotherWorkerIsRefused) {
  ASSERT_THAT(Upload(*w1_, "result", "", &grant_.lease()), IsOk());
  v1::CompleteAttemptsResponse response;
  EXPECT_THAT(FromGrpcStatus(w2_->workers->CompleteAttempts(
                  MakeContext().get(), Completion("w1", grant_, "result"), &response)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_THAT(FromGrpcStatus(w2_->workers->CompleteAttempts(
                  MakeContext().get(), Completion("w2", grant_, "result"), &response)),
              IsOk());
  EXPECT_EQ(response.statuses(0).code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(response.statuses(0).message(), HasSubstr("lease lost"));
  response.Clear();
  ASSERT_THAT(FromGrpcStatus(w1_->workers->CompleteAttempts(
                  MakeContext().get(), Completion("w1", grant_, "result"), &response)),
              IsOk());
  EXPECT_EQ(response.statuses(0).code(), 0) << response.statuses(0).message();
  // Its own replay changes nothing and is fine.
  response.Clear();
  ASSERT_THAT(FromGrpcStatus(w1_->workers->CompleteAttempts(
                  MakeContext().get(), Completion("w1", grant_, "result"), &response)),
              IsOk());
  EXPECT_EQ(response.statuses(0).code(), 0) << response.statuses(0).message();
}

TEST_F(WorkerSecurityTest, AWorkerTouchesOnlyWhatItsTasksNeed) {
  // Without a lease nothing is uploaded.
  EXPECT_THAT(Upload(*w2_, "junk", ""), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Upload(*w2_, "junk", "", &grant_.lease()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(Upload(*w1_, "result", "", &grant_.lease()), IsOk());
  const std::string result = Digest::OfBytes("result").str();
  // Not even its own results are read back, unless a task needs them.
  EXPECT_THAT(Download(*w1_, result), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Download(Of("user-bob"), result), IsOk());
  EXPECT_THAT(Download(Of("user-carol"), result), StatusIs(absl::StatusCode::kNotFound));
  v1::CompleteAttemptsResponse response;
  ASSERT_THAT(FromGrpcStatus(w1_->workers->CompleteAttempts(
                  MakeContext().get(), Completion("w1", grant_, "result"), &response)),
              IsOk());
  const v1::Grant next = Lease(*w2_, "w2");
  ASSERT_GT(next.inputs_size(), 0);
  EXPECT_EQ(next.inputs(0).digest(), result);
  EXPECT_THAT(Download(*w2_, result), IsOk());
  EXPECT_THAT(Download(*w1_, result), StatusIs(absl::StatusCode::kNotFound));
}

// The ways past the server, to an object store, are guarded like those through it.
TEST_F(WorkerSecurityTest, ALocationIsToldToThoseWhoMayMoveTheBlob) {
  const auto locate = [](const Party& party, const std::string& bytes, const v1::LeaseRef* lease,
                         const std::string& project = "") {
    v1::LocateUploadRequest request;
    request.set_upload_id("up");
    request.set_digest(Digest::OfBytes(bytes).str());
    request.set_size_bytes(static_cast<int64_t>(bytes.size()));
    request.set_project(project);
    if (lease != nullptr) *request.mutable_lease() = *lease;
    v1::LocateUploadResponse response;
    const grpc::Status status =
        party.artifacts->LocateUpload(MakeContext().get(), request, &response);
    return status.ok() ? absl::StatusOr<v1::LocateUploadResponse>(response)
                       : FromGrpcStatus(status);
  };
  EXPECT_EQ(ReasonOf(locate(*w2_, "result", nullptr).status()), reason::kLeaseLost);
  EXPECT_EQ(ReasonOf(locate(*w2_, "result", &grant_.lease()).status()), reason::kLeaseLost);
  EXPECT_THAT(locate(*w1_, "result", &grant_.lease()), IsOk());
  EXPECT_THAT(locate(Of("user-carol"), "result", nullptr, "audio"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(locate(Of("user-bob"), "result", nullptr, "audio"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  ASSERT_THAT(Upload(*w1_, "result", "", &grant_.lease()), IsOk());
  EXPECT_TRUE(locate(*w1_, "result", &grant_.lease())->already_present());
  EXPECT_TRUE(locate(Of("user-bob"), "result", nullptr, "vision")->already_present());
  // That the bytes are there is not dan's to know, nor does asking make them his.
  EXPECT_FALSE(locate(Of("user-dan"), "result", nullptr, "audio")->already_present());

  const auto locate_download = [](const Party& party) {
    v1::LocateDownloadRequest request;
    request.set_digest(Digest::OfBytes("result").str());
    v1::LocateDownloadResponse response;
    return FromGrpcStatus(party.artifacts->LocateDownload(MakeContext().get(), request, &response));
  };
  EXPECT_THAT(locate_download(Of("user-bob")), IsOk());
  for (const char* stranger : {"user-dan", "user-carol", "worker-w1", "worker-w2"}) {
    EXPECT_THAT(locate_download(Of(stranger)), StatusIs(absl::StatusCode::kNotFound)) << stranger;
  }
}

TEST_F(WorkerSecurityTest, NobodyPublishesWhatAnotherSent) {
  const auto finalize = [](const Party& party, const v1::LeaseRef* lease) {
    v1::FinalizeUploadRequest request;
    request.set_digest(Digest::OfBytes("result").str());
    request.set_size_bytes(6);
    request.set_type(v1::ARTIFACT_TYPE_MODEL);
    if (lease != nullptr) *request.mutable_lease() = *lease;
    v1::UploadResponse response;
    return FromGrpcStatus(party.artifacts->FinalizeUpload(MakeContext().get(), request, &response));
  };
  EXPECT_EQ(ReasonOf(finalize(*w2_, nullptr)), reason::kLeaseLost);
  EXPECT_EQ(ReasonOf(finalize(*w2_, &grant_.lease())), reason::kLeaseLost);
  EXPECT_THAT(finalize(Of("user-dan"), nullptr), StatusIs(absl::StatusCode::kPermissionDenied));
  const Party audio = WithToken(NewTokenText("default", v1::ROLE_EDITOR));
  EXPECT_THAT(finalize(audio, nullptr),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("through Upload")));
  // Let in, and told that blobs on the server's disk have no such way.
  EXPECT_THAT(finalize(*w1_, &grant_.lease()), StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(WorkerSecurityTest, AWorkerSendsOnlyItsOwnLogs) {
  v1::SendLogRequest request;
  request.set_worker_id("w1");
  *request.mutable_lease() = grant_.lease();
  v1::SendLogResponse response;
  EXPECT_THAT(FromGrpcStatus(w2_->workers->SendLog(MakeContext().get(), request, &response)),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(FromGrpcStatus(w1_->workers->SendLog(MakeContext().get(), request, &response)),
              IsOk());
}

TEST_F(WorkerSecurityTest, PeopleDoNotSeeLeaseIds) {
  v1::ListWorkersResponse response;
  ASSERT_THAT(FromGrpcStatus(Of("user-alice")
                                 .fleet->ListWorkers(MakeContext().get(), v1::ListWorkersRequest(),
                                                     &response)),
              IsOk());
  ASSERT_THAT(response.workers(), SizeIs(1));
  ASSERT_THAT(response.workers(0).leases(), SizeIs(1));
  EXPECT_THAT(response.workers(0).leases(0).lease_id(), IsEmpty());
  response.Clear();
  ASSERT_THAT(FromGrpcStatus(Of("user-carol")
                                 .fleet->ListWorkers(MakeContext().get(), v1::ListWorkersRequest(),
                                                     &response)),
              IsOk());
  EXPECT_THAT(response.workers(0).leases(), IsEmpty());
}

}  // namespace
}  // namespace distill::server
