// The client library against a server that fails on purpose.
#include "client/client.h"

#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/integration/cli/scripted_server.h"
#include "tests/support/scripted_id_source.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ClientTest : public ::testing::Test {
 protected:
  ClientOptions Options() const {
    ClientOptions options;
    options.server = server_.address();
    options.first_backoff = absl::Milliseconds(1);
    options.longest_backoff = absl::Milliseconds(5);
    return options;
  }
  Client MakeClient(ClientOptions options) {
    return Client(std::move(options),
                  {&clock_, &ids_, &interrupt_, [this](const absl::Status&) { ++outages_; }});
  }

  static v1::JobEvent Event(int64_t revision, v1::JobState state) {
    v1::JobEvent event;
    event.set_revision(revision);
    event.mutable_job()->set_id("job-1");
    event.mutable_job()->set_state(state);
    event.mutable_job()->set_revision(revision);
    return event;
  }

  // A job with revisions 1 to `last`, of which the last ends it.
  void ScriptWatch(int64_t last) {
    server_.Edit([&](Script& script) {
      for (int64_t revision = 1; revision < last; ++revision) {
        script.events.push_back(Event(revision, v1::JOB_STATE_RUNNING));
      }
      script.events.push_back(Event(last, v1::JOB_STATE_SUCCEEDED));
      script.jobs = {script.events.back().job()};
    });
  }

  ScriptedServer server_;
  SystemClock clock_;
  ScriptedIdSource ids_;
  Interrupt interrupt_;
  int outages_ = 0;
};

TEST_F(ClientTest, TriesAgainWhileTheServerIsUnavailable) {
  server_.Edit([](Script& script) {
    script.failures = {grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting"),
                       grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting")};
  });
  Client client = MakeClient(Options());
  EXPECT_THAT(client.CreateJob({}, "r1"), IsOk());
  EXPECT_EQ(outages_, 1);  // Told once per outage.
}

// The reply to the first call is lost: the second must not make a second job.
TEST_F(ClientTest, ALostReplyDoesNotSubmitTwice) {
  server_.Edit([](Script& script) { script.lost_replies = 1; });
  Client client = MakeClient(Options());
  const auto job = client.CreateJob({}, "r1");
  ASSERT_THAT(job, IsOk());
  EXPECT_EQ(job->id(), "job-1");
  ASSERT_THAT(server_.created(), SizeIs(2));
  EXPECT_EQ(server_.created()[0].request_id(), server_.created()[1].request_id());
}

TEST_F(ClientTest, DoesNotRepeatWhatIsWrong) {
  server_.Edit([](Script& script) {
    script.failures = {grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "modules is 0")};
  });
  Client client = MakeClient(Options());
  EXPECT_THAT(client.CreateJob({}, "r1"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "cannot submit job: modules is 0; server=" + server_.address()));
  EXPECT_THAT(server_.created(), SizeIs(0));
}

TEST_F(ClientTest, GivesUpWhenPatienceRunsOut) {
  ClientOptions options = Options();
  options.server = "127.0.0.1:1";
  options.retry_for = absl::Milliseconds(30);
  Client client = MakeClient(options);
  EXPECT_THAT(client.GetJob("job-1"), StatusIs(absl::StatusCode::kUnavailable,
                                               HasSubstr("cannot get job: failed to connect")));
}

// The first does not answer, the second stands by, the third leads.
TEST_F(ClientTest, FindsTheLeaderAmongSeveralServers) {
  ScriptedServer standby;
  standby.Edit([](Script& script) {
    script.failures.assign(
        10, grpc::Status(grpc::StatusCode::UNAVAILABLE, "this server stands by; leader=unknown"));
  });
  ClientOptions options = Options();
  options.server = "127.0.0.1:1," + standby.address() + "," + server_.address();
  Client client = MakeClient(options);
  EXPECT_THAT(client.CreateJob({}, "r1"), IsOk());
  EXPECT_THAT(server_.created(), SizeIs(1));
  EXPECT_THAT(standby.created(), SizeIs(0));
  // From then on it is asked first.
  outages_ = 0;
  EXPECT_THAT(client.CreateJob({}, "r2"), IsOk());
  EXPECT_EQ(outages_, 0);
}

TEST_F(ClientTest, CollectsAllPages) {
  server_.Edit([](Script& script) {
    script.page_size = 2;
    for (int i = 0; i < 5; ++i) {
      script.tasks.emplace_back().set_id("t" + std::to_string(i));
      script.jobs.emplace_back().set_id("job-" + std::to_string(i));
      script.workers.emplace_back();
    }
  });
  Client client = MakeClient(Options());
  EXPECT_THAT(client.ListTasks("job-1"), IsOkAndHolds(SizeIs(5)));
  EXPECT_THAT(client.ListWorkers(), IsOkAndHolds(SizeIs(5)));
  EXPECT_THAT(client.ListJobs("-", 3), IsOkAndHolds(SizeIs(3)));
}

