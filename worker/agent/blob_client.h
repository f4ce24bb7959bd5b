// Moves blobs between local files and the server's object store. Both ways resume where they were
// cut off, and check the digest of what arrived.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "distill/v1/artifact_service.pb.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/server_connection.h"

namespace distill::worker {

// Where blobs are read from. Thread-safe.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // Streams the blob from `offset` to its end into `sink`, which may stop it with an error. One
  // try. Errors: kNotFound, kDataLoss (corrupt at rest), kCancelled, kUnavailable and the like
  // (retry from where it stopped).
  virtual absl::Status Read(const Digest& digest, int64_t offset, const CancelToken& cancel,
                            const std::function<absl::Status(absl::string_view)>& sink) = 0;
};

// A file that is to become a blob.
struct LocalBlob {
  std::string path;
  Digest digest;
  int64_t size_bytes = 0;
  v1::ArtifactType type = v1::ARTIFACT_TYPE_UNSPECIFIED;
};

// Where blobs are written to. Thread-safe.
class BlobDestination {
 public:
  virtual ~BlobDestination() = default;
  // Makes the server have the blob, durably. One try; a later one continues it.
  // Errors: kNotFound (the file is gone), kInvalidArgument (the file is not what its digest says),
  // kCancelled, kUnavailable and the like (retry).
  virtual absl::Status Upload(const LocalBlob& blob, const CancelToken& cancel) = 0;
};

// ArtifactService over gRPC.
class BlobClient : public BlobSource, public BlobDestination {
 public:
  struct Config {
    // Part of upload ids, so that two workers with the same blob do not meet in one upload.
    std::string worker_id;
    // A stream that has not ended by then is cut and resumed, which bounds how late a cancellation
    // is noticed when the network stalls.
    absl::Duration stream_deadline = absl::Seconds(20);
    absl::Duration call_deadline = absl::Seconds(10);
    size_t chunk_bytes = 512 << 10;
  };

  // `connection` must outlive this.
  BlobClient(Config config, ServerConnection& connection);

  absl::Status Read(const Digest& digest, int64_t offset, const CancelToken& cancel,
                    const std::function<absl::Status(absl::string_view)>& sink) override;
  absl::Status Upload(const LocalBlob& blob, const CancelToken& cancel) override;

 private:
  absl::StatusOr<bool> IsMissing(const Digest& digest);
  // Returns where to go on, or the blob's size when the upload is complete.
  absl::StatusOr<int64_t> CommittedBytes(const std::string& upload_id, const LocalBlob& blob);
  absl::Status Stream(const std::string& upload_id, const LocalBlob& blob, int64_t offset,
                      const CancelToken& cancel);

  const Config config_;
  ServerConnection* const connection_;
};

// Returns the type of an artifact by the name of its output or observation.
v1::ArtifactType ArtifactTypeOf(absl::string_view name);

}  // namespace distill::worker
