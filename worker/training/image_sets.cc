#include "worker/training/image_sets.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/scan.h"
#include "worker/data/subset.h"

namespace distill::training {
namespace {

constexpr size_t kMostHeldSets = 3;

// What decides which images are read, and no more.
v1::DatasetSpec SourceOf(v1::DatasetSpec spec) {
  spec.clear_train_images();
  spec.clear_subset_seed();
  spec.clear_mean();
  spec.clear_deviation();
  return spec;
}

absl::StatusOr<data::DatasetFormat> FormatOf(v1::DatasetFormat format) {
  switch (format) {
    case v1::DATASET_FORMAT_IDX:
      return data::DatasetFormat::kIdx;
    case v1::DATASET_FORMAT_CIFAR10:
      return data::DatasetFormat::kCifar10;
    case v1::DATASET_FORMAT_CIFAR100:
      return data::DatasetFormat::kCifar100;
    case v1::DATASET_FORMAT_IMAGE_FOLDER:
      return data::DatasetFormat::kImageFolder;
    case v1::DATASET_FORMAT_TINY_IMAGENET:
      return data::DatasetFormat::kTinyImageNet;
    case v1::DATASET_FORMAT_CUB:
      return data::DatasetFormat::kCub;
    case v1::DATASET_FORMAT_TAR_SHARDS:
      return data::DatasetFormat::kTarShards;
    case v1::DATASET_FORMAT_IMAGE_FOLDER_TEST:
      return data::DatasetFormat::kImageFolderTest;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read data set: unknown format; format=", static_cast<int>(format)));
  }
}

absl::Status CheckShape(const data::Dataset& images, const v1::DatasetSpec& spec) {
  const data::ImageShape& shape = images.shape();
  const bool fits = !images.has_one_shape() || !spec.has_image_size() ||
                    (shape.height == spec.image_size() && shape.width == spec.image_size());
  if (fits && shape.channels == spec.channels()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot use data set: its images have another shape than the task says; path=", spec.path(),
      " height=", shape.height, " width=", shape.width, " channels=", shape.channels,
      " wanted=", spec.image_size(), "x", spec.image_size(), "x", spec.channels()));
}

absl::Status CheckContent(const data::DatasetPair& files, absl::Time opened,
                          const v1::DatasetSpec& spec, const data::DigestStamps& stamps) {
  DISTILL_RETURN_IF_ERROR(CheckShape(*files.test, spec));
  if (spec.digest().empty()) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const Digest digest, stamps.PairDigestOf(files, opened));
  if (digest.str() == spec.digest()) return absl::OkStatus();
  absl::Status differs = absl::FailedPreconditionError(absl::StrCat(
      "cannot use data set: this worker's files are not the job's; give every worker the same "
      "files; path=",
      spec.path(), " digest=", digest.str(), " wanted=", spec.digest()));
  differs.SetPayload(kDifferingDataset, absl::Cord(spec.digest()));
  return differs;
}

absl::StatusOr<data::ChannelStatistics> GivenStatistics(const v1::DatasetSpec& spec) {
  if (spec.mean_size() != spec.channels() || spec.deviation_size() != spec.channels()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot use data set: mean and deviation must have one entry per channel; mean=",
        spec.mean_size(), " deviation=", spec.deviation_size(), " channels=", spec.channels()));
  }
  return data::ChannelStatistics{{spec.mean().begin(), spec.mean().end()},
                                 {spec.deviation().begin(), spec.deviation().end()}};
}

absl::StatusOr<data::ChannelStatistics> StatisticsOf(const ImageSets& sets,
                                                     const v1::DatasetSpec& spec) {
  const data::Dataset& images = sets.train != nullptr ? *sets.train : *sets.test;
  if (images.has_one_shape()) return data::ComputeStatistics(images);
  data::ScanOptions options;
  options.corrupt_images = CorruptImagesOf(spec);
  DISTILL_ASSIGN_OR_RETURN(const data::SplitFacts facts, data::ScanImages(images, options));
  return facts.statistics;
}

}  // namespace

ImageSetsCache::ImageSetsCache(const Clock& clock, std::string stamp_directory)
    : clock_(clock), stamps_(std::move(stamp_directory)) {}

absl::StatusOr<std::shared_ptr<const ImageSets>> ImageSetsCache::Open(const v1::DatasetSpec& spec) {
  DISTILL_RETURN_IF_ERROR(BringToFront(spec));
  return held_.front().sets;
}

absl::Status ImageSetsCache::BringToFront(const v1::DatasetSpec& spec) {
  const std::string source = SourceOf(spec).SerializeAsString();
  for (auto held = held_.begin(); held != held_.end(); ++held) {
    if (held->source != source) continue;
    std::rotate(held_.begin(), held, held + 1);
    return absl::OkStatus();
  }
  // Frees its memory before the next one is read.
  if (held_.size() == kMostHeldSets) held_.pop_back();
  data::DatasetOptions options;
  options.path = spec.path();
  options.classes = spec.classes();
  DISTILL_ASSIGN_OR_RETURN(options.format, FormatOf(spec.format()));
  const absl::Time opened = clock_.WallNow();
  DISTILL_ASSIGN_OR_RETURN(data::DatasetPair files, data::OpenDataset(options));
  DISTILL_RETURN_IF_ERROR(CheckContent(files, opened, spec, stamps_));
  auto sets = std::make_shared<ImageSets>();
  sets->train = std::move(files.train);
  sets->test = std::move(files.test);
  sets->class_names = std::move(files.class_names);
  held_.push_front({source, std::move(sets), std::nullopt});
  return absl::OkStatus();
}

absl::StatusOr<data::TransformConfig> ImageSetsCache::Normalization(const v1::DatasetSpec& spec) {
  DISTILL_RETURN_IF_ERROR(BringToFront(spec));
  data::ChannelStatistics statistics;
  if (spec.mean_size() > 0) {
    DISTILL_ASSIGN_OR_RETURN(statistics, GivenStatistics(spec));
  } else {
    Held& held = held_.front();
    if (!held.statistics.has_value()) {
      DISTILL_ASSIGN_OR_RETURN(held.statistics, StatisticsOf(*held.sets, spec));
    }
    statistics = *held.statistics;
  }
  data::TransformConfig transform;
  transform.input_size = spec.input_size();
  transform.mean = std::move(statistics.mean);
  transform.deviation = std::move(statistics.deviation);
  return transform;
}

absl::StatusOr<std::shared_ptr<const data::Dataset>> ChooseTrainingImages(
    const ImageSets& sets, const v1::DatasetSpec& spec) {
  if (sets.train == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot train: the data set has test images only; path=", spec.path()));
  }
  if (spec.train_images() == 0) return sets.train;
  data::SubsetSpec subset;
  subset.rule = data::SubsetRule::kStratified;
  subset.count = spec.train_images();
  subset.seed = spec.subset_seed();
  DISTILL_ASSIGN_OR_RETURN(std::shared_ptr<const data::Dataset> chosen,
                           data::SubsetDataset::Create(sets.train, subset));
  return chosen;
}

data::CorruptImagePolicy CorruptImagesOf(const v1::DatasetSpec& spec) {
  return spec.corrupt_images() == v1::CORRUPT_IMAGE_POLICY_SKIP ? data::CorruptImagePolicy::kSkip
                                                                : data::CorruptImagePolicy::kFail;
}

}  // namespace distill::training
