// Distinct types for distinct identifiers, so that a task id cannot be passed for a job id.
#pragma once

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace distill {

// A text whose parts between slashes pass IsValidIdText once validated; Tag only tells types apart.
template <typename Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string text) : text_(std::move(text)) {}
  explicit StrongId(absl::string_view text) : text_(text) {}
  explicit StrongId(const char* text) : text_(text) {}

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }

  friend bool operator==(const StrongId& a, const StrongId& b) { return a.text_ == b.text_; }
  friend bool operator!=(const StrongId& a, const StrongId& b) { return a.text_ != b.text_; }
  friend bool operator<(const StrongId& a, const StrongId& b) { return a.text_ < b.text_; }
  template <typename H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.text_);
  }

 private:
  std::string text_;
};

using DatasetName = StrongId<struct DatasetNameTag>;  // "tiny-imagenet"
using ProjectId = StrongId<struct ProjectIdTag>;      // "default"
using JobId = StrongId<struct JobIdTag>;              // "job-7f3a9c01"
using TaskId = StrongId<struct TaskIdTag>;            // "job-7f3a9c01/distill-module-2"
using WorkerId = StrongId<struct WorkerIdTag>;        // "host-a-5d21"
using LeaseId = StrongId<struct LeaseIdTag>;          // 32 hex digits, random
using RequestId = StrongId<struct RequestIdTag>;      // chosen by the caller of a mutating RPC

// Tells whether `text` may serve as part of an id or path: 1 to 128 of [A-Za-z0-9._-], and neither
// "." nor "..".
bool IsValidIdText(absl::string_view text);

}  // namespace distill
