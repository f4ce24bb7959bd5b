// Reads the XML with which S3 answers. Only the few elements that are needed, and no more of XML
// than S3 uses: elements and escaped text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill::storage {

struct S3Object {
  std::string key;
  uint64_t size_bytes = 0;
};

struct S3Page {
  std::vector<S3Object> objects;
  std::string next_token;  // Empty: that was all.
};

struct S3Multipart {
  std::string key;
  std::string id;
  absl::Time begin_time;
};

struct S3Error {
  std::string code;  // "NoSuchKey"; empty when the body is none of S3's.
  std::string message;
};

// Returns the text of the first element of that name, unescaped; "" when there is none.
std::string XmlText(absl::string_view xml, absl::string_view name);
// Returns what is inside each element of that name, as it stands.
std::vector<absl::string_view> XmlElements(absl::string_view xml, absl::string_view name);
std::string XmlEscape(absl::string_view text);

// kInternal when the server's answer is not what S3 documents.
absl::StatusOr<S3Page> ParseListing(absl::string_view xml);
std::vector<S3Multipart> ParseMultiparts(absl::string_view xml);
S3Error ParseError(absl::string_view xml);

}  // namespace distill::storage
