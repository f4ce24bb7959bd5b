#include "base/observability_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/prometheus_metrics.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Sends `request` as it is and returns all that comes back until the server closes.
std::string Exchange(int port, const std::string& request) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) >= 0) {
    char buffer[4096];
    ssize_t got = 0;
    while ((got = read(descriptor, buffer, sizeof(buffer))) > 0) {
      reply.append(buffer, static_cast<size_t>(got));
    }
  }
  close(descriptor);
  return reply;
}

std::string Get(int port, const std::string& target) {
  return Exchange(port, absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

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
