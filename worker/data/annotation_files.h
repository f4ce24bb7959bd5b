// Reads the text files by which Tiny-ImageNet and CUB-200-2011 say what is in which image. They
// come from an archive somebody else packed, so nothing in them is trusted, least of all the paths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::data {

struct AnnotatedImage {
  std::string path;  // Relative, and below the folder that it is relative to.
  int label = 0;
};

// val_annotations.txt of Tiny-ImageNet: lines "<file>\t<class>\t..."; what follows is a bounding
// box and is not read. Labels are places in `class_names`, which is sorted. kInvalidArgument names
// the line: no such class, a path that leads elsewhere, a file named twice, or no line at all.
absl::StatusOr<std::vector<AnnotatedImage>> ParseTinyImageNetAnnotations(
    absl::string_view text, const std::vector<std::string>& class_names);

struct CubImages {
  std::vector<AnnotatedImage> train;
  std::vector<AnnotatedImage> test;
  int classes = 0;  // Largest label, counted from 1.
};

// images.txt ("<id> <path>"), image_class_labels.txt ("<id> <label from 1>") and
// train_test_split.txt ("<id> <1: train, 0: test>") of CUB-200-2011, which must name the same ids.
// Images come in the order of their ids. kInvalidArgument names the file and the line.
absl::StatusOr<CubImages> ParseCubFiles(absl::string_view images, absl::string_view labels,
                                        absl::string_view split);

// classes.txt of CUB-200-2011 ("<label from 1> <name>"), in order. kInvalidArgument as above.
absl::StatusOr<std::vector<std::string>> ParseCubClasses(absl::string_view text);

// A file with one class name a line, in order of label; none may stand twice.
absl::StatusOr<std::vector<std::string>> ParseClassNames(absl::string_view text);

}  // namespace distill::data