TEST_F(ClientTest, WatchDeliversEachChangeOnceAcrossBreaks) {
  ScriptWatch(9);
  server_.Edit([](Script& script) { script.watch_breaks = {3, 0, 2, 1}; });
  Client client = MakeClient(Options());
  std::vector<int64_t> revisions;
  const auto job = client.WatchJob("job-1", 0, WatchProgress::kYes, [&](const v1::JobEvent& event) {
    revisions.push_back(event.revision());
  });
  ASSERT_THAT(job, IsOk());
  EXPECT_EQ(job->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(revisions, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(server_.watched_after(), ElementsAre(0, 3, 3, 5, 6));
}

// A server that stops in good order ends its streams with OK.
TEST_F(ClientTest, WatchGoesOnAfterAnEarlyEnd) {
  ScriptWatch(4);
  v1::JobEvent last;
  server_.Edit([&](Script& script) {
    last = script.events.back();
    script.events.pop_back();
  });
  Client client = MakeClient(Options());
  std::vector<int64_t> revisions;
  const auto job = client.WatchJob("job-1", 0, WatchProgress::kNo, [&](const v1::JobEvent& event) {
    revisions.push_back(event.revision());
    if (event.revision() == 3) {
      server_.Edit([&](Script& script) { script.events.push_back(last); });
    }
  });
  ASSERT_THAT(job, IsOk());
  EXPECT_THAT(revisions, ElementsAre(1, 2, 3, 4));
}

TEST_F(ClientTest, WatchReturnsAtOnceWhenAllWasSeen) {
  ScriptWatch(3);
  Client client = MakeClient(Options());
  int events = 0;
  EXPECT_THAT(
      client.WatchJob("job-1", 3, WatchProgress::kNo, [&](const v1::JobEvent&) { ++events; }),
      IsOk());
  EXPECT_EQ(events, 0);
}

TEST_F(ClientTest, WatchOfAnUnknownJobFails) {
  Client client = MakeClient(Options());
  EXPECT_THAT(client.WatchJob("job-9", 0, WatchProgress::kNo, [](const v1::JobEvent&) {}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClientTest, AnInterruptEndsAWatch) {
  server_.Edit([](Script& script) {
    script.jobs.emplace_back().set_id("job-1");
    script.watch_holds = true;
  });
  std::thread other([&] {
    while (!server_.watching()) std::this_thread::yield();
    interrupt_.Request();
  });
  Client client = MakeClient(Options());
  EXPECT_THAT(client.WatchJob("job-1", 0, WatchProgress::kNo, [](const v1::JobEvent&) {}),
              StatusIs(absl::StatusCode::kCancelled));
  other.join();
}

std::string SomeBytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  return bytes;
}

TEST_F(ClientTest, DownloadsResumeAndAreVerified) {
  const std::string bytes = SomeBytes(10'500);
  const std::string digest = Digest::OfBytes(bytes).str();
  server_.Edit([&](Script& script) {
    script.blobs[digest] = bytes;
    script.transfer_breaks = {2000, 0, 5000};
  });
  const TempDir directory;
  Client client = MakeClient(Options());
  ASSERT_THAT(client.DownloadToFile(digest, directory.Join("blob")), IsOk());
  EXPECT_THAT(ReadFile(directory.Join("blob")), IsOkAndHolds(bytes));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(ElementsAre("blob")));
}

TEST_F(ClientTest, ACorruptDownloadLeavesNoFile) {
  const std::string digest = Digest::OfBytes("what was stored").str();
  server_.Edit([&](Script& script) { script.blobs[digest] = "what came back"; });
  const TempDir directory;
  Client client = MakeClient(Options());
  EXPECT_THAT(client.DownloadToFile(digest, directory.Join("blob")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("its content does not match")));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(SizeIs(0)));
}

TEST_F(ClientTest, UploadsResumeWhereTheServerStands) {
  const std::string bytes = SomeBytes(1'700'000);
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("blob"), bytes), IsOk());
  server_.Edit([](Script& script) { script.transfer_breaks = {600'000, 1'500'000}; });
  Client client = MakeClient(Options());
  const std::string digest = Digest::OfBytes(bytes).str();
  EXPECT_THAT(client.UploadFile(directory.Join("blob"), v1::ARTIFACT_TYPE_MODEL),
              IsOkAndHolds(digest));
  server_.Edit([&](Script& script) { EXPECT_EQ(script.blobs[digest], bytes); });
  // Present already: nothing is sent, so nothing can break.
  server_.Edit([](Script& script) { script.transfer_breaks = {0}; });
  EXPECT_THAT(client.UploadFile(directory.Join("blob"), v1::ARTIFACT_TYPE_MODEL), IsOk());
}

// As when the server before had not yet written what it took, and did so after all.
TEST_F(ClientTest, UploadsGoOnWhenABrokenTryGotFurtherThanItSeemed) {
  const std::string bytes = SomeBytes(1'700'000);
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("blob"), bytes), IsOk());
  server_.Edit([](Script& script) {
    script.transfer_breaks = {600'000};
    script.stale_queries = 2;
  });
  Client client = MakeClient(Options());
  const std::string digest = Digest::OfBytes(bytes).str();
  EXPECT_THAT(client.UploadFile(directory.Join("blob"), v1::ARTIFACT_TYPE_MODEL),
              IsOkAndHolds(digest));
  server_.Edit([&](Script& script) { EXPECT_EQ(script.blobs[digest], bytes); });
}

TEST_F(ClientTest, UploadsAnEmptyFile) {
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("empty"), ""), IsOk());
  Client client = MakeClient(Options());
  EXPECT_THAT(client.UploadFile(directory.Join("empty"), v1::ARTIFACT_TYPE_LOG),
              IsOkAndHolds(Digest::OfBytes("").str()));
}

}  // namespace
}  // namespace distill::client
