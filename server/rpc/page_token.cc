#include "server/rpc/page_token.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/status_macros.h"

namespace distill::server {
namespace {

// Part of every token, so that a later form can be told from this one.
constexpr absl::string_view kForm = "1.";
constexpr size_t kScopeDigits = 16;

std::string Prefix(const PageScope& scope) {
  const std::string hex =
      Digest::OfBytes(absl::StrCat(scope.list, "/", scope.filter)).str().substr(7, kScopeDigits);
  return absl::StrCat(kForm, hex, ".");
}

absl::Status Invalid(const PageScope& scope) {
  ErrorDetails details;
  details.reason = reason::kPageTokenInvalid;
  details.fields = {{"", "page_token",
                     "got an unknown token, want the next_page_token of an earlier answer to the "
                     "same request"}};
  return WithDetails(
      absl::InvalidArgumentError(absl::StrCat("cannot list ", scope.list,
                                              ": page_token: ", details.fields[0].description)),
      details);
}

}  // namespace

std::string MakePageToken(const PageScope& scope, absl::string_view position) {
  return absl::WebSafeBase64Escape(absl::StrCat(Prefix(scope), position));
}

absl::StatusOr<std::string> ReadPageToken(const PageScope& scope, absl::string_view token) {
  if (token.empty()) return std::string();
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text)) return Invalid(scope);
  absl::string_view position = text;
  if (!absl::ConsumePrefix(&position, Prefix(scope)) || position.empty()) return Invalid(scope);
  return std::string(position);
}

absl::StatusOr<int64_t> ReadNumericPageToken(const PageScope& scope, absl::string_view token,
                                             int64_t first) {
  DISTILL_ASSIGN_OR_RETURN(const std::string position, ReadPageToken(scope, token));
  if (position.empty()) return first;
  int64_t value = 0;
  if (!absl::SimpleAtoi(position, &value) || value < 0) return Invalid(scope);
  return value;
}

}  // namespace distill::server
