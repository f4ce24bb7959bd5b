#include "worker/data/image_files.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/random_access_file.h"

namespace distill::data {

absl::Status NameTable::Add(absl::string_view name, int label) {
  const uint64_t bytes =
      names_.size() + name.size() + (labels_.size() + 1) * (sizeof(uint64_t) + sizeof(int32_t));
  if (bytes > max_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read data set: the names of its images exceed the memory for them; images=",
        labels_.size(), " limit_bytes=", max_bytes_));
  }
  names_.append(name.data(), name.size());
  ends_.push_back(names_.size());
  labels_.push_back(label);
  return absl::OkStatus();
}

absl::string_view NameTable::Name(int64_t index) const {
  const size_t i = static_cast<size_t>(index);
  const uint64_t start = i == 0 ? 0 : ends_[i - 1];
  return absl::string_view(names_).substr(start, ends_[i] - start);
}

absl::Status CheckClasses(const NameTable& table, int classes,
                          const std::vector<std::string>& class_names, absl::string_view what) {
  std::vector<int64_t> counts(static_cast<size_t>(classes));
  for (int64_t i = 0; i < table.size(); ++i) {
    const int label = table.Label(i);
    if (label < 0 || label >= classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: label is out of range; image=", table.Name(i),
                       " label=", label, " classes=", classes, " ", what));
    }
    ++counts[static_cast<size_t>(label)];
  }
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: a class has no image; class=", c,
                     class_names.empty() ? "" : absl::StrCat(" name=", class_names[c]),
                     " classes=", classes, " ", what));
  }
  return absl::OkStatus();
}

ImageFiles::ImageFiles(std::string folder, NameTable files, int classes)
    : folder_(std::move(folder)), files_(std::move(files)), classes_(classes) {}

int64_t ImageFiles::Label(int64_t index) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return files_.Label(index);
}

absl::Status ImageFiles::Read(int64_t, absl::Span<uint8_t>) const {
  return absl::FailedPreconditionError("cannot read image: images may differ in size");
}

absl::Status ImageFiles::Fetch(int64_t index, StoredImage* image) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  DISTILL_ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(NameOf(index)));
  if (file.size() > kMostImageFileBytes) {
    return absl::DataLossError(absl::StrCat("the file is too large; bytes=", file.size(), " limit=",
                                            kMostImageFileBytes, " image=", NameOf(index)));
  }
  image->form = StoredImage::Form::kEncoded;
  image->shape = {};
  image->bytes.resize(file.size());
  return file.ReadAt(0, absl::MakeSpan(image->bytes));
}

std::string ImageFiles::NameOf(int64_t index) const {
  return JoinPath(folder_, files_.Name(index));
}

absl::Status ImageFiles::VisitFiles(
    absl::FunctionRef<absl::Status(const std::string&)> visit) const {
  for (int64_t i = 0; i < size(); ++i) DISTILL_RETURN_IF_ERROR(visit(NameOf(i)));
  return absl::OkStatus();
}

bool HasImageEnding(absl::string_view name) {
  return absl::EndsWithIgnoreCase(name, ".jpg") || absl::EndsWithIgnoreCase(name, ".jpeg") ||
         absl::EndsWithIgnoreCase(name, ".png");
}

bool IsPathBelow(absl::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != path.npos) return false;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

}  // namespace distill::data
