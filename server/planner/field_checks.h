// Collects what is wrong with a request, field by field, so that a caller sees all of it at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace distill::server {

// A value: one per request. Not thread-safe.
class FieldChecks {
 public:
  // Records "`path`: got `got`, want `want`; `remedy`". An empty remedy is left out.
  void Fail(absl::string_view path, const absl::AlphaNum& got, const absl::AlphaNum& want,
            absl::string_view remedy = "");
  // Requires low <= value <= high. NaN is never in range.
  void InRange(absl::string_view path, int64_t value, int64_t low, int64_t high,
               absl::string_view remedy = "");
  void InRange(absl::string_view path, double value, double low, double high,
               absl::string_view remedy = "");
  // Requires low < value <= high.
  void AboveUpTo(absl::string_view path, double value, double low, double high);
  // Requires low <= value < high.
  void FromBelow(absl::string_view path, double value, double low, double high);
  // Requires 1 to 128 of [A-Za-z0-9._-].
  void IsIdText(absl::string_view path, absl::string_view value);
  // Requires "sha256:" and 64 hex digits.
  void IsDigest(absl::string_view path, absl::string_view value);

  bool ok() const { return failures_.empty(); }
  // OK, or kInvalidArgument "cannot <action>: <failure>; <failure>..." with at most 10 of them. The
  // details (base/error_details.h) name up to 100 fields.
  absl::Status ToStatus(absl::string_view action) const;

 private:
  struct Failure {
    std::string path;
    std::string description;
  };
  std::vector<Failure> failures_;
};

}  // namespace distill::server
