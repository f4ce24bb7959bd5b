#include "server/rpc/dataset_catalog.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "server/datasets/dataset_description.h"
#include "server/planner/enum_checks.h"
#include "worker/data/scan.h"

namespace distill::server {
namespace {

constexpr size_t kMostEntries = 64;
constexpr size_t kMostFilesUnregistered = 10000;

absl::Status Refused(const std::string& field, absl::string_view cause) {
  ErrorDetails details;
  details.fields = {{"", std::string(field), std::string(cause)}};
  return WithDetails(
      absl::InvalidArgumentError(absl::StrCat("cannot accept job: ", field, ": ", cause)), details);
}

absl::Status NotRegistered(const std::string& field, const std::string& name) {
  return Refused(absl::StrCat(field, ".name"),
                 absl::StrCat("got ", name,
                              ", which is not registered; `distill dataset list` shows those that "
                              "are, `distill dataset add` adds one"));
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

// Side of the images where all are squares of one size; otherwise 0.
int SideOf(const v1::DatasetFacts& facts) {
  const int side = facts.smallest_height();
  return facts.largest_height() == side && facts.smallest_width() == side &&
                 facts.largest_width() == side
             ? side
             : 0;
}

DatasetInfo InfoOf(const v1::DatasetFacts& facts) {
  DatasetInfo info;
  info.digest = facts.digest();
  info.image_size = SideOf(facts);
  info.channels = facts.channels();
  info.classes = facts.classes();
  info.class_names.assign(facts.class_names().begin(), facts.class_names().end());
  info.mean.assign(facts.mean().begin(), facts.mean().end());
  info.deviation.assign(facts.deviation().begin(), facts.deviation().end());
  for (const v1::DatasetSplit& split : facts.splits()) {
    const auto& counts = split.images_per_class();
    if (split.name() != "train") {
      info.test_images = static_cast<int>(split.images());
      info.test_class_images.assign(counts.begin(), counts.end());
      continue;
    }
    info.train_images = static_cast<int>(split.images());
    info.train_class_images.assign(counts.begin(), counts.end());
    const auto smallest = std::min_element(counts.begin(), counts.end());
    info.smallest_class = smallest == counts.end() ? 0 : static_cast<int>(*smallest);
  }
  return info;
}

absl::StatusOr<DatasetInfo> ReadFolder(const v1::DatasetSpec& dataset, const std::string& field) {
  v1::DatasetSource source;
  source.set_path(dataset.path());
  source.set_format(dataset.format());
  source.set_classes(dataset.classes());
  const std::string path_field = absl::StrCat(field, ".path");
  const absl::StatusOr<data::DatasetOptions> files = ReaderOptions(source);
  if (!files.ok()) return Refused(absl::StrCat(field, ".format"), files.status().message());
  data::ScanOptions options;
  options.corrupt_images = ReaderPolicy(dataset.corrupt_images());
  const absl::StatusOr<data::DatasetFacts> read = data::InspectDataset(*files, options);
  if (absl::IsDataLoss(read.status()) &&
      options.corrupt_images == data::CorruptImagePolicy::kFail) {
    return Refused(path_field,
                   absl::StrCat(read.status().message(), "; mend or remove the image, or set ",
                                field, ".corrupt_images to skip"));
  }
  if (!read.ok()) return Refused(path_field, read.status().message());
  const absl::StatusOr<v1::DatasetFacts> facts = ToProto(*read);
  if (!facts.ok()) return Refused(path_field, facts.status().message());
  const bool is_of_pixels = files->format == data::DatasetFormat::kIdx;
  if (is_of_pixels && SideOf(*facts) == 0) {
    return Refused(path_field, absl::StrCat("got images of ", read->shape.height, " by ",
                                            read->shape.width, " pixels, want square ones"));
  }
  return InfoOf(*facts);
}

// Keeps what the spec says where it agrees with the record, and refuses where it does not.
class Expansion {
 public:
  Expansion(const std::string& field, v1::DatasetSpec* spec) : field_(field), spec_(spec) {}

  template <typename Value>
  void Compare(absl::string_view name, bool given, const Value& got, const Value& want) {
    if (!given || got == want || !status_.ok()) return;
    status_ = Refused(absl::StrCat(field_, ".", name),
                      absl::StrCat("got ", got, ", but the registered data set ", spec_->name(),
                                   " has ", want, "; leave it out"));
  }
  const absl::Status& status() const { return status_; }

 private:
  const std::string& field_;
  const v1::DatasetSpec* const spec_;
  absl::Status status_;
};

absl::Status CompareWithRecord(const std::string& field, const v1::Dataset& record,
                               v1::DatasetSpec* spec) {
  const v1::DatasetFacts& facts = record.facts();
  Expansion expansion(field, spec);
  expansion.Compare("path", !spec->path().empty(), spec->path(), record.source().path());
  const auto format = [](int value) { return ValueName(value, v1::DatasetFormat_descriptor()); };
  expansion.Compare("format", spec->has_format(), format(spec->format()),
                    format(std::max(1, static_cast<int>(record.source().format()))));
  expansion.Compare("digest", spec->has_digest(), spec->digest(), facts.digest());
  expansion.Compare("classes", spec->has_classes(), spec->classes(), facts.classes());
  expansion.Compare("channels", spec->has_channels(), spec->channels(), facts.channels());
  expansion.Compare("image_size", spec->has_image_size(), spec->image_size(), SideOf(facts));
  expansion.Compare("train_size", spec->has_train_size(), spec->train_size(),
                    InfoOf(facts).train_images);
  expansion.Compare("manifest", spec->has_manifest(), spec->manifest(), record.manifest_digest());
  return expansion.status();
}

// All data sets of a spec with their places in it. Callable: Status(field, DatasetSpec*).
template <typename Visit>
absl::Status ForEachDataset(v1::JobSpec* spec, Visit visit) {
  DISTILL_RETURN_IF_ERROR(visit(std::string("dataset"), spec->mutable_dataset()));
  for (int i = 0; i < spec->evaluation().out_of_distribution_size(); ++i) {
    DISTILL_RETURN_IF_ERROR(
        visit(absl::StrCat("evaluation.out_of_distribution[", i, "].dataset"),
              spec->mutable_evaluation()->mutable_out_of_distribution(i)->mutable_dataset()));
  }
  for (int i = 0; i < spec->few_shot_size(); ++i) {
    DISTILL_RETURN_IF_ERROR(visit(absl::StrCat("few_shot[", i, "].dataset"),
                                  spec->mutable_few_shot(i)->mutable_dataset()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DatasetCatalog::CheckFolder(const std::string& path) const {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot open ", path, ": ", error.message(),
                     "; it must be a folder on the server's machine"));
  }
  if (!std::filesystem::is_directory(real, error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot open ", path, ": it is a file, want the folder that holds the data set"));
  }
  if (roots_.empty()) return absl::OkStatus();
  for (const std::string& root : roots_) {
    const std::filesystem::path below =
        std::filesystem::weakly_canonical(root, error).lexically_normal();
    const auto [end, unused] = std::mismatch(below.begin(), below.end(), real.begin(), real.end());
    if (!error && end == below.end()) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "cannot open ", path, ": this server reads data sets only below its --dataset-root; roots=",
      absl::StrJoin(roots_, ",")));
}

absl::Status DatasetCatalog::ExpandNames(v1::JobSpec* spec) const {
  return ForEachDataset(spec, [this](const std::string& field, v1::DatasetSpec* dataset) {
    return ExpandName(field, dataset);
  });
}

absl::Status DatasetCatalog::CheckVisible(const v1::JobSpec& spec, const Caller& caller) const {
  if (caller.Everywhere(Role::kViewer)) return absl::OkStatus();
  v1::JobSpec copy = spec;
  return ForEachDataset(&copy, [&](const std::string& field, v1::DatasetSpec* dataset) {
    if (dataset->has_name()) {
      const absl::StatusOr<storage::DatasetRecord> stored =
          store_->GetDataset(DatasetName(dataset->name()));
      if (absl::IsNotFound(stored.status())) return absl::OkStatus();  // ExpandNames() tells.
      DISTILL_RETURN_IF_ERROR(stored.status());
      return MayUse(caller, *stored, Role::kViewer) ? absl::OkStatus()
                                                    : NotRegistered(field, dataset->name());
    }
    if (dataset->path().empty()) return absl::OkStatus();
    return CheckMayNameFolders(caller, absl::StrCat("cannot accept job: ", field, ".path"));
  });
}

absl::Status DatasetCatalog::CheckMayNameFolders(const Caller& caller,
                                                 absl::string_view what) const {
  if (!roots_.empty() || caller.Everywhere(Role::kViewer)) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      what,
      ": folders of the server take the role viewer in all projects, unless the server says which "
      "folders everybody may read (--dataset-root); name a registered data set, or ask its "
      "operator; caller=",
      caller.name));
}

std::vector<DatasetName> DatasetCatalog::NamesIn(const v1::JobSpec& spec) {
  std::vector<DatasetName> names;
  v1::JobSpec copy = spec;
  ForEachDataset(&copy, [&](const std::string&, v1::DatasetSpec* dataset) {
    const DatasetName name(dataset->name());
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
    return absl::OkStatus();
  }).IgnoreError();
  return names;
}

absl::Status DatasetCatalog::ExpandName(const std::string& field, v1::DatasetSpec* dataset) const {
  const std::string name_field = absl::StrCat(field, ".name");
  if (!dataset->has_name()) {
    if (!dataset->has_manifest()) return absl::OkStatus();
    return Refused(absl::StrCat(field, ".manifest"),
                   "it is filled in at submission; name a registered data set instead");
  }
  if (!IsValidIdText(dataset->name())) {
    return Refused(name_field, absl::StrCat("got \"", dataset->name().substr(0, 200),
                                            "\", want 1 to 128 of [A-Za-z0-9._-]"));
  }
  const absl::StatusOr<storage::DatasetRecord> stored =
      store_->GetDataset(DatasetName(dataset->name()));
  if (absl::IsNotFound(stored.status())) {
    return NotRegistered(field, dataset->name());
  }
  DISTILL_RETURN_IF_ERROR(stored.status());
  const v1::Dataset record = ToProto(*stored);
  if (record.state() == v1::DATASET_STATE_READING) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("cannot accept job: ", name_field,
                                       ": the data set is still being read; `distill dataset get ",
                                       record.name(), "` shows how far it is")),
                      reason::kDatasetNotReady);
  }
  if (record.state() != v1::DATASET_STATE_READY) {
    return Refused(name_field, absl::StrCat("got ", record.name(), ", which could not be read: ",
                                            record.failure_message()));
  }
  DISTILL_RETURN_IF_ERROR(CompareWithRecord(field, record, dataset));
  int64_t corrupt = 0;
  for (const v1::DatasetSplit& split : record.facts().splits()) {
    corrupt += split.corrupt_images_total();
  }
  if (corrupt > 0 && dataset->corrupt_images() == v1::CORRUPT_IMAGE_POLICY_FAIL) {
    return Refused(absl::StrCat(field, ".corrupt_images"),
                   absl::StrCat("got fail, but ", corrupt, " images of ", record.name(),
                                " cannot be decoded; want skip"));
  }
  const DatasetInfo info = InfoOf(record.facts());
  dataset->set_path(record.source().path());
  dataset->set_format(record.source().format() == v1::DATASET_FORMAT_UNSPECIFIED
                          ? v1::DATASET_FORMAT_IDX
                          : record.source().format());
  dataset->set_digest(info.digest);
  dataset->set_classes(info.classes);
  dataset->set_channels(info.channels);
  if (info.image_size > 0) dataset->set_image_size(info.image_size);
  dataset->set_train_size(info.train_images);
  if (!dataset->has_corrupt_images() &&
      record.source().corrupt_images() != v1::CORRUPT_IMAGE_POLICY_UNSPECIFIED) {
    dataset->set_corrupt_images(record.source().corrupt_images());
  }
  if (!record.manifest_digest().empty()) dataset->set_manifest(record.manifest_digest());
  return absl::OkStatus();
}

