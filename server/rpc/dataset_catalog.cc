#include "server/rpc/dataset_catalog.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/idx_reader.h"

namespace distill::server {
namespace {

constexpr size_t kMostEntries = 64;
constexpr size_t kMostFilesInFolder = 10000;

absl::Status Refused(absl::string_view field, const absl::Status& cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot accept job: ", field, ": ", cause.message()));
}

bool IsDescribed(const v1::DatasetSpec& dataset) {
  return dataset.has_digest() && dataset.has_image_size() && dataset.has_channels() &&
         dataset.has_classes() && dataset.has_train_size();
}

DatasetInfo OnTrust(const v1::DatasetSpec& dataset) {
  DatasetInfo info;
  info.digest = dataset.digest();
  info.image_size = dataset.image_size();
  info.channels = dataset.channels();
  info.classes = dataset.classes();
  info.train_images = dataset.train_size();
  return info;
}

absl::StatusOr<DatasetInfo> Read(const v1::DatasetSpec& dataset) {
  const absl::StatusOr<data::DatasetFacts> facts =
      data::InspectIdxDataset(dataset.path(), dataset.has_classes() ? dataset.classes() : 0);
  if (!facts.ok()) return Refused("dataset.path", facts.status());
  if (facts->shape.height != facts->shape.width) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot accept job: dataset.path: got images of ", facts->shape.height, " by ",
                     facts->shape.width, " pixels, want square ones"));
  }
  DatasetInfo info;
  info.digest = facts->digest.str();
  info.image_size = facts->shape.height;
  info.channels = facts->shape.channels;
  info.classes = facts->classes;
  info.train_images = static_cast<int>(facts->train_images);
  info.test_images = static_cast<int>(facts->test_images);
  return info;
}

}  // namespace

absl::StatusOr<std::vector<DatasetCatalog::FileStamp>> DatasetCatalog::StampFolder(
    const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
  if (names.size() > kMostFilesInFolder) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: too many files; path=", path, " files=", names.size()));
  }
  std::vector<FileStamp> stamps;
  for (const std::string& name : names) {
    struct stat status = {};
    const std::string file = JoinPath(path, name);
    if (stat(file.c_str(), &status) != 0) return ErrnoStatus(errno, "inspect", file);
    stamps.push_back({name, static_cast<uint64_t>(status.st_size),
                      int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec});
  }
  return stamps;
}

absl::StatusOr<DatasetInfo> DatasetCatalog::Inspect(const v1::DatasetSpec& dataset) {
  absl::StatusOr<std::vector<FileStamp>> stamps = StampFolder(dataset.path());
  if (!stamps.ok()) {
    if (absl::IsNotFound(stamps.status()) && IsDescribed(dataset)) return OnTrust(dataset);
    return Refused("dataset.path", stamps.status());
  }
  const Key key(dataset.path(), dataset.has_classes() ? dataset.classes() : 0);
  {
    MutexLock lock(mu_);
    const auto entry = entries_.find(key);
    if (entry != entries_.end() && entry->second.stamps == *stamps) return entry->second.info;
  }
  DISTILL_ASSIGN_OR_RETURN(const DatasetInfo info, Read(dataset));
  MutexLock lock(mu_);
  if (entries_.size() >= kMostEntries) entries_.clear();
  entries_[key] = {*std::move(stamps), info};
  return info;
}

}  // namespace distill::server
