#include "server/datasets/dataset_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill::server {
namespace {

constexpr size_t kDeepestFolder = 32;

bool IsIdxFile(absl::string_view name) {
  absl::ConsumeSuffix(&name, ".gz");
  for (const char* split : {"train", "t10k"}) {
    if (name == absl::StrCat(split, "-images-idx3-ubyte")) return true;
    if (name == absl::StrCat(split, "-labels-idx1-ubyte")) return true;
  }
  return false;
}

bool HasExtension(absl::string_view name, std::initializer_list<absl::string_view> extensions) {
  return std::any_of(extensions.begin(), extensions.end(), [&](absl::string_view extension) {
    return absl::EndsWithIgnoreCase(name, extension);
  });
}

bool Belongs(absl::string_view name, v1::DatasetFormat format) {
  switch (format) {
    case v1::DATASET_FORMAT_CIFAR10:
    case v1::DATASET_FORMAT_CIFAR100:
      return HasExtension(name, {".bin", ".txt"});
    case v1::DATASET_FORMAT_TAR_SHARDS:
      return HasExtension(name, {".tar", ".txt"});
    case v1::DATASET_FORMAT_IMAGE_FOLDER:
    case v1::DATASET_FORMAT_TINY_IMAGENET:
    case v1::DATASET_FORMAT_CUB:
    case v1::DATASET_FORMAT_IMAGE_FOLDER_TEST:
      return HasExtension(name, {".jpg", ".jpeg", ".png", ".txt"});
    default:
      return IsIdxFile(name);
  }
}

// Formats whose files all lie in the folder itself.
bool IsFlat(v1::DatasetFormat format) {
  return format == v1::DATASET_FORMAT_UNSPECIFIED || format == v1::DATASET_FORMAT_IDX ||
         format == v1::DATASET_FORMAT_CIFAR10 || format == v1::DATASET_FORMAT_CIFAR100 ||
         format == v1::DATASET_FORMAT_TAR_SHARDS;
}

class Walk {
 public:
  Walk(std::string root, v1::DatasetFormat format, size_t most_files)
      : root_(std::move(root)), format_(format), most_files_(most_files) {}

  absl::StatusOr<std::vector<DatasetFile>> Run() {
    struct stat status = {};
    if (stat(root_.c_str(), &status) != 0) return ErrnoStatus(errno, "open", root_);
    if (!S_ISDIR(status.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: it is not a folder; path=", root_));
    }
    DISTILL_RETURN_IF_ERROR(Visit("", status));
    std::sort(files_.begin(), files_.end(),
              [](const DatasetFile& a, const DatasetFile& b) { return a.name < b.name; });
    return std::move(files_);
  }

 private:
  absl::Status Visit(const std::string& folder, const struct stat& itself) {
    const std::pair<dev_t, ino_t> identity(itself.st_dev, itself.st_ino);
    if (std::find(above_.begin(), above_.end(), identity) != above_.end()) return absl::OkStatus();
    if (above_.size() >= kDeepestFolder) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot read data set: its folders are nested too deeply; path=", root_,
                       " folder=", folder, " limit=", kDeepestFolder));
    }
    above_.push_back(identity);
    DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                             ListDirectory(folder.empty() ? root_ : JoinPath(root_, folder)));
    for (const std::string& name : names) {
      if (absl::StartsWith(name, ".")) continue;
      DISTILL_RETURN_IF_ERROR(Take(folder.empty() ? name : JoinPath(folder, name), name));
    }
    above_.pop_back();
    return absl::OkStatus();
  }

  absl::Status Take(const std::string& path, const std::string& name) {
    struct stat status = {};
    const std::string full = JoinPath(root_, path);
    if (stat(full.c_str(), &status) != 0) {
      // A link to nowhere is of no interest unless it has the name of a file that is read.
      if (errno == ENOENT && !Belongs(name, format_)) return absl::OkStatus();
      return ErrnoStatus(errno, "inspect", full);
    }
    if (S_ISDIR(status.st_mode)) return IsFlat(format_) ? absl::OkStatus() : Visit(path, status);
    if (!S_ISREG(status.st_mode) || !Belongs(name, format_)) return absl::OkStatus();
    if (files_.size() >= most_files_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot read data set: it has too many files; path=", root_, " limit=", most_files_));
    }
    files_.push_back({path, static_cast<uint64_t>(status.st_size),
                      int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec});
    return absl::OkStatus();
  }

  const std::string root_;
  const v1::DatasetFormat format_;
  const size_t most_files_;
  std::vector<std::pair<dev_t, ino_t>> above_;  // The folders from the root to here.
  std::vector<DatasetFile> files_;
};

}  // namespace

absl::StatusOr<std::vector<DatasetFile>> ListDatasetFiles(const std::string& path,
                                                          v1::DatasetFormat format,
                                                          size_t most_files) {
  return Walk(path, format, most_files).Run();
}

}  // namespace distill::server
