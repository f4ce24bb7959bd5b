// libcurl's easy interface, with its callbacks turned into statuses.
#include "storage/http/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

constexpr size_t kMostAnswerBytes = 1 << 20;
constexpr long kBufferBytes = 512 << 10;

// libcurl wants this once a process, before any thread uses it.
void InitializeOnce() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  DISTILL_CHECK(result == CURLE_OK, "libcurl can be initialised");
}

absl::Status TransferError(CURLcode code, const char* detail) {
  const std::string cause = detail[0] != '\0' ? std::string(detail) : curl_easy_strerror(code);
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return absl::InvalidArgumentError(absl::StrCat("cannot send request: bad URL: ", cause));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot trust the HTTP server, check its certificate and the CA file: ", cause));
    default:
      return absl::UnavailableError(absl::StrCat("HTTP exchange failed: ", cause));
  }
}

}  // namespace

HttpBody BodyOf(absl::string_view bytes) {
  return [bytes](uint64_t offset, char* out, size_t size) -> absl::StatusOr<size_t> {
    const size_t count = std::min(size, bytes.size() - static_cast<size_t>(offset));
    std::memcpy(out, bytes.data() + offset, count);
    return count;
  };
}

class HttpClient::Handle {
 public:
  Handle() : curl_(curl_easy_init()) { DISTILL_CHECK(curl_ != nullptr, "libcurl has memory"); }
  ~Handle() { curl_easy_cleanup(curl_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  CURL* get() const { return curl_; }

 private:
  CURL* const curl_;
};

// What the callbacks of one exchange share. They run on the thread of Send().
class HttpClient::Exchange {
 public:
  Exchange(const HttpRequest& request, const HttpSink& sink) : request_(request), sink_(sink) {}
  ~Exchange() { curl_slist_free_all(headers_); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void SetUp(CURL* curl, const Config& config) {
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     static_cast<long>(absl::ToInt64Milliseconds(config.connect_timeout)));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     std::max(1L, static_cast<long>(absl::ToInt64Seconds(config.idle_timeout))));
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, kBufferBytes);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
    if (!config.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, config.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Exchange::OnProgress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Exchange::OnBytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
    SetMethod(curl);
    for (const auto& [name, value] : request_.headers) {
      // A header without a value is written with a semicolon.
      AddHeader(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_);
  }

  absl::StatusOr<HttpResponse> Result(CURL* curl, CURLcode code) {
    if (!stopped_.ok()) return stopped_;
    if (code != CURLE_OK) return TransferError(code, error_);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    response_.status = static_cast<int>(status);
    return std::move(response_);
  }

 private:
  void SetMethod(CURL* curl) {
    if (request_.method == "HEAD") {
      curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
      return;
    }
    if (request_.method == "GET") return;
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    if (request_.method == "DELETE") return;
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, &Exchange::OnRead);
    curl_easy_setopt(curl, CURLOPT_READDATA, this);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, &Exchange::OnSeek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, this);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.body_size));
    AddHeader("Transfer-Encoding:");
  }

  void AddHeader(const std::string& line) {
    headers_ = curl_slist_append(headers_, line.c_str());
    DISTILL_CHECK(headers_ != nullptr, "libcurl has memory");
  }

  static size_t OnRead(char* out, size_t unit, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const uint64_t left = exchange.request_.body_size - exchange.sent_;
    const size_t size = static_cast<size_t>(std::min<uint64_t>(left, unit * count));
    if (size == 0) return 0;
    const absl::StatusOr<size_t> got = exchange.request_.body(exchange.sent_, out, size);
    if (!got.ok() || *got == 0) {
      exchange.stopped_ = got.ok()
                              ? absl::DataLossError("cannot send request: its body ended early")
                              : got.status();
      return CURL_READFUNC_ABORT;
    }
    exchange.sent_ += *got;
    return *got;
  }

  static int OnSeek(void* self, curl_off_t offset, int origin) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
    exchange.sent_ = static_cast<uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }

  static size_t OnHeader(char* text, size_t unit, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const absl::string_view line(text, unit * count);
    if (absl::StartsWith(line, "HTTP/")) {
      // Another answer begins, after "100 Continue" for one.
      exchange.response_.headers.clear();
      const size_t space = line.find(' ');
      exchange.good_ =
          space != absl::string_view::npos && line.size() > space + 1 && line[space + 1] == '2';
      return line.size();
    }
    const size_t colon = line.find(':');
    if (colon != absl::string_view::npos) {
      exchange.response_.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
          std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
    return line.size();
  }

  static size_t OnBytes(char* bytes, size_t unit, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const absl::string_view view(bytes, unit * count);
    if (exchange.good_ && !exchange.answered_ && exchange.request_.on_answer != nullptr) {
      exchange.answered_ = true;
      exchange.request_.on_answer(exchange.response_);
    }
    if (exchange.good_ && exchange.sink_ != nullptr) {
      exchange.stopped_ = exchange.sink_(view);
      return exchange.stopped_.ok() ? view.size() : 0;
    }
    std::string& body = exchange.response_.body;
    const size_t room = kMostAnswerBytes - std::min(kMostAnswerBytes, body.size());
    body.append(bytes, std::min(room, view.size()));
    return view.size();
  }

  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (exchange.request_.cancelled == nullptr || !exchange.request_.cancelled()) return 0;
    exchange.stopped_ = absl::CancelledError("HTTP exchange was cancelled");
    return 1;
  }

  const HttpRequest& request_;
  const HttpSink& sink_;
  curl_slist* headers_ = nullptr;
  char error_[CURL_ERROR_SIZE] = {};
  absl::Status stopped_;
  HttpResponse response_;
  bool good_ = false;
  bool answered_ = false;
  uint64_t sent_ = 0;
};

HttpClient::HttpClient(Config config) : config_(std::move(config)) { InitializeOnce(); }
HttpClient::~HttpClient() = default;

absl::StatusOr<HttpResponse> HttpClient::Send(const HttpRequest& request, const HttpSink& sink) {
  std::unique_ptr<Handle> handle = TakeHandle();
  Exchange exchange(request, sink);
  exchange.SetUp(handle->get(), config_);
  const CURLcode code = curl_easy_perform(handle->get());
  absl::StatusOr<HttpResponse> result = exchange.Result(handle->get(), code);
  KeepHandle(std::move(handle));
  return result;
}

std::unique_ptr<HttpClient::Handle> HttpClient::TakeHandle() {
  {
    const MutexLock lock(mu_);
    if (!idle_.empty()) {
      std::unique_ptr<Handle> handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return std::make_unique<Handle>();
}

void HttpClient::KeepHandle(std::unique_ptr<Handle> handle) {
  const MutexLock lock(mu_);
  if (idle_.size() < config_.kept_connections) idle_.push_back(std::move(handle));
}

}  // namespace distill::storage
