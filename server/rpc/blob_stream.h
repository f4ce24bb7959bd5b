// Streams one blob to a caller, a chunk at a time: the next chunk is read when the last one was
// taken, so a slow reader costs one chunk of memory, and one that takes nothing is cut off.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/log.h"
#include "server/rpc/call.h"
#include "server/rpc/corrupt_blobs.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// A stream holds about three of them: what is read, the message, and what the transport keeps until
// the peer takes it. Larger ones are hardly faster.
inline constexpr size_t kStreamedChunkBytes = size_t{256} << 10;

struct BlobStreamSource {
  // Tells which blob, if the caller may read it; runs on an I/O thread and may block.
  std::function<absl::StatusOr<Digest>(const Caller&)> find;
  int64_t offset = 0;
  int64_t limit = 0;  // 0: to the end.
  bool verify = true;
};

// Writes Responses that have `offset` and `data`. Lives until OnDone(). Where it is wished, a whole
// blob is verified while it is sent; a corrupt one ends the stream with kDataLoss and is taken out
// of the store.
template <typename Response>
class BlobStreamReactor : public grpc::ServerWriteReactor<Response> {
 public:
  BlobStreamReactor(const RpcDependencies& dependencies, CallRecord record, BlobStreamSource source,
                    StreamLimit::Place place)
      : dependencies_(dependencies),
        record_(std::move(record)),
        source_(std::move(source)),
        place_(std::move(place)),
        stall_(*dependencies.stalls, [this] { record_.Cancel(); }) {}

  template <typename Request>
  void Start(const Request& request) {
    const absl::Status admitted = record_.Admit(request);
    if (!admitted.ok()) return End(admitted);
    if (!place_.admitted()) {
      return End(TooManyStreams("read artifact", ""));
    }
    Continue();
  }

  void OnWriteDone(bool ok) override {
    stall_.Go();
    if (!ok) return End(absl::CancelledError("the reader is gone"));
    Continue();
  }

  void OnDone() override { delete this; }

 private:
  void Continue() {
    const absl::Status queued = dependencies_.transfers->Submit([this] { Step(); });
    if (!queued.ok()) End(queued);
  }

  // Reads and sends the next chunk, on an I/O thread.
  void Step() {
    if (reader_ == nullptr) {
      const absl::Status opened = Open();
      if (!opened.ok()) return End(opened);
    }
    if (next_ >= end_) return End(Verify());
    const uint64_t size = std::min<uint64_t>(kStreamedChunkBytes, end_ - next_);
    absl::StatusOr<std::string> bytes = reader_->Read(next_, size);
    if (!bytes.ok()) return End(bytes.status());
    if (verifier_.has_value()) verifier_->Append(*bytes);
    response_.set_offset(static_cast<int64_t>(next_));
    next_ += bytes->size();
    response_.set_data(*std::move(bytes));
    stall_.Wait();
    this->StartWrite(&response_);
  }

  absl::Status Open() {
    absl::StatusOr<Digest> digest = source_.find(record_.caller());
    if (!digest.ok()) return digest.status();
    digest_ = *std::move(digest);
    absl::StatusOr<std::unique_ptr<storage::BlobReader>> reader =
        dependencies_.blobs->OpenReader(digest_);
    if (!reader.ok()) return reader.status();
    reader_ = *std::move(reader);
    const uint64_t size = reader_->size_bytes();
    next_ = static_cast<uint64_t>(source_.offset);
    if (next_ > size) {
      return absl::OutOfRangeError(absl::StrCat("cannot read artifact: offset: got ", next_,
                                                ", want at most the size, ", size));
    }
    end_ = source_.limit == 0 ? size : std::min(size, next_ + static_cast<uint64_t>(source_.limit));
    if (source_.verify && next_ == 0 && end_ == size) verifier_.emplace();
    return absl::OkStatus();
  }

  absl::Status Verify() {
    if (!verifier_.has_value() || verifier_->Finish() == digest_) return absl::OkStatus();
    LogError("artifact is corrupt at rest", {{"digest", digest_.str()}});
    CorruptBlobs(*dependencies_.metrics).Increment();
    if (dependencies_.blobs->Quarantine(digest_).ok()) {
      dependencies_.driver->Post(BlobsGone{{digest_}}, {});
    }
    return absl::DataLossError(
        absl::StrCat("cannot read artifact: its bytes are not what its "
                     "digest says; digest=",
                     digest_.str()));
  }

  void End(const absl::Status& status) {
    record_.End(status);
    this->Finish(ToGrpcStatus(status));
  }

  const RpcDependencies dependencies_;
  CallRecord record_;
  const BlobStreamSource source_;
  const StreamLimit::Place place_;
  StallGuard::Stream stall_;

  // One step or one write at a time, so none of this needs a lock.
  Digest digest_;
  std::unique_ptr<storage::BlobReader> reader_;
  std::optional<DigestBuilder> verifier_;
  uint64_t next_ = 0;
  uint64_t end_ = 0;
  Response response_;
};

// Returns the reactor of a new stream, which deletes itself.
template <typename Response, typename Request>
grpc::ServerWriteReactor<Response>* StartBlobStream(const RpcDependencies& dependencies,
                                                    CallRecord record, const Request& request,
                                                    BlobStreamSource source,
                                                    StreamLimit::Place place) {
  auto* reactor = new BlobStreamReactor<Response>(dependencies, std::move(record),
                                                  std::move(source), std::move(place));
  reactor->Start(request);
  return reactor;
}

}  // namespace distill::server
