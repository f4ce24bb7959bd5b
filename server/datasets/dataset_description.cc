#include "server/datasets/dataset_description.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace distill::server {
namespace {

// A record is one message, and a message is at most 4 MiB.
constexpr size_t kMostFactsBytes = 3 << 20;
constexpr size_t kMostDifferences = 100;

v1::DatasetSplit SplitToProto(absl::string_view name, const data::SplitFacts& facts) {
  v1::DatasetSplit split;
  split.set_name(std::string(name));
  split.set_images(facts.images);
  for (const int64_t images : facts.images_per_class) split.add_images_per_class(images);
  for (const data::CorruptImage& image : facts.corrupt_images) {
    split.add_corrupt_images(absl::StrCat(image.name, ": ", image.reason));
  }
  split.set_corrupt_images_total(facts.corrupt_images_total);
  split.set_stored_bytes(facts.stored_bytes);
  return split;
}

void SetSizes(const data::DatasetFacts& facts, v1::DatasetFacts* result) {
  const data::SplitFacts& test = facts.test;
  if (facts.train.images == 0) {
    result->set_smallest_height(test.smallest_height);
    result->set_largest_height(test.largest_height);
    result->set_smallest_width(test.smallest_width);
    result->set_largest_width(test.largest_width);
    return;
  }
  const data::SplitFacts& train = facts.train;
  result->set_smallest_height(std::min(train.smallest_height, test.smallest_height));
  result->set_largest_height(std::max(train.largest_height, test.largest_height));
  result->set_smallest_width(std::min(train.smallest_width, test.smallest_width));
  result->set_largest_width(std::max(train.largest_width, test.largest_width));
}

// Collects differences up to their bound.
class DifferenceList {
 public:
  template <typename Value>
  void Compare(absl::string_view what, const Value& before, const Value& now) {
    if (before == now) return;
    Add(absl::StrCat(what, ": was ", before, ", is ", now));
  }
  void Add(std::string line) {
    if (lines_.size() < kMostDifferences) lines_.push_back(std::move(line));
  }
  std::vector<std::string> Take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

// The first class names and counts that differ.
void CompareClasses(const v1::DatasetFacts& before, const v1::DatasetFacts& now,
                    DifferenceList& list) {
  list.Compare("classes", before.classes(), now.classes());
  for (int i = 0; i < std::min(before.class_names_size(), now.class_names_size()); ++i) {
    list.Compare(absl::StrCat("name of class ", i), before.class_names(i), now.class_names(i));
  }
}

void CompareSplit(const v1::DatasetSplit& before, const v1::DatasetSplit& now,
                  DifferenceList& list) {
  const std::string& split = before.name();
  list.Compare(absl::StrCat(split, " images"), before.images(), now.images());
  list.Compare(absl::StrCat(split, " images that are corrupt"), before.corrupt_images_total(),
               now.corrupt_images_total());
  const auto& known = before.corrupt_images();
  for (const std::string& image : now.corrupt_images()) {
    if (std::find(known.begin(), known.end(), image) == known.end()) {
      list.Add(absl::StrCat(split, " image now corrupt: ", image));
    }
  }
  const int classes = std::min(before.images_per_class_size(), now.images_per_class_size());
  for (int i = 0; i < classes; ++i) {
    list.Compare(absl::StrCat(split, " images of class ", i), before.images_per_class(i),
                 now.images_per_class(i));
  }
}

}  // namespace

absl::StatusOr<data::DatasetOptions> ReaderOptions(const v1::DatasetSource& source) {
  data::DatasetOptions options;
  options.path = source.path();
  options.classes = source.classes();
  switch (source.format()) {
    case v1::DATASET_FORMAT_UNSPECIFIED:
    case v1::DATASET_FORMAT_IDX:
      options.format = data::DatasetFormat::kIdx;
      return options;
    case v1::DATASET_FORMAT_CIFAR10:
      options.format = data::DatasetFormat::kCifar10;
      return options;
    case v1::DATASET_FORMAT_CIFAR100:
      options.format = data::DatasetFormat::kCifar100;
      return options;
    case v1::DATASET_FORMAT_IMAGE_FOLDER:
      options.format = data::DatasetFormat::kImageFolder;
      return options;
    case v1::DATASET_FORMAT_TINY_IMAGENET:
      options.format = data::DatasetFormat::kTinyImageNet;
      return options;
    case v1::DATASET_FORMAT_CUB:
      options.format = data::DatasetFormat::kCub;
      return options;
    case v1::DATASET_FORMAT_TAR_SHARDS:
      options.format = data::DatasetFormat::kTarShards;
      return options;
    case v1::DATASET_FORMAT_IMAGE_FOLDER_TEST:
      options.format = data::DatasetFormat::kImageFolderTest;
      return options;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot read data set: unknown format; format=", static_cast<int>(source.format())));
  }
}

data::CorruptImagePolicy ReaderPolicy(v1::CorruptImagePolicy policy) {
  return policy == v1::CORRUPT_IMAGE_POLICY_SKIP ? data::CorruptImagePolicy::kSkip
                                                 : data::CorruptImagePolicy::kFail;
}

absl::StatusOr<v1::DatasetFacts> ToProto(const data::DatasetFacts& facts) {
  v1::DatasetFacts result;
  result.set_digest(facts.digest.str());
  result.set_classes(facts.classes);
  for (const std::string& name : facts.class_names) result.add_class_names(name);
  if (facts.train.images > 0) *result.add_splits() = SplitToProto("train", facts.train);
  *result.add_splits() = SplitToProto("test", facts.test);
  result.set_channels(facts.shape.channels);
  SetSizes(facts, &result);
  const data::ChannelStatistics& statistics =
      facts.train.images > 0 ? facts.train.statistics : facts.test.statistics;
  for (const double mean : statistics.mean) result.add_mean(mean);
  for (const double deviation : statistics.deviation) result.add_deviation(deviation);
  if (result.ByteSizeLong() > kMostFactsBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot register data set: its class names and counts are too long to be kept; bytes=",
        result.ByteSizeLong(), " limit=", kMostFactsBytes));
  }
  return result;
}

