#include "base/observability_server.h"

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/prometheus_metrics.h"
#include "tests/support/http_client.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Exchange(int port, const std::string& request) {
  HttpConnection connection(port, request);
  return connection.ReadAll();
}

std::string Get(int port, const std::string& target) { return HttpGet(port, target); }

// A stream that says "here", then what the test sends, and ends when it is cancelled, or when the
// test says so. Streams of one script share what is sent: each piece goes to one of them.
class ScriptedStream : public WebStream {
 public:
  struct Script {
    Mutex mu;
    CondVar changed;
    std::deque<std::string> pieces ABSL_GUARDED_BY(mu);
    bool over ABSL_GUARDED_BY(mu) = false;
    int destroyed ABSL_GUARDED_BY(mu) = 0;
  };
  explicit ScriptedStream(Script& script) : script_(&script) {}
  ~ScriptedStream() override {
    MutexLock lock(script_->mu);
    ++script_->destroyed;
    script_->changed.NotifyAll();
  }

  std::optional<std::string> Next() override {
    if (!greeted_) {
      greeted_ = true;
      return "here";
    }
    MutexLock lock(script_->mu);
    while (script_->pieces.empty() && !script_->over) script_->changed.Wait(script_->mu);
    if (script_->pieces.empty()) return std::nullopt;
    std::string piece = script_->pieces.front();
    script_->pieces.pop_front();
    return piece;
  }
  void Cancel() override { End(*script_); }

  static void Send(Script& script, const std::string& piece) {
    MutexLock lock(script.mu);
    script.pieces.push_back(piece);
    script.changed.NotifyAll();
  }
  static void End(Script& script) {
    MutexLock lock(script.mu);
    script.over = true;
    script.changed.NotifyAll();
  }
  static void AwaitDestroyed(Script& script, int count) {
    MutexLock lock(script.mu);
    while (script.destroyed < count) script.changed.Wait(script.mu);
  }

 private:
  Script* const script_;
  bool greeted_ = false;
};

class ObservabilityServerTest : public ::testing::Test {
 protected:
  PrometheusMetrics metrics_;
  std::atomic<bool> ready_{false};
  ObservabilityServer server_{{}, metrics_, [this] {
                                return ready_ ? absl::OkStatus()
                                              : absl::UnavailableError("still loading");
                              }};
};

