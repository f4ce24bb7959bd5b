// Routes requests and keeps the limits; cpp-httplib does the HTTP.
#include "base/observability_server.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
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

// Serves connections, on as few threads as suffice and on `most` at most. Unlike cpp-httplib's own
// pool it takes in only as many as it can soon serve; then the accepting loop waits, and further
// clients queue in the kernel, which bounds them. Streams are limited to less than `most`, and
// everything else holds a thread for a few seconds at most, so none waits long.
class ElasticThreads : public httplib::TaskQueue {
 public:
  // Keeps `kept` threads even when there is nothing to do.
  ElasticThreads(size_t kept, size_t most) : kept_(kept), most_(most) {}

  // Called by the accepting loop alone.
  void enqueue(std::function<void()> serve) override ABSL_LOCKS_EXCLUDED(mu_) {
    JoinEnded();
    MutexLock lock(mu_);
    while (waiting_.size() >= kMostWaitingConnections) changed_.Wait(mu_);
    waiting_.push_back(std::move(serve));
    if (idle_ < waiting_.size() && threads_.size() < most_) {
      const int id = next_thread_++;
      threads_.emplace(id, [this, id] { Run(id); });
    }
    changed_.NotifyAll();
  }

  // Serves what was taken in, then ends the threads.
  void shutdown() override ABSL_LOCKS_EXCLUDED(mu_) {
    std::map<int, std::thread> threads;
    {
      MutexLock lock(mu_);
      stopping_ = true;
      threads.swap(threads_);
      changed_.NotifyAll();
    }
    for (auto& [id, thread] : threads) thread.join();
    JoinEnded();
  }

 private:
  void Run(int id) ABSL_LOCKS_EXCLUDED(mu_) {
    while (true) {
      std::function<void()> serve;
      {
        MutexLock lock(mu_);
        ++idle_;
        while (waiting_.empty() && !stopping_ && idle_ <= kept_) changed_.Wait(mu_);
        --idle_;
        if (waiting_.empty()) return LeaveLocked(id);
        serve = std::move(waiting_.front());
        waiting_.pop_front();
        changed_.NotifyAll();
      }
      serve();
    }
  }

  // The last thing that a thread does. While the server stops, shutdown() has its handle.
  void LeaveLocked(int id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto self = threads_.find(id);
    if (self == threads_.end()) return;
    ended_.push_back(std::move(self->second));
    threads_.erase(self);
  }

  void JoinEnded() ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<std::thread> ended;
    {
      MutexLock lock(mu_);
      ended.swap(ended_);
    }
    for (std::thread& thread : ended) thread.join();
  }

  const size_t kept_;
  const size_t most_;
  Mutex mu_;
  CondVar changed_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;
  int next_thread_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int, std::thread> threads_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> ended_ ABSL_GUARDED_BY(mu_);
};

// The streams that are open, so that they can be counted and ended. Thread-safe.
class OpenStreams {
 public:
  explicit OpenStreams(int most) : most_(static_cast<size_t>(std::max(most, 0))) {}

  // False when there are as many as may be, or the server stops.
  bool Add(WebStream& stream) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (stopping_ || streams_.size() >= most_) return false;
    streams_.insert(&stream);
    return true;
  }
  // Of one that was added; it may be destroyed afterwards.
  void Remove(WebStream& stream) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    streams_.erase(&stream);
  }
  // None is added any more.
  void CancelAll() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    stopping_ = true;
    for (WebStream* stream : streams_) stream->Cancel();
  }

 private:
  const size_t most_;
  Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::set<WebStream*> streams_ ABSL_GUARDED_BY(mu_);
};

// A stream that is being sent; gives its place back when httplib is done with it. Httplib copies
// the function that holds it, so it is shared by the copies.
class StreamInFlight {
 public:
  StreamInFlight(std::unique_ptr<WebStream> stream, OpenStreams& open)
      : stream_(std::move(stream)), open_(&open) {}
  ~StreamInFlight() { open_->Remove(*stream_); }
  StreamInFlight(const StreamInFlight&) = delete;
  StreamInFlight& operator=(const StreamInFlight&) = delete;

  // False ends the connection.
  bool SendNext(httplib::DataSink& sink) {
    const std::optional<std::string> piece = stream_->Next();
    if (!piece.has_value()) {
      sink.done();
      return true;
    }
    return sink.is_writable() && sink.write(piece->data(), piece->size());
  }

 private:
  const std::unique_ptr<WebStream> stream_;
  OpenStreams* const open_;
};

std::string ValueOf(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string() : found->second;
}

}  // namespace

std::string WebRequest::Header(const std::string& name) const { return ValueOf(headers, name); }
std::string WebRequest::Query(const std::string& name) const { return ValueOf(query, name); }

class ObservabilityServer::Impl {
 public:
  explicit Impl(int max_streams) : streams_(max_streams) {
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
    const size_t threads = static_cast<size_t>(std::max(config.threads, 1));
    const size_t most = threads + static_cast<size_t>(std::max(config.max_streams, 0));
    server_.new_task_queue = [&running, threads, most] {
      auto queue = std::make_unique<ElasticThreads>(threads, most);
      running.set_value();
      return queue.release();  // The loop takes ownership.
    };
    listener_ = std::thread([this] { server_.listen_after_bind(); });
    running.get_future().wait();
    return port;
  }

  void Stop() {
    if (!listener_.joinable()) return;
    streams_.CancelAll();
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

  void Serve(const httplib::Request& http_request, httplib::Response& http_response) {
    const Handler* const handler = Find(http_request.path);
    if (handler == nullptr) {
      http_response.status = 404;
      http_response.set_content("not found\n", "text/plain");
      return;
    }
    WebRequest request;
    request.path = http_request.path;
    request.query.insert(http_request.params.begin(), http_request.params.end());
    for (const auto& [name, value] : http_request.headers) {
      request.headers.emplace(absl::AsciiStrToLower(name), value);
    }
    WebResponse response = (*handler)(request);
    if (response.stream != nullptr && !streams_.Add(*response.stream)) {
      response = TooManyStreams();
    }
    http_response.status = response.status;
    for (const auto& [name, value] : response.headers) http_response.set_header(name, value);
    if (response.stream == nullptr) {
      http_response.set_content(response.body, response.content_type);
      return;
    }
    auto stream = std::make_shared<StreamInFlight>(std::move(response.stream), streams_);
    http_response.set_chunked_content_provider(
        response.content_type,
        [stream](size_t, httplib::DataSink& sink) { return stream->SendNext(sink); });
  }

  static WebResponse TooManyStreams() {
    WebResponse response;
    response.status = 503;
    response.body = "too many streams are open; close one, or try again later\n";
    response.headers = {{"Retry-After", "5"}};
    return response;
  }

  std::map<std::string, Handler> handlers_;  // Constant once started.
  OpenStreams streams_;
  httplib::Server server_;
  std::thread listener_;
};

ObservabilityServer::ObservabilityServer(Config config, const PrometheusMetrics& metrics,
                                         std::function<absl::Status()> readiness)
    : config_(std::move(config)), impl_(std::make_unique<Impl>(config_.max_streams)) {
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
