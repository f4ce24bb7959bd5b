// Building, signing, sending and judging requests. What S3 means by its answers is decided in
// StatusOf(), whether to try again in Send().
#include "storage/blob/s3_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/random_ids.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

// S3 copies at most 5 GiB in one call.
constexpr uint64_t kMostCopyBytes = uint64_t{4} << 30;
constexpr uint64_t kCopyPartBytes = uint64_t{512} << 20;
// For how long S3 takes a signed request is its own rule: 15 minutes around its clock. Less here,
// so that clocks may differ.
constexpr absl::Duration kSignedRequestLifetime = absl::Minutes(10);

const std::string& EmptyHash() {
  static const std::string* const hash = new std::string(Digest::OfBytes("").hex());
  return *hash;
}

std::string SchemeOf(const std::string& endpoint) {
  return endpoint.substr(0, endpoint.find("://") + 3);
}

std::string HostOf(const S3ClientConfig& config) {
  const std::string host = config.endpoint.substr(config.endpoint.find("://") + 3);
  return config.addressing == S3Addressing::kVirtualHosted ? absl::StrCat(config.bucket, ".", host)
                                                           : host;
}

// Other clients pause for other times.
uint64_t RandomSeed() {
  uint64_t seed = 0;
  const bool parsed = absl::SimpleHexAtoi(SystemIdSource().RandomHex(8), &seed);
  return parsed ? seed : 1;
}

std::string HeaderOf(const HttpResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

absl::Status Stopping() {
  return absl::UnavailableError("cannot wait for the object store: the server is stopping");
}

std::string RangeText(uint64_t offset, uint64_t size) {
  return absl::StrCat("bytes=", offset, "-", offset + size - 1);
}

}  // namespace

struct S3Client::Call {
  absl::string_view verb;  // For messages: "put object".
  S3Request request;
  HttpBody body;
  uint64_t body_size = 0;
  std::string payload_hash = EmptyHash();
  HttpSink sink;
  std::function<void(const HttpResponse&)> on_answer;
};

absl::Status S3Client::Check(const S3ClientConfig& config) {
  absl::string_view rest = config.endpoint;
  if (!absl::ConsumePrefix(&rest, "https://") && !absl::ConsumePrefix(&rest, "http://")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot use S3: endpoint: got \"", config.endpoint, "\", want https://HOST[:PORT]"));
  }
  if (rest.empty() || rest.find_first_of("/?#@ ") != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot use S3: endpoint: got \"", config.endpoint, "\", want only scheme, host and port"));
  }
  const bool named = config.bucket.size() >= 3 && config.bucket.size() <= 63 &&
                     std::all_of(config.bucket.begin(), config.bucket.end(), [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
                              c == '.' || c == '_';
                     });
  if (!named) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use S3: bucket: got \"", config.bucket,
                     "\", want 3 to 63 of letters, digits, '-', '.' and '_'"));
  }
  if (config.region.empty()) {
    return absl::InvalidArgumentError("cannot use S3: region: got nothing, want a name");
  }
  return absl::OkStatus();
}

S3Client::S3Client(S3ClientConfig config, S3CredentialsSource& credentials, const Clock& clock,
                   Metrics& metrics)
    : config_(std::move(config)),
      scheme_(SchemeOf(config_.endpoint)),
      host_(HostOf(config_)),
      credentials_(&credentials),
      clock_(&clock),
      http_({config_.ca_file, /*connect_timeout=*/absl::Seconds(10), config_.idle_timeout}),
      retries_(metrics.AddCounter("distill_s3_retries_total",
                                  "Requests to the object store that had to be repeated.")),
      random_(RandomSeed()) {}

void S3Client::Cancel() {
  const MutexLock lock(mu_);
  cancelled_ = true;
  changed_.NotifyAll();
}

S3Request S3Client::BaseRequest(absl::string_view method, absl::string_view key) const {
  S3Request request;
  request.method = std::string(method);
  request.host = host_;
  request.path = config_.addressing == S3Addressing::kPath
                     ? absl::StrCat("/", config_.bucket, key.empty() ? "" : "/", key)
                     : absl::StrCat("/", key);
  return request;
}

std::string S3Client::UrlOf(const S3Request& request) const {
  const std::string query = CanonicalQuery(request.query);
  return absl::StrCat(scheme_, request.host, UriEncode(request.path, /*keep_slash=*/true),
                      query.empty() ? "" : "?", query);
}

