#include "worker/agent/attempt_log.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace distill::worker {
namespace {

constexpr size_t kMaxLastLineChars = 500;

}  // namespace

void AttemptLog::Append(absl::string_view bytes) {
  MutexLock lock(mu_);
  const auto room = static_cast<size_t>(config_.max_head_bytes) - head_.size();
  const size_t taken = std::min(room, bytes.size());
  head_.append(bytes.data(), taken);
  bytes.remove_prefix(taken);
  tail_.append(bytes.data(), bytes.size());
  const auto max_tail = static_cast<size_t>(config_.max_tail_bytes);
  // Twice the bound, so that the cut is not made for every line.
  if (tail_.size() > 2 * max_tail) {
    const size_t cut = tail_.size() - max_tail;
    tail_.erase(0, cut);
    dropped_bytes_ += static_cast<int64_t>(cut);
  }
}

std::string AttemptLog::LastLine() const {
  MutexLock lock(mu_);
  absl::string_view text = absl::StripAsciiWhitespace(tail_);
  if (text.empty()) text = absl::StripAsciiWhitespace(head_);
  const size_t newline = text.rfind('\n');
  if (newline != absl::string_view::npos) text.remove_prefix(newline + 1);
  return std::string(text.substr(0, kMaxLastLineChars));
}

std::string AttemptLog::Read(int64_t offset, size_t most) const {
  MutexLock lock(mu_);
  const auto start = static_cast<size_t>(offset);
  return start < head_.size() ? head_.substr(start, most) : std::string();
}

std::string AttemptLog::Text() const {
  MutexLock lock(mu_);
  if (dropped_bytes_ == 0) return absl::StrCat(head_, tail_);
  return absl::StrCat(head_, "\n[", dropped_bytes_, " bytes left out]\n", tail_);
}

}  // namespace distill::worker
