// Routes requests and keeps the limits; cpp-httplib does the HTTP.
#include "base/observability_server.h"

#include <deque>
#include <functional>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutex.h"
#include "base/process_metrics.h"
#include "httplib.h"

namespace distill {
namespace {

constexpr size_t kMaxRequestBodyBytes = 4096;
constexpr int kSocketTimeoutSeconds = 5;
constexpr size_t kMostWaitingConnections = 64;

WebResponse Readiness(const absl::Status& status) {
  WebResponse response;
  if (status.ok()) {
    response.body = "ready\n";
  } else {
    response.status = 503;
    response.body = absl::StrCat("not ready: ", status.message(), "\n");
  }
  return response;
}

// Serves connections on a few threads. Unlike cpp-httplib's own pool it takes in only as many as it
// can soon serve; then the accepting loop waits, and further clients queue in the kernel, which
// bounds them. None waits long: a connection holds a thread for a few seconds at most.
class BoundedThreads : public httplib::TaskQueue {
 public:
  explicit BoundedThreads(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }

  void enqueue(std::function<void()> serve) override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (waiting_.size() >= kMostWaitingConnections) changed_.Wait(mu_);
    waiting_.push_back(std::move(serve));
    changed_.NotifyAll();
  }

  // Serves what was taken in, then ends the threads.
  void shutdown() override ABSL_LOCKS_EXCLUDED(mu_) {
    {
      MutexLock lock(mu_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_) {
    while (true) {
      std::function<void()> serve;
      {
        MutexLock lock(mu_);
        while (waiting_.empty() && !stopping_) changed_.Wait(mu_);
        if (waiting_.empty()) return;
        serve = std::move(waiting_.front());
        waiting_.pop_front();
        changed_.NotifyAll();
      }
      serve();
    }
  }

  Mutex mu_;
  CondVar changed_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

class ObservabilityServer::Impl {
 public:
  Impl() {
    // cpp-httplib's own choice is SO_REUSEPORT, with which two servers share a port in silence.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.set_payload_max_length(kMaxRequestBodyBytes);
    server_.set_read_timeout(kSocketTimeoutSeconds);
    server_.set_write_timeout(kSocketTimeoutSeconds);
    // One request a connection: an idle client can then hold neither a thread nor Stop().
    server_.set_keep_alive_max_count(1);
    server_.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
      Serve(request, response);
    });
  }

  void AddGet(const std::string& path, Handler handler) { handlers_[path] = std::move(handler); }

  // Returns the bound port, or -1.
  int Start(const Config& config) {
    int port = config.port;
    if (port == 0) {
      port = server_.bind_to_any_port(config.host);
    } else if (!server_.bind_to_port(config.host, port)) {
      port = -1;
    }
    if (port < 0) return -1;
    // The listening loop makes its task queue right after it marks itself running, and a stop()
    // before that mark would be lost: so Start() waits for the queue to be asked for.
    std::promise<void> running;
    server_.new_task_queue = [&running, threads = config.threads] {
      auto queue = std::make_unique<BoundedThreads>(threads);
      running.set_value();
      return queue.release();  // The loop takes ownership.
    };
    listener_ = std::thread([this] { server_.listen_after_bind(); });
    running.get_future().wait();
    return port;
  }

  void Stop() {
    if (!listener_.joinable()) return;
    server_.stop();
    listener_.join();
  }

 private:
  const Handler* Find(const std::string& path) const {
    const auto exact = handlers_.find(path);
    if (exact != handlers_.end()) return &exact->second;
    for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      const auto above = handlers_.find(path.substr(0, slash + 1));
      if (above != handlers_.end()) return &above->second;
    }
    return nullptr;
  }

  void Serve(const httplib::Request& http_request, httplib::Response& http_response) const {
    const Handler* const handler = Find(http_request.path);
    if (handler == nullptr) {
      http_response.status = 404;
      http_response.set_content("not found\n", "text/plain");
      return;
    }
    WebRequest request;
    request.path = http_request.path;
    request.query.insert(http_request.params.begin(), http_request.params.end());
    WebResponse response = (*handler)(request);
    http_response.status = response.status;
    http_response.set_content(response.body, response.content_type);
  }

  std::map<std::string, Handler> handlers_;  // Constant once started.
  httplib::Server server_;
  std::thread listener_;
};

ObservabilityServer::ObservabilityServer(Config config, const PrometheusMetrics& metrics,
                                         std::function<absl::Status()> readiness)
    : config_(std::move(config)), impl_(std::make_unique<Impl>()) {
  AddGet("/metrics", [&metrics](const WebRequest&) {
    return WebResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                       absl::StrCat(metrics.Expose(), ExposeProcessMetrics())};
  });
  AddGet("/healthz", [](const WebRequest&) {
    WebResponse response;
    response.body = "ok\n";
    return response;
  });
  AddGet("/readyz",
         [readiness = std::move(readiness)](const WebRequest&) { return Readiness(readiness()); });
}

ObservabilityServer::~ObservabilityServer() { Stop(); }

void ObservabilityServer::AddGet(const std::string& path, Handler handler) {
  DISTILL_CHECK(port_ == 0, "routes are added before the threads start");
  impl_->AddGet(path, std::move(handler));
}

absl::Status ObservabilityServer::Start() {
  DISTILL_CHECK(port_ == 0, "a server starts once");
  const int port = impl_->Start(config_);
  if (port < 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot serve HTTP: address is in use or not of this machine; choose another; host=",
        config_.host, " port=", config_.port));
  }
  port_ = port;
  return absl::OkStatus();
}

void ObservabilityServer::Stop() { impl_->Stop(); }

}  // namespace distill
