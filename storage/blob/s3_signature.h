// AWS Signature Version 4, as S3 and its like expect it: a pure function of a request, a key and a
// time. Two forms: headers that are added to a request, and a URL that carries its signature
// itself. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill::storage {

// Never logged; there is no way to print one.
struct S3Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // Empty but for temporary credentials.
};

using S3Pairs = std::vector<std::pair<std::string, std::string>>;

// A request without its body. Path and query are plain text, not percent-encoded.
struct S3Request {
  std::string method;  // "GET"
  std::string host;    // With ":port" when it is not the scheme's own.
  std::string path;    // Begins with "/".
  S3Pairs query;
  S3Pairs headers;  // To be signed, without `host`; names in any case.
};

// What a signature is good for.
struct S3Scope {
  std::string region;
  std::string service = "s3";
  absl::Time time;
};

inline constexpr absl::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

// Percent-encodes all but letters, digits and "-._~"; also "/" unless `keep_slash`.
std::string UriEncode(absl::string_view text, bool keep_slash);
// The query as it stands in a URL and in what is signed: encoded and sorted, without "?".
std::string CanonicalQuery(const S3Pairs& query);

// What is signed, for tests and for people who look for a difference.
std::string CanonicalRequest(const S3Request& request, absl::string_view payload_hash);

// Returns the headers that make `request` a signed one: all of its own, x-amz-date,
// x-amz-security-token if there is one, and Authorization. `payload_hash` is the hex SHA-256 of the
// body, or kUnsignedPayload; whoever wants the server to check it adds it to the headers too.
S3Pairs SignedHeaders(const S3Request& request, absl::string_view payload_hash,
                      const S3Credentials& credentials, const S3Scope& scope);

// Returns the query of a URL that anyone may use until `lifetime` has passed: the request's own,
// and the signature. The body is not covered.
S3Pairs PresignedQuery(const S3Request& request, absl::Duration lifetime,
                       const S3Credentials& credentials, const S3Scope& scope);

}  // namespace distill::storage
