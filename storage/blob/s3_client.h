// The calls of S3 that a blob store needs, against any server that speaks it. Each call is signed,
// checked, and repeated with growing, jittered pauses as long as that can help.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/counter_random.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/s3_answers.h"
#include "storage/blob/s3_credentials.h"
#include "storage/blob/s3_signature.h"
#include "storage/http/http_client.h"

namespace distill::storage {

enum class S3Addressing { kPath, kVirtualHosted };

struct S3ClientConfig {
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000".
  std::string region = "us-east-1";
  std::string bucket;
  S3Addressing addressing = S3Addressing::kPath;
  std::string ca_file;  // Empty: the system's certificates.
  int max_attempts = 6;
  absl::Duration first_retry = absl::Milliseconds(100);
  absl::Duration longest_retry = absl::Seconds(10);
  absl::Duration idle_timeout = absl::Seconds(60);
  int list_page_keys = 1000;  // Of each page of a listing; 1 to 1000.
};

struct S3ObjectInfo {
  uint64_t size_bytes = 0;
  std::string etag;
};

// Thread-safe. Retried are answers 5xx and 429, and exchanges that were cut; never another 4xx.
// Errors of every call: kUnavailable (still so after all attempts), kPermissionDenied (keys or
// rights), kFailedPrecondition (certificate, clock), kCancelled after Cancel(), kInternal (an
// answer that S3 does not document); and what a call adds to them.
class S3Client {
 public:
  // kInvalidArgument when the endpoint is no URL or the bucket no name. The borrowed outlive it.
  static absl::Status Check(const S3ClientConfig& config);
  S3Client(S3ClientConfig config, S3CredentialsSource& credentials, const Clock& clock,
           Metrics& metrics);
  // Ends pauses and exchanges of all threads, now and from now on. For shutdown.
  void Cancel() ABSL_LOCKS_EXCLUDED(mu_);

  // Stores an object. The server compares what arrives with `sha256_hex`. kDataLoss when it
  // differs.
  absl::Status Put(const std::string& key, const HttpBody& body, uint64_t size,
                   absl::string_view sha256_hex);
  // kNotFound.
  absl::StatusOr<S3ObjectInfo> Head(const std::string& key);
  // Streams `size` bytes from `offset`; what is cut goes on where it stopped. kNotFound;
  // kDataLoss when the object is shorter or becomes another one meanwhile.
  absl::Status Get(const std::string& key, uint64_t offset, uint64_t size, const HttpSink& sink);
  // OK when there is none.
  absl::Status Delete(const std::string& key);
  // One page of the objects under `prefix`, by key; `token` of the page before, or empty.
  absl::StatusOr<S3Page> List(const std::string& prefix, const std::string& token);
  // Copies within the bucket, in pieces if it is large. kNotFound.
  absl::Status Copy(const std::string& from, const std::string& to);

  absl::StatusOr<std::string> StartMultipart(const std::string& key);
  // Returns the part's etag, for CompleteMultipart(). Parts are numbered from 1.
  absl::StatusOr<std::string> PutPart(const std::string& key, const std::string& id, int number,
                                      const HttpBody& body, uint64_t size,
                                      absl::string_view sha256_hex);
  // Makes the object visible, all at once.
  absl::Status CompleteMultipart(const std::string& key, const std::string& id,
                                 const std::vector<std::string>& etags, uint64_t size);
  absl::Status AbortMultipart(const std::string& key, const std::string& id);
  absl::StatusOr<std::vector<S3Multipart>> ListMultiparts(const std::string& prefix);

  // A URL from which the object can be read until `lifetime` has passed.
  absl::StatusOr<BlobLocation> PresignGet(const std::string& key, absl::Duration lifetime);
  // A request that stores exactly the bytes with that hash, and no others.
  absl::StatusOr<BlobLocation> SignPut(const std::string& key, absl::string_view sha256_hex);

 private:
  struct Call;

  S3Request BaseRequest(absl::string_view method, absl::string_view key) const;
  std::string UrlOf(const S3Request& request) const;
  // One exchange.
  absl::StatusOr<HttpResponse> SendOnce(const Call& call);
  // As many as it takes. Any answer that is not 2xx becomes an error.
  absl::StatusOr<HttpResponse> Send(const Call& call) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status StatusOf(const Call& call, const HttpResponse& response) const;
  // Waits before attempt number `attempt` + 1; kUnavailable when cancelled.
  absl::Status Pause(int attempt, const HttpResponse* response) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CopyInParts(const std::string& from, const std::string& to, uint64_t size);

  const S3ClientConfig config_;
  const std::string scheme_;  // "https://"
  const std::string host_;    // With the port, and the bucket when it is part of it.
  S3CredentialsSource* const credentials_;
  const Clock* const clock_;
  HttpClient http_;
  Counter& retries_;
  std::atomic<bool> cancelled_{false};
  Mutex mu_;
  CondVar changed_;
  CounterRandom random_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
