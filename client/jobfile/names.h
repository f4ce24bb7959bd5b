// Names as people type them: short enum names, and the nearest valid name to a mistyped one.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace distill::client {

// Returns "batch_mean" for KD_DIVISOR_BATCH_MEAN: the name without its type, in lower case.
std::string ShortEnumName(const google::protobuf::EnumValueDescriptor& value);

// Returns the short names of all values but the unspecified one, in order of declaration.
std::vector<std::string> ShortEnumNames(const google::protobuf::EnumDescriptor& type);

// Finds a value by its short name or by its full name; null when there is none, and for the
// unspecified value.
const google::protobuf::EnumValueDescriptor* FindEnumValue(
    const google::protobuf::EnumDescriptor& type, absl::string_view name);

// Returns the number of insertions, deletions, replacements and swaps of neighbours between two
// words (optimal string alignment).
int EditDistance(absl::string_view a, absl::string_view b);

// Returns the candidate nearest to `word`, or "" when none is near enough to be what was meant.
std::string NearestName(absl::string_view word, const std::vector<std::string>& candidates);

// Returns `; did you mean "x"?`, or what may be written instead when nothing is near:
// `; the <nouns> are a, b, c`.
std::string Suggestion(absl::string_view word, const std::vector<std::string>& candidates,
                       absl::string_view nouns);

}  // namespace distill::client
