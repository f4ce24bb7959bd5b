// The four steps of the signature in order: canonical request, string to sign, signing key, HMAC.
#include "storage/blob/s3_signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/digest.h"

namespace distill::storage {
namespace {

constexpr absl::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string Hmac(absl::string_view key, absl::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int length = 0;
  const unsigned char* const made =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  DISTILL_CHECK(made != nullptr, "OpenSSL has HMAC-SHA-256");
  return std::string(reinterpret_cast<const char*>(out.data()), length);
}

bool IsUnreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

// Trims, and folds runs of spaces into one.
std::string CanonicalValue(absl::string_view value) {
  std::string folded(value);
  absl::RemoveExtraAsciiWhitespace(&folded);
  return folded;
}

// Lower-case names with canonical values, sorted by name, `host` included.
S3Pairs CanonicalHeaders(const S3Request& request) {
  S3Pairs headers = {{"host", request.host}};
  for (const auto& [name, value] : request.headers) {
    headers.emplace_back(absl::AsciiStrToLower(name), CanonicalValue(value));
  }
  std::stable_sort(headers.begin(), headers.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // A header that comes twice is one, with its values in order.
  S3Pairs merged;
  for (auto& header : headers) {
    if (!merged.empty() && merged.back().first == header.first) {
      absl::StrAppend(&merged.back().second, ",", header.second);
    } else {
      merged.push_back(std::move(header));
    }
  }
  return merged;
}

std::string NamesOf(const S3Pairs& canonical_headers) {
  std::string names;
  for (const auto& header : canonical_headers) {
    absl::StrAppend(&names, names.empty() ? "" : ";", header.first);
  }
  return names;
}

std::string Stamp(absl::Time time) {
  return absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone());
}

std::string ScopeText(const S3Scope& scope) {
  return absl::StrCat(absl::FormatTime("%Y%m%d", scope.time, absl::UTCTimeZone()), "/",
                      scope.region, "/", scope.service, "/aws4_request");
}

std::string Signature(const S3Request& request, absl::string_view payload_hash,
                      const S3Credentials& credentials, const S3Scope& scope) {
  const Digest canonical = Digest::OfBytes(CanonicalRequest(request, payload_hash));
  const std::string to_sign = absl::StrCat(kAlgorithm, "\n", Stamp(scope.time), "\n",
                                           ScopeText(scope), "\n", canonical.hex());
  std::string key = Hmac(absl::StrCat("AWS4", credentials.secret_access_key),
                         absl::FormatTime("%Y%m%d", scope.time, absl::UTCTimeZone()));
  key = Hmac(key, scope.region);
  key = Hmac(key, scope.service);
  key = Hmac(key, "aws4_request");
  return absl::BytesToHexString(Hmac(key, to_sign));
}

}  // namespace

std::string UriEncode(absl::string_view text, bool keep_slash) {
  constexpr absl::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c) || (c == '/' && keep_slash)) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(kHex[byte >> 4]);
    encoded.push_back(kHex[byte & 15]);
  }
  return encoded;
}

std::string CanonicalQuery(const S3Pairs& query) {
  S3Pairs encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(UriEncode(name, false), UriEncode(value, false));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    absl::StrAppend(&text, text.empty() ? "" : "&", name, "=", value);
  }
  return text;
}

std::string CanonicalRequest(const S3Request& request, absl::string_view payload_hash) {
  const S3Pairs headers = CanonicalHeaders(request);
  std::string text = absl::StrCat(request.method, "\n", UriEncode(request.path, true), "\n",
                                  CanonicalQuery(request.query), "\n");
  for (const auto& [name, value] : headers) absl::StrAppend(&text, name, ":", value, "\n");
  absl::StrAppend(&text, "\n", NamesOf(headers), "\n", payload_hash);
  return text;
}

S3Pairs SignedHeaders(const S3Request& request, absl::string_view payload_hash,
                      const S3Credentials& credentials, const S3Scope& scope) {
  S3Request complete = request;
  complete.headers.emplace_back("x-amz-date", Stamp(scope.time));
  if (!credentials.session_token.empty()) {
    complete.headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  S3Pairs headers = complete.headers;
  headers.emplace_back(
      "Authorization",
      absl::StrCat(kAlgorithm, " Credential=", credentials.access_key_id, "/", ScopeText(scope),
                   ", SignedHeaders=", NamesOf(CanonicalHeaders(complete)),
                   ", Signature=", Signature(complete, payload_hash, credentials, scope)));
  return headers;
}

S3Pairs PresignedQuery(const S3Request& request, absl::Duration lifetime,
                       const S3Credentials& credentials, const S3Scope& scope) {
  S3Request complete = request;
  complete.query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  complete.query.emplace_back("X-Amz-Credential",
                              absl::StrCat(credentials.access_key_id, "/", ScopeText(scope)));
  complete.query.emplace_back("X-Amz-Date", Stamp(scope.time));
  complete.query.emplace_back("X-Amz-Expires", absl::StrCat(absl::ToInt64Seconds(lifetime)));
  if (!credentials.session_token.empty()) {
    complete.query.emplace_back("X-Amz-Security-Token", credentials.session_token);
  }
  complete.query.emplace_back("X-Amz-SignedHeaders", NamesOf(CanonicalHeaders(complete)));
  S3Pairs query = complete.query;
  query.emplace_back("X-Amz-Signature", Signature(complete, kUnsignedPayload, credentials, scope));
  return query;
}

}  // namespace distill::storage
