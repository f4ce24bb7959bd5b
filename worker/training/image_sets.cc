#include "worker/training/image_sets.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "worker/data/idx_reader.h"
#include "worker/data/subset.h"

namespace distill::training {
namespace {

// What decides which images are read, and no more.
v1::DatasetSpec SourceOf(v1::DatasetSpec spec) {
  spec.clear_train_images();
  spec.clear_subset_seed();
  return spec;
}

absl::Status CheckContent(const ImageSets& sets, const v1::DatasetSpec& spec) {
  const data::ImageShape& shape = sets.train->shape();
  if (shape.height != spec.image_size() || shape.width != spec.image_size() ||
      shape.channels != spec.channels()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot use data set: its images have another shape than the task says; path=", spec.path(),
        " height=", shape.height, " width=", shape.width, " channels=", shape.channels,
        " wanted=", spec.image_size(), "x", spec.image_size(), "x", spec.channels()));
  }
  if (spec.digest().empty()) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const Digest train, data::ContentDigest(*sets.train));
  DISTILL_ASSIGN_OR_RETURN(const Digest test, data::ContentDigest(*sets.test));
  const Digest digest = data::PairDigest(train, test);
  if (digest.str() == spec.digest()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot use data set: this worker's files are not the job's; give every worker the same "
      "files; path=",
      spec.path(), " digest=", digest.str(), " wanted=", spec.digest()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ImageSets>> ImageSetsCache::Open(const v1::DatasetSpec& spec) {
  const v1::DatasetSpec source = SourceOf(spec);
  if (held_ != nullptr && held_spec_.SerializeAsString() == source.SerializeAsString()) {
    return held_;
  }
  held_ = nullptr;  // Frees its memory before the next one is read.
  if (spec.format() != v1::DATASET_FORMAT_IDX) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read data set: unknown format; format=",
                                                   static_cast<int>(spec.format())));
  }
  data::IdxSource files;
  files.directory = spec.path();
  files.classes = spec.classes();
  auto sets = std::make_shared<ImageSets>();
  files.split = data::Split::kTrain;
  DISTILL_ASSIGN_OR_RETURN(sets->train, data::ReadIdxDataset(files));
  files.split = data::Split::kTest;
  DISTILL_ASSIGN_OR_RETURN(sets->test, data::ReadIdxDataset(files));
  DISTILL_RETURN_IF_ERROR(CheckContent(*sets, spec));
  DISTILL_ASSIGN_OR_RETURN(sets->statistics, data::ComputeStatistics(*sets->train));
  held_spec_ = source;
  held_ = std::move(sets);
  return held_;
}

absl::StatusOr<std::shared_ptr<const data::Dataset>> ChooseTrainingImages(
    const ImageSets& sets, const v1::DatasetSpec& spec) {
  if (spec.train_images() == 0) return sets.train;
  data::SubsetSpec subset;
  subset.rule = data::SubsetRule::kStratified;
  subset.count = spec.train_images();
  subset.seed = spec.subset_seed();
  DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> chosen,
                           data::SubsetDataset::Create(sets.train, subset));
  return chosen;
}

}  // namespace distill::training
