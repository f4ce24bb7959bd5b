// Moves blobs between local files and the server's object store: through the server, or where it
// says so straight to and from the store behind it. A way that does not work falls back on the
// server. Through the server both ways resume where they were cut off.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest.h"
#include "distill/v1/artifact_service.pb.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/direct_transfer.h"
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
  // The attempt that it is for, which gives the right to upload it.
  v1::LeaseRef lease;
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
    // The server may read the whole blob meanwhile.
    absl::Duration finalize_deadline = absl::Minutes(5);
    size_t chunk_bytes = 256 << 10;
    // Certificates of the object store; empty: the system's.
    std::string object_store_ca_file;
  };

  // `connection` must outlive this.
  BlobClient(Config config, ServerConnection& connection);

  absl::Status Read(const Digest& digest, int64_t offset, const CancelToken& cancel,
                    const std::function<absl::Status(absl::string_view)>& sink) override;
  absl::Status Upload(const LocalBlob& blob, const CancelToken& cancel) override;

 private:
  // Asks where the blob is to go. Also of servers that know no locations.
  absl::StatusOr<v1::LocateUploadResponse> Locate(const std::string& upload_id,
                                                  const LocalBlob& blob);
  absl::StatusOr<v1::LocateUploadResponse> LocateByOldCalls(const std::string& upload_id,
                                                            const LocalBlob& blob);
  absl::Status SendTo(const v1::HttpLocation& location, const LocalBlob& blob,
                      const CancelToken& cancel);
  // Reads past the server if it says how. kUnimplemented: nothing was read, use the server.
  absl::Status ReadDirectly(const Digest& digest, int64_t offset, const CancelToken& cancel,
                            const std::function<absl::Status(absl::string_view)>& sink);
  absl::Status ReadStream(const Digest& digest, int64_t offset, const CancelToken& cancel,
                          const std::function<absl::Status(absl::string_view)>& sink);
  absl::Status Stream(const std::string& upload_id, const LocalBlob& blob, int64_t offset,
                      const CancelToken& cancel);

  const Config config_;
  ServerConnection* const connection_;
  DirectTransfer direct_;
  // The server is of an age that knows no locations.
  std::atomic<bool> old_server_{false};
};

// Returns the type of an artifact by the name of its output or observation.
v1::ArtifactType ArtifactTypeOf(absl::string_view name);

}  // namespace distill::worker