absl::StatusOr<HttpResponse> S3Client::SendOnce(const Call& call) {
  DISTILL_ASSIGN_OR_RETURN(const S3Credentials credentials, credentials_->Get());
  S3Request request = call.request;
  request.headers.emplace_back("x-amz-content-sha256", call.payload_hash);
  HttpRequest http;
  http.method = request.method;
  http.url = UrlOf(request);
  http.headers = SignedHeaders(request, call.payload_hash, credentials,
                               {config_.region, "s3", clock_->WallNow()});
  http.body = call.body;
  http.body_size = call.body_size;
  http.on_answer = call.on_answer;
  http.cancelled = [this] { return cancelled_.load(); };
  if (cancelled_) return Stopping();
  absl::StatusOr<HttpResponse> response = http_.Send(http, call.sink);
  if (!response.ok() && cancelled_) return Stopping();
  return response;
}

absl::StatusOr<HttpResponse> S3Client::Send(const Call& call) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<HttpResponse> response = SendOnce(call);
    const absl::Status status = response.ok() ? StatusOf(call, *response) : response.status();
    if (status.ok()) return response;
    if (!absl::IsUnavailable(status) || attempt >= config_.max_attempts) return status;
    LogDebug("request to the object store is repeated",
             {{"verb", call.verb}, {"attempt", attempt}, {"cause", status}});
    DISTILL_RETURN_IF_ERROR(Pause(attempt, response.ok() ? &*response : nullptr));
  }
}

absl::Status S3Client::StatusOf(const Call& call, const HttpResponse& response) const {
  const S3Error error = ParseError(response.body);
  // CompleteMultipartUpload may say 200 before it knows, and put the error into the body.
  if (response.status >= 200 && response.status < 300 && error.code.empty()) {
    return absl::OkStatus();
  }
  const std::string text = absl::StrCat(
      "cannot ", call.verb, ": ", error.code.empty() ? "the object store refused" : error.code,
      error.message.empty() ? "" : ": ", error.message, "; status=", response.status,
      " bucket=", config_.bucket, " path=", call.request.path);
  if (error.code == "RequestTimeTooSkewed") {
    return absl::FailedPreconditionError(
        absl::StrCat(text, "; set the clock of this machine right"));
  }
  if (error.code == "NoSuchBucket") {
    return absl::FailedPreconditionError(absl::StrCat(text, "; make the bucket first"));
  }
  if (error.code == "BadDigest" || error.code == "XAmzContentSHA256Mismatch") {
    return absl::DataLossError(text);
  }
  switch (response.status) {
    case 401:
    case 403:
      return absl::PermissionDeniedError(text);
    case 404:
      return absl::NotFoundError(text);
    case 409:
    case 412:
      return absl::AbortedError(text);
    case 416:
      return absl::OutOfRangeError(text);
    case 501:
      return absl::UnimplementedError(text);
    case 507:
      return absl::ResourceExhaustedError(text);
    default:
      break;
  }
  if (response.status == 429 || response.status >= 500 || response.status < 300) {
    return absl::UnavailableError(text);
  }
  if (response.status < 400) {
    return absl::FailedPreconditionError(
        absl::StrCat(text, "; the bucket is elsewhere, check the endpoint and the region"));
  }
  return absl::InternalError(text);
}

absl::Status S3Client::Pause(int attempt, const HttpResponse* response) {
  retries_.Increment();
  absl::Duration bound = config_.first_retry;
  for (int i = 1; i < attempt && bound < config_.longest_retry; ++i) bound *= 2;
  int64_t wished_seconds = 0;
  if (response != nullptr &&
      absl::SimpleAtoi(HeaderOf(*response, "retry-after"), &wished_seconds) && wished_seconds > 0) {
    bound = std::max(bound, absl::Seconds(wished_seconds));
  }
  bound = std::min(bound, config_.longest_retry);
  const MutexLock lock(mu_);
  const MonotonicTime end = clock_->Now() + bound * random_.Uniform(0.5, 1.0);
  while (!cancelled_) {
    const absl::Duration left = end - clock_->Now();
    if (left <= absl::ZeroDuration()) return absl::OkStatus();
    changed_.WaitFor(mu_, left);
  }
  return Stopping();
}

absl::Status S3Client::Put(const std::string& key, const HttpBody& body, uint64_t size,
                           absl::string_view sha256_hex) {
  Call call;
  call.verb = "put object";
  call.request = BaseRequest("PUT", key);
  call.body = body;
  call.body_size = size;
  call.payload_hash = std::string(sha256_hex);
  return Send(call).status();
}

