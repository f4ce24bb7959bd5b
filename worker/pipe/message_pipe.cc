#include "worker/pipe/message_pipe.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/clock.h"

namespace distill::worker {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr size_t kReadBytes = 64 << 10;

uint32_t DecodeLength(absl::string_view bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return length;
}

// Waits until `descriptor` is ready for `events`, its peer is gone, or `deadline`. Returns false at
// the deadline.
absl::StatusOr<bool> WaitReady(int descriptor, short events, const Clock& clock,
                               MonotonicTime deadline) {
  for (;;) {
    const absl::Duration left = std::max(deadline - clock.Now(), absl::ZeroDuration());
    const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int wait = left == absl::InfiniteDuration()
                         ? -1
                         : static_cast<int>(std::min<int64_t>(milliseconds, INT_MAX));
    pollfd entry = {descriptor, events, 0};
    const int ready = poll(&entry, 1, wait);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) {
      return absl::InternalError(absl::StrCat("cannot poll pipe: ", std::strerror(errno)));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> EncodeFrame(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxPipeMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot write to pipe: message is too large; bytes=", size, " max=", kMaxPipeMessageBytes));
  }
  std::string frame;
  frame.reserve(kLengthBytes + size);
  for (size_t i = 0; i < kLengthBytes; ++i) {
    frame.push_back(static_cast<char>((size >> (8 * i)) & 0xFF));
  }
  if (!message.AppendToString(&frame)) {
    return absl::InvalidArgumentError("cannot write to pipe: message does not serialize");
  }
  return frame;
}

absl::StatusOr<std::optional<std::string>> FrameDecoder::Next() {
  if (buffer_.size() < kLengthBytes) return std::optional<std::string>();
  const uint32_t length = DecodeLength(buffer_);
  if (length > kMaxPipeMessageBytes) {
    return absl::DataLossError(absl::StrCat("cannot read from pipe: message is too large; bytes=",
                                            length, " max=", kMaxPipeMessageBytes));
  }
  if (buffer_.size() < kLengthBytes + length) return std::optional<std::string>();
  std::string payload = buffer_.substr(kLengthBytes, length);
  buffer_.erase(0, kLengthBytes + length);
  return std::optional<std::string>(std::move(payload));
}

absl::StatusOr<std::optional<std::string>> MessageReader::ReadPayload(absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(std::optional<std::string> payload, decoder_.Next());
    if (payload.has_value()) return payload;
    DISTILL_ASSIGN_OR_RETURN(const bool ready, WaitReady(descriptor_, POLLIN, clock, deadline));
    if (!ready) return std::optional<std::string>();
    char bytes[kReadBytes];
    const ssize_t count = read(descriptor_, bytes, sizeof(bytes));
    if (count > 0) {
      decoder_.Append(absl::string_view(bytes, static_cast<size_t>(count)));
    } else if (count == 0) {
      if (decoder_.AtBoundary()) return absl::OutOfRangeError("end of pipe");
      return absl::DataLossError("cannot read from pipe: it ended inside a message");
    } else if (errno != EINTR && errno != EAGAIN) {
      return absl::InternalError(absl::StrCat("cannot read from pipe: ", std::strerror(errno)));
    }
  }
}

absl::Status MessageWriter::Write(const google::protobuf::MessageLite& message,
                                  absl::Duration timeout) {
  DISTILL_ASSIGN_OR_RETURN(const std::string frame, EncodeFrame(message));
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  size_t written = 0;
  while (written < frame.size()) {
    DISTILL_ASSIGN_OR_RETURN(const bool ready, WaitReady(descriptor_, POLLOUT, clock, deadline));
    if (!ready) return absl::DeadlineExceededError("cannot write to pipe: the peer does not read");
    // A pipe that is ready takes PIPE_BUF bytes without blocking, whatever its flags.
    const size_t piece = std::min<size_t>(frame.size() - written, PIPE_BUF);
    const ssize_t count = write(descriptor_, frame.data() + written, piece);
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno == EPIPE) {
      return absl::UnavailableError("cannot write to pipe: the peer has closed it");
    } else if (errno != EINTR && errno != EAGAIN) {
      return absl::InternalError(absl::StrCat("cannot write to pipe: ", std::strerror(errno)));
    }
  }
  return absl::OkStatus();
}

}  // namespace distill::worker
