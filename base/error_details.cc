#include "base/error_details.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/error_reasons.h"

namespace distill {
namespace {

// Never leaves the process: proto/status translates it.
constexpr absl::string_view kPayload = "distillery/details";

// A payload is a list of texts, each after its length.
class TextWriter {
 public:
  void Add(absl::string_view text) { absl::StrAppend(&bytes_, text.size(), ":", text); }
  void AddCount(size_t count) { Add(absl::StrCat(count)); }
  void Add(const std::vector<ErrorViolation>& violations) {
    AddCount(violations.size());
    for (const ErrorViolation& violation : violations) {
      Add(violation.type);
      Add(violation.subject);
      Add(violation.description);
    }
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class TextReader {
 public:
  explicit TextReader(std::string bytes) : bytes_(std::move(bytes)), rest_(bytes_) {}

  std::string Next() {
    const size_t colon = rest_.find(':');
    size_t size = 0;
    DISTILL_CHECK(colon != absl::string_view::npos &&
                      absl::SimpleAtoi(rest_.substr(0, colon), &size) &&
                      rest_.size() - colon - 1 >= size,
                  "details of an error are written by TextWriter only");
    std::string text(rest_.substr(colon + 1, size));
    rest_.remove_prefix(colon + 1 + size);
    return text;
  }
  size_t NextCount() {
    size_t count = 0;
    DISTILL_CHECK(absl::SimpleAtoi(Next(), &count), "a count is a number");
    return count;
  }
  std::vector<ErrorViolation> NextViolations() {
    std::vector<ErrorViolation> violations(NextCount());
    for (ErrorViolation& violation : violations) {
      violation.type = Next();
      violation.subject = Next();
      violation.description = Next();
    }
    return violations;
  }

 private:
  const std::string bytes_;
  absl::string_view rest_;
};

template <typename Change>
absl::Status Changed(absl::Status status, Change change) {
  if (status.ok()) return status;
  ErrorDetails details = DetailsOf(status);
  change(details);
  return WithDetails(std::move(status), details);
}

bool IsKey(absl::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '_') return false;
  }
  return true;
}

}  // namespace

bool ErrorDetails::empty() const {
  return reason.empty() && metadata.empty() && fields.empty() && quotas.empty() &&
         preconditions.empty() && resource_type.empty() && resource_name.empty() &&
         !retry_delay.has_value();
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return details;
  TextReader reader{std::string(*payload)};
  details.reason = reader.Next();
  for (size_t left = reader.NextCount(); left > 0; --left) {
    std::string key = reader.Next();
    details.metadata[std::move(key)] = reader.Next();
  }
  details.fields = reader.NextViolations();
  details.quotas = reader.NextViolations();
  details.preconditions = reader.NextViolations();
  details.resource_type = reader.Next();
  details.resource_name = reader.Next();
  int64_t milliseconds = 0;
  if (absl::SimpleAtoi(reader.Next(), &milliseconds)) {
    details.retry_delay = absl::Milliseconds(milliseconds);
  }
  return details;
}

std::string ReasonOf(const absl::Status& status) { return DetailsOf(status).reason; }

absl::Status WithDetails(absl::Status status, const ErrorDetails& details) {
  if (status.ok()) return status;
  TextWriter writer;
  writer.Add(details.reason);
  writer.AddCount(details.metadata.size());
  for (const auto& [key, value] : details.metadata) {
    writer.Add(key);
    writer.Add(value);
  }
  writer.Add(details.fields);
  writer.Add(details.quotas);
  writer.Add(details.preconditions);
  writer.Add(details.resource_type);
  writer.Add(details.resource_name);
  writer.Add(details.retry_delay.has_value()
                 ? absl::StrCat(absl::ToInt64Milliseconds(*details.retry_delay))
                 : "");
  status.SetPayload(kPayload, absl::Cord(writer.Take()));
  return status;
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  return Changed(std::move(status),
                 [&](ErrorDetails& details) { details.reason = std::string(reason); });
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  return Changed(std::move(status), [&](ErrorDetails& details) { details.retry_delay = delay; });
}

absl::Status WithQuota(absl::Status status, absl::string_view subject,
                       absl::string_view description) {
  return Changed(std::move(status), [&](ErrorDetails& details) {
    details.quotas.push_back({"", std::string(subject), std::string(description)});
  });
}

absl::Status WithPrecondition(absl::Status status, absl::string_view type,
                              absl::string_view subject, absl::string_view description) {
  return Changed(std::move(status), [&](ErrorDetails& details) {
    details.preconditions.push_back(
        {std::string(type), std::string(subject), std::string(description)});
  });
}

absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name) {
  return Changed(std::move(status), [&](ErrorDetails& details) {
    details.resource_type = std::string(type);
    details.resource_name = std::string(name);
  });
}

absl::Status QueueFull(absl::Status status, absl::string_view bound) {
  return Changed(std::move(status), [&](ErrorDetails& details) {
    details.reason = reason::kQueueFull;
    details.quotas.push_back({"", "server", std::string(bound)});
    details.retry_delay = absl::Seconds(1);
  });
}

absl::Status WithFieldPrefix(absl::Status status, absl::string_view prefix) {
  return Changed(std::move(status), [&](ErrorDetails& details) {
    for (ErrorViolation& field : details.fields) {
      field.subject = absl::StrCat(prefix, field.subject);
    }
  });
}

std::map<std::string, std::string> MetadataOfMessage(absl::string_view message) {
  std::map<std::string, std::string> metadata;
  const size_t tail = message.rfind("; ");
  if (tail == absl::string_view::npos) return metadata;
  for (const absl::string_view word : absl::StrSplit(message.substr(tail + 2), ' ')) {
    const size_t equals = word.find('=');
    // Prose after the semicolon: a remedy, not variables.
    if (equals == absl::string_view::npos || !IsKey(word.substr(0, equals))) return {};
    metadata[std::string(word.substr(0, equals))] = std::string(word.substr(equals + 1));
  }
  return metadata;
}

}  // namespace distill