absl::StatusOr<S3ObjectInfo> S3Client::Head(const std::string& key) {
  Call call;
  call.verb = "find object";
  call.request = BaseRequest("HEAD", key);
  DISTILL_ASSIGN_OR_RETURN(const HttpResponse response, Send(call));
  S3ObjectInfo info;
  info.etag = HeaderOf(response, "etag");
  if (!absl::SimpleAtoi(HeaderOf(response, "content-length"), &info.size_bytes)) {
    return absl::InternalError(
        absl::StrCat("cannot find object: the answer has no length; key=", key));
  }
  return info;
}

absl::Status S3Client::Get(const std::string& key, uint64_t offset, uint64_t size,
                           const HttpSink& sink) {
  uint64_t done = 0;
  std::string etag;
  int attempt = 1;
  while (done < size) {
    Call call;
    call.verb = "get object";
    call.request = BaseRequest("GET", key);
    call.request.headers.emplace_back("range", RangeText(offset + done, size - done));
    if (!etag.empty()) call.request.headers.emplace_back("if-match", etag);
    const uint64_t before = done;
    call.on_answer = [&etag](const HttpResponse& answer) {
      if (etag.empty()) etag = HeaderOf(answer, "etag");
    };
    call.sink = [&](absl::string_view bytes) -> absl::Status {
      if (bytes.size() > size - done) {
        return absl::InternalError("cannot get object: the server sends more than was asked for");
      }
      done += bytes.size();
      return sink(bytes);
    };
    const absl::StatusOr<HttpResponse> response = SendOnce(call);
    absl::Status status = response.ok() ? StatusOf(call, *response) : response.status();
    if (absl::IsAborted(status)) return absl::DataLossError(status.message());
    if (status.ok() && response->status != 206 && offset + before > 0) {
      return absl::InternalError("cannot get object: the server does not know ranges");
    }
    if (status.ok() && done < size) {
      // Whole by its own account, and yet too short.
      return absl::DataLossError(
          absl::StrCat("cannot get object: it is shorter than it was; key=", key,
                       " offset=", offset, " want=", size, " got=", done));
    }
    if (status.ok()) return status;
    if (done > before) attempt = 1;  // What moves is not given up.
    if (!absl::IsUnavailable(status) || attempt >= config_.max_attempts) return status;
    DISTILL_RETURN_IF_ERROR(Pause(attempt++, response.ok() ? &*response : nullptr));
  }
  return absl::OkStatus();
}

absl::Status S3Client::Delete(const std::string& key) {
  Call call;
  call.verb = "delete object";
  call.request = BaseRequest("DELETE", key);
  const absl::Status status = Send(call).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<S3Page> S3Client::List(const std::string& prefix, const std::string& token) {
  Call call;
  call.verb = "list objects";
  call.request = BaseRequest("GET", "");
  call.request.query = {
      {"list-type", "2"}, {"prefix", prefix}, {"max-keys", absl::StrCat(config_.list_page_keys)}};
  if (!token.empty()) call.request.query.emplace_back("continuation-token", token);
  DISTILL_ASSIGN_OR_RETURN(const HttpResponse response, Send(call));
  return ParseListing(response.body);
}

absl::Status S3Client::Copy(const std::string& from, const std::string& to) {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Head(from));
  if (info.size_bytes > kMostCopyBytes) return CopyInParts(from, to, info.size_bytes);
  Call call;
  call.verb = "copy object";
  call.request = BaseRequest("PUT", to);
  call.request.headers.emplace_back(
      "x-amz-copy-source",
      absl::StrCat("/", config_.bucket, "/", UriEncode(from, /*keep_slash=*/true)));
  return Send(call).status();
}

absl::Status S3Client::CopyInParts(const std::string& from, const std::string& to, uint64_t size) {
  DISTILL_ASSIGN_OR_RETURN(const std::string id, StartMultipart(to));
  std::vector<std::string> etags;
  absl::Status status;
  for (uint64_t offset = 0; status.ok() && offset < size; offset += kCopyPartBytes) {
    Call call;
    call.verb = "copy part of object";
    call.request = BaseRequest("PUT", to);
    call.request.query = {{"partNumber", absl::StrCat(etags.size() + 1)}, {"uploadId", id}};
    call.request.headers = {
        {"x-amz-copy-source",
         absl::StrCat("/", config_.bucket, "/", UriEncode(from, /*keep_slash=*/true))},
        {"x-amz-copy-source-range", RangeText(offset, std::min(kCopyPartBytes, size - offset))}};
    const absl::StatusOr<HttpResponse> response = Send(call);
    status = response.status();
    if (status.ok()) etags.push_back(XmlText(response->body, "ETag"));
  }
  if (status.ok()) status = CompleteMultipart(to, id, etags, size);
  if (!status.ok()) AbortMultipart(to, id).IgnoreError();  // Found by age otherwise.
  return status;
}