absl::StatusOr<DatasetInfo> DatasetCatalog::Inspect(const v1::DatasetSpec& dataset,
                                                    const std::string& field) {
  if (!dataset.has_name()) return InspectFolder(dataset, field);
  DISTILL_ASSIGN_OR_RETURN(const storage::DatasetRecord record,
                           store_->GetDataset(DatasetName(dataset.name())));
  return InfoOf(ToProto(record).facts());
}

absl::StatusOr<DatasetInfo> DatasetCatalog::InspectFolder(const v1::DatasetSpec& dataset,
                                                          const std::string& field) {
  if (!FileExists(dataset.path()) && IsDescribed(dataset)) return OnTrust(dataset);
  const absl::Status allowed = CheckFolder(dataset.path());
  if (!allowed.ok()) return Refused(absl::StrCat(field, ".path"), allowed.message());
  absl::StatusOr<std::vector<DatasetFile>> files =
      ListDatasetFiles(dataset.path(), dataset.format(), kMostFilesUnregistered);
  if (absl::IsResourceExhausted(files.status())) {
    return Refused(absl::StrCat(field, ".path"),
                   absl::StrCat("more than ", kMostFilesUnregistered,
                                " files take too long to read while you wait; register the data "
                                "set with `distill dataset add` and give its name"));
  }
  if (!files.ok()) return Refused(absl::StrCat(field, ".path"), files.status().message());
  const Key key(dataset.path(), static_cast<int>(dataset.format()),
                dataset.has_classes() ? dataset.classes() : 0,
                static_cast<int>(dataset.corrupt_images()));
  {
    MutexLock lock(mu_);
    const auto entry = entries_.find(key);
    if (entry != entries_.end() && entry->second.files == *files) return entry->second.info;
  }
  DISTILL_ASSIGN_OR_RETURN(const DatasetInfo info, ReadFolder(dataset, field));
  MutexLock lock(mu_);
  if (entries_.size() >= kMostEntries) entries_.clear();
  entries_[key] = {*std::move(files), info};
  return info;
}

bool MayUse(const Caller& caller, const storage::DatasetRecord& dataset, Role role) {
  if (!dataset.project.empty()) return caller.RoleIn(dataset.project) >= role;
  return caller.Everywhere(role) || (role == Role::kViewer && caller.BestRole() >= role);
}

}  // namespace distill::server
