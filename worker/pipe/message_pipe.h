// Protobuf messages over a pair of descriptors: each is preceded by its length, 4 bytes,
// little-endian. Survives interrupted and partial reads and writes, tells a clean end (the peer
// closed between two messages) from a torn one, and refuses lengths that no honest peer sends.
//
// The process must ignore SIGPIPE; a vanished reader is then an error status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "google/protobuf/message_lite.h"

namespace distill::worker {

constexpr uint32_t kMaxPipeMessageBytes = 16U << 20;

// Returns the message with its length in front. kInvalidArgument when it is larger than
// kMaxPipeMessageBytes.
absl::StatusOr<std::string> EncodeFrame(const google::protobuf::MessageLite& message);

// Cuts a byte stream into frames. Not thread-safe.
class FrameDecoder {
 public:
  void Append(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // Returns the next whole payload, or nothing while bytes are missing. kDataLoss when the length
  // is over kMaxPipeMessageBytes; the stream is then useless.
  absl::StatusOr<std::optional<std::string>> Next();
  // Whether the bytes so far end between two messages.
  bool AtBoundary() const { return buffer_.empty(); }

 private:
  std::string buffer_;
};

// Reads messages from a descriptor that it does not own. One thread at a time.
class MessageReader {
 public:
  explicit MessageReader(int descriptor) : descriptor_(descriptor) {}

  // Waits for one message of type M; nothing when `timeout` passed first. A message that has begun
  // to arrive is kept for the next call.
  // Errors: kOutOfRange at a clean end, kDataLoss at a torn end or on nonsense, kInternal
  // otherwise.
  template <typename M>
  absl::StatusOr<std::optional<M>> Read(absl::Duration timeout = absl::InfiniteDuration()) {
    DISTILL_ASSIGN_OR_RETURN(const std::optional<std::string> payload, ReadPayload(timeout));
    if (!payload.has_value()) return std::optional<M>();
    M message;
    if (!message.ParseFromString(*payload)) {
      return absl::DataLossError("cannot read from pipe: message does not parse");
    }
    return std::optional<M>(std::move(message));
  }

 private:
  absl::StatusOr<std::optional<std::string>> ReadPayload(absl::Duration timeout);

  const int descriptor_;
  FrameDecoder decoder_;
};

// Writes messages to a descriptor that it does not own. One thread at a time.
class MessageWriter {
 public:
  explicit MessageWriter(int descriptor) : descriptor_(descriptor) {}

  // Writes the whole message. kUnavailable when the reader is gone, kDeadlineExceeded when it does
  // not read; the stream is then torn and must be closed. kInvalidArgument when it is too large.
  absl::Status Write(const google::protobuf::MessageLite& message,
                     absl::Duration timeout = absl::InfiniteDuration());

 private:
  const int descriptor_;
};

}  // namespace distill::worker