TEST_F(ObservabilityServerTest, TheProcessTellsOfItself) {
  ASSERT_THAT(server_.Start(), IsOk());
  const std::string page = Get(server_.port(), "/metrics");
  for (const char* line : {"\ndistill_build_info{version=\"", "\nprocess_start_time_seconds 1",
                           "\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ",
                           "\nprocess_open_fds ", "\nprocess_max_fds "}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST_F(ObservabilityServerTest, ServesMetricsAndHealth) {
  metrics_.AddCounter("distill_tests_run_total", "Tests run.").Increment();
  ASSERT_THAT(server_.Start(), IsOk());
  EXPECT_GT(server_.port(), 0);
  EXPECT_THAT(Get(server_.port(), "/metrics"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("text/plain; version=0.0.4"),
                    HasSubstr("\ndistill_tests_run_total 1\n")));
  EXPECT_THAT(Get(server_.port(), "/healthz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("ok")));
  EXPECT_THAT(Get(server_.port(), "/nothing"), StartsWith("HTTP/1.1 404"));
}

TEST_F(ObservabilityServerTest, ReadinessFollowsTheCallback) {
  ASSERT_THAT(server_.Start(), IsOk());
  EXPECT_THAT(Get(server_.port(), "/readyz"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("not ready: still loading")));
  ready_ = true;
  EXPECT_THAT(Get(server_.port(), "/readyz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ObservabilityServerTest, RoutesExactPathsAndPrefixes) {
  server_.AddGet("/jobs/", [](const WebRequest& request) {
    return WebResponse{200, "text/html", absl::StrCat("prefix ", request.path)};
  });
  server_.AddGet("/jobs/all", [](const WebRequest& request) {
    const auto color = request.query.find("color");
    return WebResponse{418, "text/html", color == request.query.end() ? "none" : color->second};
  });
  ASSERT_THAT(server_.Start(), IsOk());
  EXPECT_THAT(Get(server_.port(), "/jobs/a/b"), HasSubstr("prefix /jobs/a/b"));
  EXPECT_THAT(Get(server_.port(), "/jobs/all?color=red&color=blue"),
              AllOf(StartsWith("HTTP/1.1 418"), HasSubstr("\r\n\r\nred")));
  EXPECT_THAT(Get(server_.port(), "/jobs"), StartsWith("HTTP/1.1 404"));
}

TEST_F(ObservabilityServerTest, RefusesWhatItDoesNotServe) {
  ASSERT_THAT(server_.Start(), IsOk());
  const std::string body(100'000, 'x');
  EXPECT_THAT(Exchange(server_.port(), absl::StrCat("POST /metrics HTTP/1.1\r\nContent-Length: ",
                                                    body.size(), "\r\n\r\n", body)),
              Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(Exchange(server_.port(), "nonsense\r\n\r\n"), Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(Get(server_.port(), absl::StrCat("/", std::string(20'000, 'a'))),
              Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(Get(server_.port(), "/healthz"), StartsWith("HTTP/1.1 200"));  // Still alive.
}

TEST_F(ObservabilityServerTest, ReportsAnAddressInUse) {
  ASSERT_THAT(server_.Start(), IsOk());
  // An address that this machine does not have: port sharing options cannot make it bindable.
  ObservabilityServer second({"203.0.113.1", 0, 1}, metrics_, [] { return absl::OkStatus(); });
  EXPECT_THAT(second.Start(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("203.0.113.1")));
}

TEST_F(ObservabilityServerTest, StopsAtOnceAndTwice) {
  ASSERT_THAT(server_.Start(), IsOk());
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this] { Get(server_.port(), "/healthz"); });
  }
  for (std::thread& client : clients) client.join();
  server_.Stop();
  server_.Stop();
  EXPECT_EQ(Get(server_.port(), "/healthz"), "");
}

class WebStreamTest : public ObservabilityServerTest {
 protected:
  static constexpr int kMostStreams = 3;
  static constexpr char kRequest[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";

  WebStreamTest() {
    streams_.AddGet("/stream", [this](const WebRequest&) {
      WebResponse response;
      response.content_type = "text/event-stream";
      response.headers = {{"X-Extra", "yes"}};
      response.stream = std::make_unique<ScriptedStream>(script_);
      return response;
    });
  }

  ScriptedStream::Script script_;
  // One thread for requests: streams must not take it.
  ObservabilityServer streams_{
      {"127.0.0.1", 0, 1, kMostStreams}, metrics_, [] { return absl::OkStatus(); }};
};

TEST_F(WebStreamTest, SendsPiecesAsTheyCome) {
  ASSERT_THAT(streams_.Start(), IsOk());
  HttpConnection connection(streams_.port(), kRequest);
  EXPECT_THAT(
      connection.ReadUntil("here"),
      AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("X-Extra: yes"), HasSubstr("text/event-stream")));
  ScriptedStream::Send(script_, "second");
  EXPECT_THAT(connection.ReadUntil("second"), HasSubstr("second"));
  ScriptedStream::End(script_);
  EXPECT_THAT(connection.ReadAll(), HasSubstr("\r\n0\r\n\r\n"));
  ScriptedStream::AwaitDestroyed(script_, 1);
}

// Streams that fill all places leave the page and its requests alone.
TEST_F(WebStreamTest, RefusesMoreStreamsThanMayBeOpen) {
  ASSERT_THAT(streams_.Start(), IsOk());
  std::vector<std::unique_ptr<HttpConnection>> open;
  for (int i = 0; i < kMostStreams; ++i) {
    open.push_back(std::make_unique<HttpConnection>(streams_.port(), kRequest));
    EXPECT_THAT(open.back()->ReadUntil("here"), HasSubstr("here"));
  }
  EXPECT_THAT(Get(streams_.port(), "/stream"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After")));
  EXPECT_THAT(Get(streams_.port(), "/healthz"), StartsWith("HTTP/1.1 200"));
  ScriptedStream::End(script_);
  for (const auto& connection : open) connection->ReadAll();
  ScriptedStream::AwaitDestroyed(script_, kMostStreams + 1);
}

TEST_F(WebStreamTest, StopEndsStreams) {
  ASSERT_THAT(streams_.Start(), IsOk());
  HttpConnection connection(streams_.port(), kRequest);
  connection.ReadUntil("here");
  streams_.Stop();
  connection.ReadAll();
  ScriptedStream::AwaitDestroyed(script_, 1);
}

TEST_F(WebStreamTest, ForgetsStreamsWhoseClientsWentAway) {
  ASSERT_THAT(streams_.Start(), IsOk());
  {
    HttpConnection connection(streams_.port(), kRequest);
    connection.ReadUntil("here");
  }
  // Found while sending.
  for (int i = 0; i < 3; ++i) ScriptedStream::Send(script_, "still there?");
  ScriptedStream::AwaitDestroyed(script_, 1);
}

TEST_F(ObservabilityServerTest, HandlersSeeHeaders) {
  server_.AddGet("/echo", [](const WebRequest& request) {
    return WebResponse{200, "text/plain", absl::StrCat("<", request.Header("last-event-id"), ">")};
  });
  ASSERT_THAT(server_.Start(), IsOk());
  EXPECT_THAT(HttpGet(server_.port(), "/echo", "Last-Event-ID: 17\r\n"), HasSubstr("<17>"));
  EXPECT_THAT(Get(server_.port(), "/echo"), HasSubstr("<>"));
}

TEST(PrometheusMetricsTest, SameNameAndLabelsAreOneSeries) {
  PrometheusMetrics metrics;
  Counter& a = metrics.AddCounter("distill_x_total", "X.", {{"kind", "a"}});
  EXPECT_EQ(&a, &metrics.AddCounter("distill_x_total", "other help", {{"kind", "a"}}));
  Counter& b = metrics.AddCounter("distill_x_total", "X.", {{"kind", "b"}});
  a.Increment();
  b.Increment(2.5);
  EXPECT_THAT(metrics.Expose(), AllOf(HasSubstr("# HELP distill_x_total X.\n"),
                                      HasSubstr("# TYPE distill_x_total counter\n"),
                                      HasSubstr("distill_x_total{kind=\"a\"} 1\n"),
                                      HasSubstr("distill_x_total{kind=\"b\"} 2.5\n")));
}

TEST(PrometheusMetricsTest, RemoveForgetsOneSeries) {
  PrometheusMetrics metrics;
  metrics.AddGauge("distill_y", "Y.", {{"slot", "0"}}).Set(1.0);
  metrics.AddGauge("distill_y", "Y.", {{"slot", "1"}}).Add(2.0);
  metrics.Remove("distill_y", {{"slot", "0"}});
  metrics.Remove("distill_y", {{"slot", "9"}});
  metrics.Remove("distill_unknown", {});
  EXPECT_THAT(metrics.Expose(), AllOf(Not(HasSubstr("slot=\"0\"")), HasSubstr("slot=\"1\"} 2\n")));
}

TEST(PrometheusMetricsTest, HistogramCountsIntoItsBounds) {
  PrometheusMetrics metrics;
  metrics.AddHistogram("distill_z_seconds", "Z.", {0.1, 1.0}).Observe(0.5);
  EXPECT_THAT(metrics.Expose(), AllOf(HasSubstr("distill_z_seconds_bucket{le=\"0.1\"} 0\n"),
                                      HasSubstr("distill_z_seconds_bucket{le=\"1\"} 1\n"),
                                      HasSubstr("distill_z_seconds_sum 0.5\n")));
}

TEST(PrometheusMetricsDeathTest, ANameHasOneType) {
  PrometheusMetrics metrics;
  metrics.AddCounter("distill_x_total", "X.");
  EXPECT_DEATH(metrics.AddGauge("distill_x_total", "X."), "one type");
}

}  // namespace
}  // namespace distill
