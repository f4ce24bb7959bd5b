// A streaming call as server-sent events: everything once and in order however slow the reader is,
// and an end that says why.
#include "server/web/event_stream.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

// Sends as many events as it is asked for by `after_revision`; job "broken" fails after them, and
// job "endless" waits until its caller is gone.
class ScriptedJobs : public v1::JobService::Service {
 public:
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    for (int64_t revision = 1; revision <= request->after_revision(); ++revision) {
      v1::JobEvent event;
      event.set_revision(revision);
      if (!writer->Write(event)) break;
    }
    while (request->job() == "endless" && !context->IsCancelled()) std::this_thread::yield();
    ended_ = true;
    if (request->job() == "broken") {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "the job was forgotten");
    }
    return grpc::Status::OK;
  }
  bool ended() const { return ended_; }

 private:
  std::atomic<bool> ended_{false};
};

class EventStreamTest : public ::testing::Test {
 protected:
  EventStreamTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&jobs_);
    server_ = builder.BuildAndStart();
    stub_ = v1::JobService::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  // gRPC must not find its last channel given up by one of its own callbacks, which it would wait
  // for.
  void TearDown() override {
    for (const auto& reader : readers_) {
      while (reader.use_count() > 1) std::this_thread::yield();
    }
  }

  std::unique_ptr<WebStream> Watch(const std::string& job, int64_t events) {
    auto request = std::make_shared<v1::WatchJobRequest>();
    request->set_job(job);
    request->set_after_revision(events);
    auto reader = std::make_shared<CallReader<v1::JobEvent>>();
    stub_->async()->WatchJob(&reader->context(), request.get(), reader.get());
    reader->Start();
    readers_.push_back(reader);
    return std::make_unique<EventStream<v1::JobEvent>>(
        reader, [request](const v1::JobEvent& event) {
          return EventFrame(absl::StrCat(event.revision()), "task", "{}");
        });
  }

  ScriptedJobs jobs_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::JobService::Stub> stub_;
  std::vector<std::shared_ptr<CallReader<v1::JobEvent>>> readers_;
};

std::string ReadAll(WebStream& stream) {
  std::string all;
  while (const std::optional<std::string> piece = stream.Next()) all += *piece;
  return all;
}

std::string Frames(int64_t count) {
  std::string frames;
  for (int64_t i = 1; i <= count; ++i) {
    absl::StrAppend(&frames, "id: ", i, "\nevent: task\ndata: {}\n\n");
  }
  return frames;
}

// Far more than the queue takes, so reading stops and goes on many times.
TEST_F(EventStreamTest, SendsEverythingOnceAndInOrder) {
  constexpr int64_t kEvents = 20 * CallReader<v1::JobEvent>::kMostQueued + 7;
  EXPECT_EQ(ReadAll(*Watch("job", kEvents)),
            absl::StrCat(Frames(kEvents), "event: end\ndata: {}\n\n"));
  EXPECT_EQ(ReadAll(*Watch("job", 0)), "event: end\ndata: {}\n\n");
}

TEST_F(EventStreamTest, SaysWhyItEnded) {
  const std::string all = ReadAll(*Watch("broken", 2));
  EXPECT_THAT(all, HasSubstr(Frames(2)));
  EXPECT_THAT(all,
              HasSubstr("event: failure\ndata: {\"code\":5,\"message\":\"the job was forgotten\""));
}

// A browser that went away, also while more is queued than is read, ends the call.
TEST_F(EventStreamTest, EndsTheCallWhenNobodyReads) {
  std::unique_ptr<WebStream> stream = Watch("endless", 10'000);
  EXPECT_THAT(*stream->Next(), HasSubstr("id: 1\n"));
  stream.reset();
  while (!jobs_.ended()) std::this_thread::yield();
}

TEST_F(EventStreamTest, CancelEndsTheStream) {
  const std::unique_ptr<WebStream> stream = Watch("endless", 1);
  EXPECT_THAT(*stream->Next(), HasSubstr("id: 1\n"));
  std::thread canceller([&] { stream->Cancel(); });
  EXPECT_EQ(stream->Next(), std::nullopt);
  canceller.join();
  EXPECT_EQ(stream->Next(), std::nullopt);
  while (!jobs_.ended()) std::this_thread::yield();
}

}  // namespace
}  // namespace distill::server