std::vector<std::string> Differences(const v1::DatasetFacts& before, const v1::DatasetFacts& now) {
  DifferenceList list;
  list.Compare("digest", before.digest(), now.digest());
  CompareClasses(before, now, list);
  list.Compare("splits", before.splits_size(), now.splits_size());
  for (int i = 0; i < std::min(before.splits_size(), now.splits_size()); ++i) {
    CompareSplit(before.splits(i), now.splits(i), list);
  }
  list.Compare("channels", before.channels(), now.channels());
  list.Compare("smallest height", before.smallest_height(), now.smallest_height());
  list.Compare("largest height", before.largest_height(), now.largest_height());
  list.Compare("smallest width", before.smallest_width(), now.smallest_width());
  list.Compare("largest width", before.largest_width(), now.largest_width());
  list.Compare("mean", absl::StrJoin(before.mean(), " "), absl::StrJoin(now.mean(), " "));
  list.Compare("deviation", absl::StrJoin(before.deviation(), " "),
               absl::StrJoin(now.deviation(), " "));
  return list.Take();
}

v1::Dataset ToProto(const storage::DatasetRecord& record) {
  const storage::DatasetStatus& status = record.status;
  v1::Dataset dataset;
  dataset.set_name(record.name.str());
  dataset.set_project(record.project.str());
  DISTILL_CHECK(dataset.mutable_source()->ParseFromString(record.source),
                "a stored source is a message that this program wrote");
  dataset.set_state(static_cast<v1::DatasetState>(status.state));
  dataset.set_failure_message(status.failure_message);
  if (!status.facts.empty()) {
    DISTILL_CHECK(dataset.mutable_facts()->ParseFromString(status.facts),
                  "stored facts are a message that this program wrote");
  }
  if (!status.verification.empty()) {
    DISTILL_CHECK(dataset.mutable_verification()->ParseFromString(status.verification),
                  "a stored verification is a message that this program wrote");
  }
  for (const storage::NamedBlob& blob : status.blobs) {
    dataset.set_stored_bytes(dataset.stored_bytes() + blob.size_bytes);
    if (blob.name == kManifestBlob) dataset.set_manifest_digest(blob.digest.str());
  }
  const auto set_time = [](absl::Time time, google::protobuf::Timestamp* timestamp) {
    timestamp->set_seconds(absl::ToUnixSeconds(time));
    timestamp->set_nanos(static_cast<int32_t>(
        absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(absl::ToUnixSeconds(time)))));
  };
  set_time(record.create_time, dataset.mutable_create_time());
  if (status.finish_time != storage::kUnsetTime) {
    set_time(status.finish_time, dataset.mutable_finish_time());
  }
  return dataset;
}

}  // namespace distill::server
