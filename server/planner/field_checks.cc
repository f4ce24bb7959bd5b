#include "server/planner/field_checks.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/ids.h"

namespace distill::server {
namespace {

constexpr size_t kMostFailuresShown = 10;
constexpr size_t kMostFailuresInDetails = 100;
constexpr size_t kLongestValueShown = 80;

std::string Number(double value) { return absl::StrFormat("%.9g", value); }

std::string Quoted(absl::string_view value) {
  const bool cut = value.size() > kLongestValueShown;
  return absl::StrCat("\"", absl::CHexEscape(value.substr(0, kLongestValueShown)),
                      cut ? "\"..." : "\"");
}

}  // namespace

void FieldChecks::Fail(absl::string_view path, const absl::AlphaNum& got,
                       const absl::AlphaNum& want, absl::string_view remedy) {
  std::string description = absl::StrCat("got ", got, ", want ", want);
  if (!remedy.empty()) absl::StrAppend(&description, "; ", remedy);
  failures_.push_back({std::string(path), std::move(description)});
}

void FieldChecks::InRange(absl::string_view path, int64_t value, int64_t low, int64_t high,
                          absl::string_view remedy) {
  if (value < low || value > high) Fail(path, value, absl::StrCat(low, " to ", high), remedy);
}

void FieldChecks::InRange(absl::string_view path, double value, double low, double high,
                          absl::string_view remedy) {
  if (!(value >= low && value <= high)) {
    Fail(path, Number(value), absl::StrCat(Number(low), " to ", Number(high)), remedy);
  }
}

void FieldChecks::AboveUpTo(absl::string_view path, double value, double low, double high) {
  if (!(value > low && value <= high)) {
    Fail(path, Number(value), absl::StrCat("above ", Number(low), ", at most ", Number(high)));
  }
}

void FieldChecks::FromBelow(absl::string_view path, double value, double low, double high) {
  if (!(value >= low && value < high)) {
    Fail(path, Number(value), absl::StrCat("at least ", Number(low), ", below ", Number(high)));
  }
}

void FieldChecks::IsIdText(absl::string_view path, absl::string_view value) {
  if (!IsValidIdText(value)) Fail(path, Quoted(value), "1 to 128 of [A-Za-z0-9._-]");
}

void FieldChecks::IsDigest(absl::string_view path, absl::string_view value) {
  if (!Digest::Parse(value).ok()) {
    Fail(path, Quoted(value), "\"sha256:\" and 64 lower-case hex digits");
  }
}

absl::Status FieldChecks::ToStatus(absl::string_view action) const {
  if (failures_.empty()) return absl::OkStatus();
  ErrorDetails details;
  std::vector<std::string> shown;
  for (const Failure& failure : failures_) {
    if (details.fields.size() == kMostFailuresInDetails) break;
    details.fields.push_back({"", failure.path, failure.description});
    if (shown.size() == kMostFailuresShown) continue;
    shown.push_back(absl::StrCat(failure.path, ": ", failure.description));
  }
  if (shown.size() < failures_.size()) {
    shown.push_back(absl::StrCat("and ", failures_.size() - shown.size(), " more"));
  }
  return WithDetails(
      absl::InvalidArgumentError(absl::StrCat("cannot ", action, ": ", absl::StrJoin(shown, "; "))),
      details);
}

}  // namespace distill::server
