// What an error says to programs, beside its code and message: a reason, which fields were wrong,
// which bound was met, when to try again. Details travel inside absl::Status as a payload, so every
// layer can add some and none needs to know how they go over the wire (proto/status does).
//
//   return WithReason(absl::FailedPreconditionError("cannot use lease: ..."), reason::kLeaseLost);
//
// The variables of the message need not be repeated: its "key=value" tail becomes metadata.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill {

// One thing that is wrong. `type` is used with preconditions only.
struct ErrorViolation {
  std::string type;
  std::string subject;
  std::string description;

  bool operator==(const ErrorViolation& other) const {
    return type == other.type && subject == other.subject && description == other.description;
  }
};

// A value. All parts may be empty.
struct ErrorDetails {
  // One of error_reasons.h.
  std::string reason;
  std::map<std::string, std::string> metadata;
  std::vector<ErrorViolation> fields;  // `subject` is the path.
  std::vector<ErrorViolation> quotas;
  std::vector<ErrorViolation> preconditions;
  std::string resource_type;
  std::string resource_name;
  std::optional<absl::Duration> retry_delay;

  bool empty() const;
};

// Returns the details of `status`; empty without any.
ErrorDetails DetailsOf(const absl::Status& status);
// Returns the reason of `status`; "" without one.
std::string ReasonOf(const absl::Status& status);

// Each returns `status` with something added to its details; OK unchanged.
absl::Status WithDetails(absl::Status status, const ErrorDetails& details);  // Replaces all.
absl::Status WithReason(absl::Status status, absl::string_view reason);
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
absl::Status WithQuota(absl::Status status, absl::string_view subject,
                       absl::string_view description);
absl::Status WithPrecondition(absl::Status status, absl::string_view type,
                              absl::string_view subject, absl::string_view description);
absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name);
// For a bound on work in hand, which passes within seconds: reason QUEUE_FULL, retry after one.
absl::Status QueueFull(absl::Status status, absl::string_view bound);
// Puts `prefix` in front of the path of every field.
absl::Status WithFieldPrefix(absl::Status status, absl::string_view prefix);

// Returns the "key=value" pairs at the end of a message: "cannot x: y; task=a attempt=2".
std::map<std::string, std::string> MetadataOfMessage(absl::string_view message);

}  // namespace distill
