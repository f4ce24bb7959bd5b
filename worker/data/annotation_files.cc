#include "worker/data/annotation_files.h"

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/image_files.h"

namespace distill::data {
namespace {

constexpr size_t kMostShown = 100;

absl::Status BadLine(absl::string_view file, int64_t line, absl::string_view cause,
                     absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read data set: ", cause, "; file=", file,
                                                 " line=", line,
                                                 " text=", text.substr(0, kMostShown)));
}

// Calls `visit(number, text)` for each line that is not empty, numbers counting from 1.
absl::Status ForEachLine(absl::string_view text,
                         const std::function<absl::Status(int64_t, absl::string_view)>& visit) {
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripTrailingAsciiWhitespace(line);
    if (!line.empty()) DISTILL_RETURN_IF_ERROR(visit(number, line));
  }
  return absl::OkStatus();
}

// A file of lines "<id> <value>" as a map; ids are positive and stand once.
absl::StatusOr<std::map<int64_t, std::string>> ParseIds(absl::string_view file,
                                                        absl::string_view text) {
  std::map<int64_t, std::string> values;
  DISTILL_RETURN_IF_ERROR(ForEachLine(text, [&](int64_t number, absl::string_view line) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    int64_t id = 0;
    if (!absl::SimpleAtoi(parts.first, &id) || id < 1 || parts.second.empty()) {
      return BadLine(file, number, "want a number from 1 on, a space and a value", line);
    }
    if (!values.emplace(id, std::string(parts.second)).second) {
      return BadLine(file, number, "the number stands there twice", line);
    }
    return absl::OkStatus();
  }));
  if (values.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: the file names nothing; file=", file));
  }
  return values;
}

absl::Status Unmatched(absl::string_view file, int64_t id) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read data set: images.txt and ", file,
                                                 " do not name the same images; id=", id));
}

}  // namespace

absl::StatusOr<std::vector<AnnotatedImage>> ParseTinyImageNetAnnotations(
    absl::string_view text, const std::vector<std::string>& class_names) {
  constexpr absl::string_view kFile = "val_annotations.txt";
  std::vector<AnnotatedImage> images;
  std::unordered_set<std::string> seen;
  DISTILL_RETURN_IF_ERROR(ForEachLine(text, [&](int64_t number, absl::string_view line) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('\t', 2));
    if (parts.size() < 2) return BadLine(kFile, number, "want a file, a tab and a class", line);
    if (!IsPathBelow(parts[0])) return BadLine(kFile, number, "the path leads elsewhere", line);
    const auto place = std::lower_bound(class_names.begin(), class_names.end(), parts[1]);
    if (place == class_names.end() || *place != parts[1]) {
      return BadLine(kFile, number, "the class has no folder in train/", line);
    }
    if (!seen.insert(std::string(parts[0])).second) {
      return BadLine(kFile, number, "the file stands there twice", line);
    }
    images.push_back(
        {std::string(parts[0]), static_cast<int>(std::distance(class_names.begin(), place))});
    return absl::OkStatus();
  }));
  if (images.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: the file names no image; file=", kFile));
  }
  return images;
}

absl::StatusOr<CubImages> ParseCubFiles(absl::string_view images, absl::string_view labels,
                                        absl::string_view split) {
  DISTILL_ASSIGN_OR_RETURN(const auto paths, ParseIds("images.txt", images));
  DISTILL_ASSIGN_OR_RETURN(const auto label_of, ParseIds("image_class_labels.txt", labels));
  DISTILL_ASSIGN_OR_RETURN(const auto split_of, ParseIds("train_test_split.txt", split));
  if (label_of.size() > paths.size()) {
    return Unmatched("image_class_labels.txt", label_of.rbegin()->first);
  }
  if (split_of.size() > paths.size()) {
    return Unmatched("train_test_split.txt", split_of.rbegin()->first);
  }
  CubImages found;
  for (const auto& [id, path] : paths) {
    const auto label_text = label_of.find(id);
    if (label_text == label_of.end()) return Unmatched("image_class_labels.txt", id);
    const auto split_text = split_of.find(id);
    if (split_text == split_of.end()) return Unmatched("train_test_split.txt", id);
    int label = 0;
    if (!absl::SimpleAtoi(label_text->second, &label) || label < 1 || label > kMostClasses) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: a label must be 1 to ", kMostClasses,
                       "; file=image_class_labels.txt id=", id,
                       " label=", absl::string_view(label_text->second).substr(0, kMostShown)));
    }
    if (!IsPathBelow(path)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: the path leads elsewhere; file=images.txt id=", id,
                       " path=", absl::string_view(path).substr(0, kMostShown)));
    }
    if (split_text->second != "0" && split_text->second != "1") {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot read data set: want 1 (train) or 0 (test); file=train_test_split.txt id=", id,
          " got=", absl::string_view(split_text->second).substr(0, kMostShown)));
    }
    found.classes = std::max(found.classes, label);
    auto& images_of_split = split_text->second == "1" ? found.train : found.test;
    images_of_split.push_back({path, label - 1});
  }
  return found;
}

absl::StatusOr<std::vector<std::string>> ParseCubClasses(absl::string_view text) {
  DISTILL_ASSIGN_OR_RETURN(const auto names, ParseIds("classes.txt", text));
  std::vector<std::string> ordered;
  for (const auto& [label, name] : names) {
    ordered.push_back(name);
    if (label == static_cast<int64_t>(ordered.size())) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: labels must be 1, 2, 3 and so on; file=classes.txt "
                     "missing=",
                     ordered.size()));
  }
  return ordered;
}

absl::StatusOr<std::vector<std::string>> ParseClassNames(absl::string_view text) {
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  DISTILL_RETURN_IF_ERROR(ForEachLine(text, [&](int64_t number, absl::string_view line) {
    names.emplace_back(line);
    if (seen.insert(names.back()).second) return absl::OkStatus();
    return BadLine("class names", number, "the name stands there twice", line);
  }));
  return names;
}

}  // namespace distill::data
