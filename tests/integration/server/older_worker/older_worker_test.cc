// A worker of the last release works for the present server: what one said, byte for byte, is said
// again, with the ids that the server chose put in place of those that it chose then.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::SizeIs;

struct RecordedCall {
  std::string method;
  std::vector<std::string> requests;
  std::string response;
};

std::vector<RecordedCall> ReadTranscript() {
  std::ifstream file(DISTILL_OLDER_WORKER_TRANSCRIPT);
  std::vector<RecordedCall> calls;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> parts = absl::StrSplit(line, '\t');
    if (parts.size() != 3) continue;
    RecordedCall call{parts[0], {}, absl::HexStringToBytes(parts[2])};
    for (const absl::string_view hex : absl::StrSplit(parts[1], ',')) {
      call.requests.push_back(absl::HexStringToBytes(hex));
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

template <typename Message>
Message Parsed(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

class OlderWorkerTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    for (RecordedCall& call : ReadTranscript()) Sort(std::move(call));
    ASSERT_GT(acquires_.size(), 10u) << "the transcript is missing or empty";
  }

  // Says one thing again, and returns the answer.
  std::string Replay(const std::string& method, const std::string& request) {
    const std::string bytes = absl::StrReplaceAll(request, replaced_);
    EXPECT_EQ(bytes.size(), request.size()) << "ids must keep their length";
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer buffer(&slice, 1);
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    const auto context = MakeContext();
    const auto call = stub.PrepareUnaryCall(context.get(), method, buffer, &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    EXPECT_THAT(FromGrpcStatus(status), IsOk()) << method;
    grpc::Slice joined;
    if (!status.ok() || !answer.DumpToSingleSlice(&joined).ok()) return "";
    return std::string(reinterpret_cast<const char*>(joined.begin()), joined.size());
  }

  void ReplayUpload(const std::string& digest) {
    const auto upload = uploads_.find(digest);
    // The worker did not upload what the server had.
    if (upload == uploads_.end()) return;
    v1::UploadResponse response;
    const auto context = MakeContext();
    const auto writer = artifacts_->Upload(context.get(), &response);
    for (const std::string& request : upload->second.requests) {
      writer->Write(Parsed<v1::UploadRequest>(request));
    }
    writer->WritesDone();
    EXPECT_THAT(FromGrpcStatus(writer->Finish()), IsOk());
  }

  void ReplayTask(const v1::Grant& grant) {
    const std::string& task = grant.lease().task();
    ASSERT_EQ(completions_.count(task), 1u) << task;
    Replace(lease_of_.at(task), grant.lease().lease_id());
    for (const RecordedCall& beat : heartbeats_[task]) Replay(beat.method, beat.requests[0]);
    const RecordedCall& completion = completions_.at(task);
    const auto item = Parsed<v1::CompleteAttemptsRequest>(completion.requests[0]).items(0);
    for (const v1::ArtifactRef& ref : item.results()) ReplayUpload(ref.digest());
    for (const v1::ArtifactRef& ref : item.observations()) ReplayUpload(ref.digest());
    const auto answer =
        Parsed<v1::CompleteAttemptsResponse>(Replay(completion.method, completion.requests[0]));
    ASSERT_THAT(answer.statuses(), SizeIs(1));
    EXPECT_EQ(answer.statuses(0).code(), 0) << task << ": " << answer.statuses(0).message();
  }

  void Replace(const std::string& then, const std::string& now) {
    ASSERT_EQ(then.size(), now.size());
    replaced_.emplace_back(then, now);
  }

  RecordedCall registration_;
  std::vector<RecordedCall> acquires_;           // Those that were granted something.
  std::map<std::string, std::string> lease_of_;  // Task to lease id.
  std::map<std::string, RecordedCall> uploads_;  // By digest.
  std::map<std::string, std::vector<RecordedCall>> heartbeats_;  // By the only task they name.
  std::map<std::string, RecordedCall> completions_;              // By task.
  std::string old_job_;

 private:
  void Sort(RecordedCall call) {
    if (absl::EndsWith(call.method, "/RegisterWorker")) {
      registration_ = std::move(call);
    } else if (absl::EndsWith(call.method, "/AcquireTasks")) {
      const auto answer = Parsed<v1::AcquireTasksResponse>(call.response);
      if (answer.lease_sets().empty()) return;
      const v1::LeaseRef& lease = answer.lease_sets(0).grants(0).lease();
      lease_of_[lease.task()] = lease.lease_id();
      old_job_ = lease.job();
      acquires_.push_back(std::move(call));
    } else if (absl::EndsWith(call.method, "/Upload")) {
      const std::string digest = Parsed<v1::UploadRequest>(call.requests[0]).digest();
      uploads_[digest] = std::move(call);
    } else if (absl::EndsWith(call.method, "/Heartbeat")) {
      const auto beat = Parsed<v1::HeartbeatRequest>(call.requests[0]);
      if (beat.leases_size() == 1) {
        heartbeats_[beat.leases(0).lease().task()].push_back(std::move(call));
      }
    } else if (absl::EndsWith(call.method, "/CompleteAttempts")) {
      const auto request = Parsed<v1::CompleteAttemptsRequest>(call.requests[0]);
      const std::string task = request.items(0).lease().task();
      completions_[task] = std::move(call);
    }
  }

  std::vector<std::pair<std::string, std::string>> replaced_;
};

TEST_F(OlderWorkerTest, AJobOfAnOlderWorkerSucceeds) {
  const auto registered =
      Parsed<v1::RegisterWorkerResponse>(Replay(registration_.method, registration_.requests[0]));
  EXPECT_GT(registered.lease_seconds(), 0);
  v1::JobSpec spec = SmallSpec();
  spec.mutable_execution()->clear_numeric_class();  // The worker's.
  spec.mutable_execution()->set_max_bundle(1);
  const absl::StatusOr<v1::Job> job = Create(spec, "r");
  ASSERT_THAT(job, IsOk());
  Replace(old_job_, job->id());
  for (const RecordedCall& acquire : acquires_) {
    const auto answer =
        Parsed<v1::AcquireTasksResponse>(Replay(acquire.method, acquire.requests[0]));
    ASSERT_THAT(answer.lease_sets(), SizeIs(1));
    ASSERT_THAT(answer.lease_sets(0).grants(), SizeIs(1));
    ReplayTask(answer.lease_sets(0).grants(0));
  }
  EXPECT_EQ(GetJob(job->id())->state(), v1::JOB_STATE_SUCCEEDED);
}

}  // namespace
}  // namespace distill::server
