// Keeps blobs: immutable bytes, named by their digest. Weights, checkpoints, logs and reports are
// blobs; what they mean and who refers to them is kept elsewhere (storage/state).
//
// A blob is published whole: before its upload's Commit() returns OK no call sees any of it; after
// that it survives power loss. What a name yields never changes, so copies may be cached for ever.
//
// All calls may block on a disk or a network: none is for gRPC threads. A failed call had no
// effect unless its comment says otherwise, and every call may be repeated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/digest.h"

namespace distill::storage {

struct BlobInfo {
  Digest digest;
  uint64_t size_bytes = 0;

  friend bool operator==(const BlobInfo& a, const BlobInfo& b) {
    return a.digest == b.digest && a.size_bytes == b.size_bytes;
  }
};

struct UploadInfo {
  std::string upload_id;
  uint64_t committed_bytes = 0;  // How much has arrived.
  bool in_use = false;           // A session has it open.
  // When something last arrived, by the wall clock; one of unknown age is as good as new.
  absl::Time last_use = absl::InfiniteFuture();
};

// An HTTP request by which one blob can be moved without this process and without its keys.
struct BlobLocation {
  std::string method;                                        // "GET" or "PUT".
  std::string url;                                           // A secret until it expires.
  std::vector<std::pair<std::string, std::string>> headers;  // To be sent as they are.
  absl::Time expire_time;                                    // Later it is refused.
};

// One upload in progress. Not thread-safe. Must not outlive its store. Destruction without
// Commit() keeps what has arrived, so that the same upload can be resumed.
class BlobUpload {
 public:
  virtual ~BlobUpload() = default;

  // Tells whether the blob is in the store already: then nothing need be sent, and Commit() only
  // says OK.
  virtual bool already_present() const = 0;
  // How many bytes have arrived, which is the only offset that Append() accepts.
  virtual uint64_t committed_size() const = 0;
  // Appends `bytes`, which need only live until the call returns. Not yet durable: after a crash
  // of the machine the upload may have to start again, which committed_size() then tells.
  // Errors: kOutOfRange (offset is not committed_size(): read it again), kFailedPrecondition
  // (ended), kInvalidArgument (more bytes than announced), kResourceExhausted (disk full; retry
  // later).
  virtual absl::Status Append(uint64_t offset, absl::string_view bytes) = 0;
  // Checks size and digest, then makes the blob durable and visible. Call once: it ends the session
  // in any case, and after an error the upload is started again, with what was kept of it.
  // Errors: kInvalidArgument (not the announced bytes; nothing is kept), kAborted (part of them
  // came from an earlier session and was damaged since; nothing is kept), kResourceExhausted (disk
  // full; retry later), kUnavailable (the store cannot be reached; all is kept, start it again),
  // kInternal (the disk failed; the blob may yet be there).
  virtual absl::Status Commit() = 0;
};

// A blob open for reading. Thread-safe. When the blob is deleted meanwhile it either stays readable
// or says kNotFound; it never yields other bytes.
class BlobReader {
 public:
  virtual ~BlobReader() = default;

  virtual uint64_t size_bytes() const = 0;
  // Returns the bytes from `offset`, at most `limit` of them and fewer only at the end. Not
  // verified: whoever has read all of it compares the digest. kOutOfRange when offset is beyond the
  // end, kDataLoss when the blob turns out shorter than it was.
  virtual absl::StatusOr<std::string> Read(uint64_t offset, uint64_t limit) const = 0;
};

// Thread-safe.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  // Opens the upload named `upload_id`, new or to be resumed, of the blob with this digest and
  // size. Bytes that arrived in an earlier session, also of an earlier process, are kept.
  // Errors: kInvalidArgument (upload_id is not valid id text, or digest is empty), kUnavailable
  // (another session has this upload open: back off), kResourceExhausted (no room; says how to
  // make some).
  virtual absl::StatusOr<std::unique_ptr<BlobUpload>> StartUpload(absl::string_view upload_id,
                                                                  const Digest& expected_digest,
                                                                  uint64_t expected_size) = 0;
  // Returns how many bytes of an upload have arrived; 0 when there is no such upload.
  // kInvalidArgument for an impossible upload_id.
  virtual absl::StatusOr<uint64_t> UploadedBytes(absl::string_view upload_id) const = 0;
  // All uploads that wait to be resumed or are in use, by id.
  virtual absl::StatusOr<std::vector<UploadInfo>> ListUploads() const = 0;
  // Forgets an upload. OK when there is none; kUnavailable while a session has it open.
  virtual absl::Status DiscardUpload(absl::string_view upload_id) = 0;

  // Opens a blob. kNotFound.
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const Digest& digest) const = 0;
  // Returns the size of a blob. kNotFound.
  virtual absl::StatusOr<uint64_t> Stat(const Digest& digest) const = 0;
  // Lists all blobs by digest, for recovery and for retention. A blob that is published or deleted
  // meanwhile may or may not be among them.
  virtual absl::StatusOr<std::vector<BlobInfo>> List() const = 0;
  // Removes a blob. OK when there is none. After a crash the blob may be back.
  virtual absl::Status Delete(const Digest& digest) = 0;

  // Reads the whole blob and compares its digest. kNotFound, or kDataLoss when it differs.
  virtual absl::Status Verify(const Digest& digest) const = 0;
  // Takes a corrupt blob out of the store but keeps its bytes for people to look at. Its name is
  // then free for a good copy. kNotFound.
  virtual absl::Status Quarantine(const Digest& digest) = 0;

  // Tells where the blob can be read directly; nullopt: only through this store. Does not look
  // whether it is there.
  virtual absl::StatusOr<std::optional<BlobLocation>> LocateDownload(const Digest& digest) const;
  // Tells where the blob can be sent directly; nullopt: only through StartUpload(). The location
  // takes no other bytes than those of the digest. FinishDirectUpload() makes it count.
  // kResourceExhausted (no room).
  virtual absl::StatusOr<std::optional<BlobLocation>> LocateUpload(const Digest& digest,
                                                                   uint64_t size_bytes);
  // Checks what was sent to a location, as it is configured, and counts it. Repeatable.
  // Errors: kNotFound (nothing has arrived), kInvalidArgument (it has another size, or its bytes
  // another digest; it is removed).
  virtual absl::Status FinishDirectUpload(const Digest& digest, uint64_t size_bytes);

  // Makes calls that wait for a network end soon, with kUnavailable, now and from now on. For
  // shutdown; nothing is lost.
  virtual void StopWaiting() {}

  // Returns the bytes of all blobs and uploads, announced sizes of open uploads included.
  // Quarantined bytes do not count. Does not block.
  virtual uint64_t used_bytes() const = 0;
};

// Stores `bytes` in one go. Errors as of StartUpload(), Append() and Commit(). An interrupted
// upload of the same id is resumed.
absl::StatusOr<Digest> WriteBlob(BlobStore& store, absl::string_view upload_id,
                                 absl::string_view bytes);
// Same for a file, in chunks. Reads it twice: once for its digest.
absl::StatusOr<Digest> WriteBlobFile(BlobStore& store, absl::string_view upload_id,
                                     const std::string& path);
// Returns a whole blob, verified. kResourceExhausted when it is larger than `max_bytes`, kDataLoss
// when it is corrupt, else the errors of OpenReader().
absl::StatusOr<std::string> ReadBlob(const BlobStore& store, const Digest& digest,
                                     uint64_t max_bytes = 1ULL << 30);

}  // namespace distill::storage