absl::StatusOr<std::string> S3Client::StartMultipart(const std::string& key) {
  Call call;
  call.verb = "start multipart upload";
  call.request = BaseRequest("POST", key);
  call.request.query = {{"uploads", ""}};
  DISTILL_ASSIGN_OR_RETURN(const HttpResponse response, Send(call));
  std::string id = XmlText(response.body, "UploadId");
  if (id.empty()) {
    return absl::InternalError("cannot start multipart upload: the answer has no UploadId");
  }
  return id;
}

absl::StatusOr<std::string> S3Client::PutPart(const std::string& key, const std::string& id,
                                              int number, const HttpBody& body, uint64_t size,
                                              absl::string_view sha256_hex) {
  Call call;
  call.verb = "put part of object";
  call.request = BaseRequest("PUT", key);
  call.request.query = {{"partNumber", absl::StrCat(number)}, {"uploadId", id}};
  call.body = body;
  call.body_size = size;
  call.payload_hash = std::string(sha256_hex);
  DISTILL_ASSIGN_OR_RETURN(const HttpResponse response, Send(call));
  std::string etag = HeaderOf(response, "etag");
  if (etag.empty()) return absl::InternalError("cannot put part of object: the answer has no ETag");
  return etag;
}

absl::Status S3Client::CompleteMultipart(const std::string& key, const std::string& id,
                                         const std::vector<std::string>& etags, uint64_t size) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (size_t i = 0; i < etags.size(); ++i) {
    absl::StrAppend(&xml, "<Part><PartNumber>", i + 1, "</PartNumber><ETag>", XmlEscape(etags[i]),
                    "</ETag></Part>");
  }
  absl::StrAppend(&xml, "</CompleteMultipartUpload>");
  Call call;
  call.verb = "complete multipart upload";
  call.request = BaseRequest("POST", key);
  call.request.query = {{"uploadId", id}};
  call.request.headers.emplace_back("content-type", "application/xml");
  call.body = BodyOf(xml);
  call.body_size = xml.size();
  call.payload_hash = std::string(Digest::OfBytes(xml).hex());
  const absl::Status status = Send(call).status();
  if (!absl::IsNotFound(status)) return status;
  // Perhaps an answer was lost: then the upload is gone because the object is there.
  const absl::StatusOr<S3ObjectInfo> info = Head(key);
  return info.ok() && info->size_bytes == size ? absl::OkStatus() : status;
}

absl::Status S3Client::AbortMultipart(const std::string& key, const std::string& id) {
  Call call;
  call.verb = "abort multipart upload";
  call.request = BaseRequest("DELETE", key);
  call.request.query = {{"uploadId", id}};
  const absl::Status status = Send(call).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<S3Multipart>> S3Client::ListMultiparts(const std::string& prefix) {
  Call call;
  call.verb = "list multipart uploads";
  call.request = BaseRequest("GET", "");
  call.request.query = {{"uploads", ""}, {"prefix", prefix}};
  DISTILL_ASSIGN_OR_RETURN(const HttpResponse response, Send(call));
  // One page, up to 1000, is plenty: they are ended as they are found.
  return ParseMultiparts(response.body);
}

absl::StatusOr<BlobLocation> S3Client::PresignGet(const std::string& key, absl::Duration lifetime) {
  DISTILL_ASSIGN_OR_RETURN(const S3Credentials credentials, credentials_->Get());
  S3Request request = BaseRequest("GET", key);
  const absl::Time now = clock_->WallNow();
  request.query = PresignedQuery(request, lifetime, credentials, {config_.region, "s3", now});
  return BlobLocation{"GET", UrlOf(request), {}, now + lifetime};
}

absl::StatusOr<BlobLocation> S3Client::SignPut(const std::string& key,
                                               absl::string_view sha256_hex) {
  DISTILL_ASSIGN_OR_RETURN(const S3Credentials credentials, credentials_->Get());
  S3Request request = BaseRequest("PUT", key);
  request.headers.emplace_back("x-amz-content-sha256", sha256_hex);
  const absl::Time now = clock_->WallNow();
  return BlobLocation{"PUT", UrlOf(request),
                      SignedHeaders(request, sha256_hex, credentials, {config_.region, "s3", now}),
                      now + kSignedRequestLifetime};
}

}  // namespace distill::storage
