#include "worker/data/batch_loader.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/data/image_decoder.h"
#include "worker/data/square_dataset.h"

namespace distill::data {
namespace {

// A corrupt image is replaced by one of this many that follow; when all of them are corrupt too,
// the data set is not worth training on.
constexpr int64_t kMostReplacements = 100;
constexpr size_t kMostNamed = 100;

int64_t StepsPerEpoch(const LoaderConfig& config, int64_t dataset_size) {
  const int64_t size = EpochSize(config.sampler, dataset_size);
  return config.last_batch == LastBatch::kDrop ? size / config.batch_size
                                               : (size + config.batch_size - 1) / config.batch_size;
}

absl::Status Validate(const LoaderConfig& config, int64_t dataset_size) {
  const auto refuse = [](absl::string_view field, absl::string_view rule, int64_t got) {
    return absl::InvalidArgumentError(absl::StrCat("loader.", field, " ", rule, "; got=", got));
  };
  if (config.batch_size < 1) return refuse("batch_size", "must be positive", config.batch_size);
  if (config.threads < 0) return refuse("threads", "must not be negative", config.threads);
  if (config.prefetch < 1) return refuse("prefetch", "must be positive", config.prefetch);
  DISTILL_RETURN_IF_ERROR(ValidateSampler(config.sampler));
  if (dataset_size < 1) return absl::InvalidArgumentError("cannot load batches: no image");
  const int64_t steps = StepsPerEpoch(config, dataset_size);
  if (steps < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("loader.batch_size exceeds the images of an epoch; got=", config.batch_size,
                     " images=", EpochSize(config.sampler, dataset_size)));
  }
  if (config.first_epoch < 0 || config.first_epoch > config.end_epoch) {
    return refuse("first_epoch", "must be 0 to end_epoch", config.first_epoch);
  }
  if (config.first_step < 0 || config.first_step > steps) {
    return refuse("first_step", "must be 0 to the number of steps of an epoch", config.first_step);
  }
  for (const RowRange& range : config.rows) {
    const bool fits = config.last_batch == LastBatch::kDrop && range.first >= 0 &&
                      range.count >= 1 && range.first + range.count <= config.batch_size;
    if (!fits) return refuse("rows", "must be rows of full batches", range.first);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<BatchLoader>> BatchLoader::Create(
    std::shared_ptr<const Dataset> dataset, const LoaderConfig& config, const Clock& clock) {
  DISTILL_RETURN_IF_ERROR(Validate(config, dataset->size()));
  if (config.transform.input_size > 0 && config.transform.random_resized_crop == 0.0) {
    DISTILL_ASSIGN_OR_RETURN(
        dataset, SquareDataset::Create(std::move(dataset), config.transform.input_size));
  }
  DISTILL_ASSIGN_OR_RETURN(TransformPipeline pipeline,
                           TransformPipeline::Create(dataset->shape(), config.transform));
  auto loader =
      absl::WrapUnique(new BatchLoader(std::move(dataset), config, std::move(pipeline), clock));
  MutexLock lock(loader->join_mutex_);
  for (int i = 0; i < config.threads; ++i) {
    loader->threads_.emplace_back([loader = loader.get()] { loader->RunThread(); });
  }
  return loader;
}

BatchLoader::BatchLoader(std::shared_ptr<const Dataset> dataset, const LoaderConfig& config,
                         TransformPipeline pipeline, const Clock& clock)
    : dataset_(std::move(dataset)),
      config_(config),
      pipeline_(std::move(pipeline)),
      clock_(clock),
      steps_per_epoch_(StepsPerEpoch(config, dataset_->size())),
      first_number_(config.first_epoch * steps_per_epoch_ + config.first_step),
      end_number_(config.end_epoch * steps_per_epoch_),
      next_to_make_(first_number_),
      next_to_give_(first_number_),
      places_(static_cast<size_t>(config.prefetch)) {}

BatchLoader::~BatchLoader() { Stop(); }

void BatchLoader::Stop() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  MutexLock lock(join_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

absl::StatusOr<std::optional<Batch>> BatchLoader::Next() {
  while (true) {
    absl::StatusOr<std::optional<Batch>> batch = NextOrEmpty();
    if (!batch.ok() || !batch->has_value() || !(*batch)->labels.empty()) return batch;
    Recycle(**std::move(batch));  // Every image of it was left out.
  }
}

absl::StatusOr<std::optional<Batch>> BatchLoader::NextOrEmpty() {
  if (config_.threads == 0) return MakeNextHere();
  MutexLock lock(mutex_);
  if (!failure_.ok()) return failure_;
  if (next_to_give_ >= end_number_ && !stopped_) return std::nullopt;
  Place& place = places_[static_cast<size_t>(next_to_give_) % places_.size()];
  if (!place.ready && !stopped_) {
    const MonotonicTime start = clock_.Now();
    while (!place.ready && !stopped_) changed_.Wait(mutex_);
    time_waited_ += clock_.Now() - start;
  }
  if (stopped_) return absl::CancelledError("cannot load batch: the loader was stopped");
  failure_ = place.status;
  if (!failure_.ok()) return failure_;
  Batch batch = std::move(place.batch);
  place = Place();
  ++next_to_give_;
  changed_.NotifyAll();
  return batch;
}

absl::StatusOr<std::optional<Batch>> BatchLoader::MakeNextHere() {
  const MonotonicTime start = clock_.Now();
  Assignment assignment;
  {
    MutexLock lock(mutex_);
    if (stopped_) return absl::CancelledError("cannot load batch: the loader was stopped");
    if (!failure_.ok()) return failure_;
    if (next_to_make_ >= end_number_) return std::nullopt;
    assignment = TakeAssignment();
  }
  Batch batch = std::move(assignment.buffers);
  const absl::Status status = MakeBatch(assignment, &workspace_, &batch);
  time_waited_ += clock_.Now() - start;
  if (!status.ok()) {
    MutexLock lock(mutex_);
    failure_ = status;
    return status;
  }
  return batch;
}

void BatchLoader::Recycle(Batch batch) {
  MutexLock lock(mutex_);
  if (spare_.size() < places_.size()) spare_.push_back(std::move(batch));
}

void BatchLoader::RunThread() {
  const int64_t places = config_.prefetch;
  Workspace workspace;
  while (true) {
    Assignment assignment;
    {
      MutexLock lock(mutex_);
      while (!stopped_ && next_to_make_ < end_number_ && next_to_make_ >= next_to_give_ + places) {
        changed_.Wait(mutex_);
      }
      if (stopped_ || next_to_make_ >= end_number_) return;
      assignment = TakeAssignment();
    }
    Batch batch = std::move(assignment.buffers);
    const absl::Status status = MakeBatch(assignment, &workspace, &batch);
    MutexLock lock(mutex_);
    Place& place = places_[static_cast<size_t>(assignment.number % places)];
    place.status = status;
    place.batch = std::move(batch);
    place.ready = true;
    changed_.NotifyAll();
  }
}

BatchLoader::Assignment BatchLoader::TakeAssignment() {
  Assignment assignment;
  assignment.number = next_to_make_++;
  const int64_t epoch = assignment.number / steps_per_epoch_;
  if (plan_ == nullptr || plan_->epoch != epoch) {
    // Numbers are handed out in order, so each epoch is drawn once.
    auto plan = std::make_shared<EpochPlan>();
    plan->epoch = epoch;
    plan->order = EpochOrder(config_.sampler, dataset_->size(), epoch);
    plan_ = std::move(plan);
  }
  assignment.plan = plan_;
  if (!spare_.empty()) {
    assignment.buffers = std::move(spare_.back());
    spare_.pop_back();
  }
  return assignment;
}

absl::Status BatchLoader::MakeBatch(const Assignment& assignment, Workspace* workspace,
                                    Batch* batch) {
  const std::vector<Visit>& order = assignment.plan->order;
  batch->epoch = assignment.plan->epoch;
  batch->step = assignment.number % steps_per_epoch_;
  const int64_t first = batch->step * config_.batch_size;
  const int64_t count = std::min(config_.batch_size, static_cast<int64_t>(order.size()) - first);
  std::vector<RowRange> ranges = config_.rows;
  if (ranges.empty()) ranges.push_back({0, count});
  std::vector<int64_t> places;
  for (const RowRange& range : ranges) {
    for (int64_t i = 0; i < range.count; ++i) places.push_back(first + range.first + i);
  }
  const size_t pixels = static_cast<size_t>(shape().pixels());
  batch->values.resize(places.size() * pixels);
  batch->labels.clear();
  batch->indices.clear();

  const CounterRandom epoch_random =
      CounterRandom(config_.seed).Stream("augment").Stream(static_cast<uint64_t>(batch->epoch));
  for (const int64_t place : places) {
    const Visit& visit = order[static_cast<size_t>(place)];
    const absl::Span<float> values =
        absl::MakeSpan(batch->values).subspan(batch->labels.size() * pixels, pixels);
    const absl::StatusOr<std::optional<int64_t>> index =
        MakeVisit(epoch_random, visit, workspace, values);
    if (!index.ok()) {
      return Annotate(index.status(), absl::StrCat("cannot load batch; epoch=", batch->epoch,
                                                   " step=", batch->step, " sample=", visit.index));
    }
    if (!index->has_value()) continue;
    batch->indices.push_back(**index);
    batch->labels.push_back(dataset_->Label(**index));
  }
  batch->values.resize(batch->labels.size() * pixels);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int64_t>> BatchLoader::MakeVisit(const CounterRandom& epoch_random,
                                                              const Visit& visit,
                                                              Workspace* workspace,
                                                              absl::Span<float> values) {
  const CounterRandom random = epoch_random.Stream(static_cast<uint64_t>(visit.index))
                                   .Stream(static_cast<uint64_t>(visit.repeat));
  const bool is_replaced = config_.last_batch == LastBatch::kDrop;
  absl::Status status;
  for (int64_t tries = 0; tries < kMostReplacements; ++tries) {
    const int64_t index = (visit.index + tries) % dataset_->size();
    status = MakeImage(random, index, workspace, values);
    if (status.ok()) return index;
    if (config_.corrupt_images == CorruptImagePolicy::kFail || !absl::IsDataLoss(status)) break;
    RecordSkipped(index, status);
    if (!is_replaced) return std::nullopt;
  }
  return status;
}

absl::Status BatchLoader::MakeImage(const CounterRandom& random, int64_t index,
                                    Workspace* workspace, absl::Span<float> values) const {
  if (pipeline_.takes_stored_images()) {
    DISTILL_RETURN_IF_ERROR(dataset_->Fetch(index, &workspace->stored));
    const absl::Status status =
        pipeline_.ApplyToStored(random, workspace->stored, &workspace->transform, values);
    return status.ok() ? status : CannotDecode(*dataset_, index, status);
  }
  workspace->pixels.resize(static_cast<size_t>(dataset_->shape().pixels()));
  DISTILL_RETURN_IF_ERROR(dataset_->Read(index, absl::MakeSpan(workspace->pixels)));
  pipeline_.Apply(random, absl::MakeSpan(workspace->pixels), &workspace->transform, values);
  return absl::OkStatus();
}

void BatchLoader::RecordSkipped(int64_t index, const absl::Status& reason) {
  {
    MutexLock lock(skipped_mutex_);
    if (!skipped_.emplace(index, reason.message()).second) return;
  }
  LogWarning("image left out", {{"reason", reason.message()}});
}

SkippedImages BatchLoader::skipped() const {
  MutexLock lock(skipped_mutex_);
  SkippedImages skipped;
  skipped.count = static_cast<int64_t>(skipped_.size());
  for (const auto& [index, reason] : skipped_) {
    if (skipped.named.size() == kMostNamed) break;
    skipped.named.push_back(reason);
  }
  return skipped;
}

}  // namespace distill::data
