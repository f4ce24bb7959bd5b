// Follows the locations that a server hands out: moves one blob between a file and the object store
// by HTTP, past the server. One try; what to do after it is the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "distill/v1/artifact_service.pb.h"
#include "worker/agent/cancel_token.h"

namespace distill::storage {
class HttpClient;
}

namespace distill::worker {

// Thread-safe. Built without S3 every call is kUnimplemented.
class DirectTransfer {
 public:
  // `ca_file`: certificates to trust; empty: the system's.
  explicit DirectTransfer(const std::string& ca_file);
  ~DirectTransfer();

  // Streams the blob from `offset` to its end into `sink`. Errors: kNotFound, kOutOfRange (offset
  // is not inside the blob), kCancelled, those of `sink`, kFailedPrecondition (certificate),
  // kUnavailable (retry from where it stopped, with another location).
  absl::Status Read(const v1::HttpLocation& location, int64_t offset, const CancelToken& cancel,
                    const std::function<absl::Status(absl::string_view)>& sink);
  // Sends the file. Errors: kNotFound (no file), kInvalidArgument (the file is not what its digest
  // says), kResourceExhausted (the object store is full), kCancelled, kFailedPrecondition,
  // kUnavailable (retry with another location).
  absl::Status Write(const v1::HttpLocation& location, const std::string& path, int64_t size_bytes,
                     const CancelToken& cancel);

 private:
  const std::unique_ptr<storage::HttpClient> http_;
};

}  // namespace distill::worker
