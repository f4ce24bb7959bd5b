// Matches the classes of one data set with those of another by name, for test sets that hold only
// some of the classes that a model knows: ImageNet-R, Tiny-ImageNet-R.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distill::data {

// Returns for each name in `wanted`, in order, its place in `known`: the columns of a model's
// logits to keep when it is tested on the classes `wanted`. kInvalidArgument when either list is
// empty, a name stands twice in a list, or a wanted name is not known; the message gives examples.
absl::StatusOr<std::vector<int>> FindClasses(absl::Span<const std::string> known,
                                             absl::Span<const std::string> wanted);

// The 62 WordNet ids that Tiny-ImageNet shares with ImageNet-R, sorted: the classes of
// Tiny-ImageNet-R.
absl::Span<const absl::string_view> TinyImageNetRClasses();

}  // namespace distill::data
