// The images of a task: opened once per process, checked against the digest that the task names,
// and shared by all tasks that follow.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "distill/v1/job.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/digest_stamps.h"
#include "worker/data/transform.h"

namespace distill::training {

// Payload of a status: the digest, as the task names it, of a data set whose files are others here.
inline constexpr char kDifferingDataset[] = "distill.differing_dataset";

struct ImageSets {
  std::shared_ptr<const data::Dataset> train;  // Null where there are test images only.
  std::shared_ptr<const data::Dataset> test;
  std::vector<std::string> class_names;  // By label; may be empty.
};

// Holds the data sets that were asked for last: as many as one job usually has, so that its tests
// on other sets do not make its own be read again. One thread.
class ImageSetsCache {
 public:
  // Digests of files are kept in `stamp_directory` for the programs that follow; empty: nowhere.
  // `clock` outlives the cache.
  explicit ImageSetsCache(const Clock& clock, std::string stamp_directory = "");

  // Reads both splits unless they are held already. Errors: those of the reader;
  // kFailedPrecondition when the content is not what the spec's digest or shape says, in the first
  // case with the digest as payload kDifferingDataset.
  absl::StatusOr<std::shared_ptr<const ImageSets>> Open(const v1::DatasetSpec& spec);

  // How images are brought to the size that `spec` says, and normalised, for every model of a job:
  // by the mean and deviation of the spec, else by those of all training images, which are then
  // read. Errors: those of Open(); kInvalidArgument when the spec's do not fit its channels.
  absl::StatusOr<data::TransformConfig> Normalization(const v1::DatasetSpec& spec);

 private:
  struct Held {
    std::string source;  // What decides which images are read, serialised.
    std::shared_ptr<const ImageSets> sets;
    std::optional<data::ChannelStatistics> statistics;  // Once they were asked for.
  };
  // Makes the data set the front one of those held.
  absl::Status BringToFront(const v1::DatasetSpec& spec);

  const Clock& clock_;
  const data::DigestStamps stamps_;
  std::deque<Held> held_;  // The one asked for last is in front.
};

// The training images that the spec chooses: all, or `train_images` of them. kInvalidArgument where
// there are test images only.
absl::StatusOr<std::shared_ptr<const data::Dataset>> ChooseTrainingImages(
    const ImageSets& sets, const v1::DatasetSpec& spec);

data::CorruptImagePolicy CorruptImagesOf(const v1::DatasetSpec& spec);

}  // namespace distill::training
