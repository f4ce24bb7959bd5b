// Makes the batches of a run ahead of the training thread. Batches come out in one fixed order with
// the same bits for any number of loader threads, and a run can be taken up at any step of any
// epoch.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/sampler.h"
#include "worker/data/transform.h"

namespace distill::data {

enum class LastBatch {
  kDrop,  // An epoch ends with its last full batch: training.
  kKeep,  // The last batch may be smaller: evaluation.
};

// Images that cannot be decoded, under CorruptImagePolicy::kSkip. In training, where batches have
// one size, the next sound image of the data set takes the place of a corrupt one; in evaluation it
// is left out, so a batch may be smaller. Either way what happens depends on the files and the
// visit alone, not on threads or on where a run was taken up.
struct SkippedImages {
  int64_t count = 0;               // Different images.
  std::vector<std::string> named;  // At most 100, in the order of the data set: name and reason.
};

// Rows [first, first + count) of a batch.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

struct LoaderConfig {
  int64_t batch_size = 64;
  LastBatch last_batch = LastBatch::kDrop;
  SamplerConfig sampler;
  TransformConfig transform;
  CorruptImagePolicy corrupt_images = CorruptImagePolicy::kFail;
  // Keys the random transforms, together with the epoch, the sample's index and its repeat.
  uint64_t seed = 0;
  // The first batch to be made, and the epoch before which to stop.
  int64_t first_epoch = 0;
  int64_t first_step = 0;  // Step within first_epoch; may equal the number of steps of an epoch.
  int64_t end_epoch = 1;
  // Which rows of each batch are made, one range after the other; empty: all. Only where batches
  // are dropped. A row has the same bits whichever others are made.
  std::vector<RowRange> rows;
  // Threads that make batches; 0 makes each batch in Next().
  int threads = 1;
  // Batches that may stand ready or be in the making; at least 1.
  int prefetch = 4;
};

// One batch. values [B, C, H, W], labels and indices [B]; B is labels.size(), at least 1.
struct Batch {
  int64_t epoch = 0;
  int64_t step = 0;  // Within the epoch.
  std::vector<float> values;
  std::vector<int64_t> labels;
  std::vector<int64_t> indices;  // Of the samples in the data set.
};

// Next(), Recycle() and time_waited() are for one consumer thread; Stop() for any thread.
class BatchLoader {
 public:
  // Starts the threads. `dataset` is shared with other loaders of the same images; `clock` outlives
  // the loader. With an input_size but no random resized crop, images are seen through a
  // SquareDataset. kInvalidArgument names the field that is out of range; a data set that cannot
  // fill one batch is refused when batches are dropped.
  static absl::StatusOr<std::unique_ptr<BatchLoader>> Create(std::shared_ptr<const Dataset> dataset,
                                                             const LoaderConfig& config,
                                                             const Clock& clock);

  // Stops and joins.
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // Returns the next batch, or nothing after the last one. Blocks until it is ready. An error of
  // reading the data set comes out at the batch it struck, and again on every later call;
  // kCancelled after Stop().
  absl::StatusOr<std::optional<Batch>> Next() ABSL_LOCKS_EXCLUDED(mutex_);

  // Hands a batch's memory back for reuse. Optional.
  void Recycle(Batch batch) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes a blocked Next() and all later ones return kCancelled, and joins the threads. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Of each image in a batch: what the transforms make of those of the data set.
  const ImageShape& shape() const { return pipeline_.output_shape(); }
  // What was skipped so far. Also logged, once for each image.
  SkippedImages skipped() const ABSL_LOCKS_EXCLUDED(skipped_mutex_);
  // How long Next() has kept its caller waiting, in all.
  absl::Duration time_waited() const { return time_waited_; }

 private:
  // The samples of one epoch in order; shared by the threads that work on it.
  struct EpochPlan {
    int64_t epoch = 0;
    std::vector<Visit> order;
  };
  // What one thread is to make next.
  struct Assignment {
    int64_t number = 0;  // Counts batches since the start of the run.
    std::shared_ptr<const EpochPlan> plan;
    Batch buffers;
  };
  // What a thread needs to make images; kept from batch to batch.
  struct Workspace {
    std::vector<uint8_t> pixels;
    StoredImage stored;
    TransformPipeline::Workspace transform;
  };
  // A place for a finished batch; batch `number` goes to place number % places.
  struct Place {
    bool ready = false;
    absl::Status status;
    Batch batch;
  };

  BatchLoader(std::shared_ptr<const Dataset> dataset, const LoaderConfig& config,
              TransformPipeline pipeline, const Clock& clock);

  void RunThread() ABSL_LOCKS_EXCLUDED(mutex_);
  Assignment TakeAssignment() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeBatch(const Assignment& assignment, Workspace* workspace, Batch* batch)
      ABSL_LOCKS_EXCLUDED(skipped_mutex_);
  // Makes the values of one visit of an image of the data set.
  absl::Status MakeImage(const CounterRandom& random, int64_t index, Workspace* workspace,
                         absl::Span<float> values) const;
  // Makes those of a visit, of another image if the policy says so; returns the index of the image,
  // or nothing when it is left out.
  absl::StatusOr<std::optional<int64_t>> MakeVisit(const CounterRandom& epoch_random,
                                                   const Visit& visit, Workspace* workspace,
                                                   absl::Span<float> values)
      ABSL_LOCKS_EXCLUDED(skipped_mutex_);
  void RecordSkipped(int64_t index, const absl::Status& reason) ABSL_LOCKS_EXCLUDED(skipped_mutex_);
  absl::StatusOr<std::optional<Batch>> NextOrEmpty() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::optional<Batch>> MakeNextHere() ABSL_LOCKS_EXCLUDED(mutex_);

  // Constant after construction.
  const std::shared_ptr<const Dataset> dataset_;
  const LoaderConfig config_;
  const TransformPipeline pipeline_;
  const Clock& clock_;
  const int64_t steps_per_epoch_;
  const int64_t first_number_;
  const int64_t end_number_;

  absl::Duration time_waited_;  // Consumer thread only.
  Workspace workspace_;         // Likewise; for batches made in Next().

  mutable Mutex skipped_mutex_;
  std::map<int64_t, std::string> skipped_ ABSL_GUARDED_BY(skipped_mutex_);  // By index.

  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t next_to_make_ ABSL_GUARDED_BY(mutex_);
  int64_t next_to_give_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const EpochPlan> plan_ ABSL_GUARDED_BY(mutex_);
  std::vector<Place> places_ ABSL_GUARDED_BY(mutex_);
  std::vector<Batch> spare_ ABSL_GUARDED_BY(mutex_);

  Mutex join_mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(join_mutex_);
};

}  // namespace distill::data
