#include "worker/data/batch_loader.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_context.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

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
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<BatchLoader>> BatchLoader::Create(
    std::shared_ptr<const Dataset> dataset, const LoaderConfig& config, const Clock& clock) {
  DISTILL_RETURN_IF_ERROR(Validate(config, dataset->size()));
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
  const absl::Status status = MakeBatch(assignment, &batch);
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
    const absl::Status status = MakeBatch(assignment, &batch);
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

absl::Status BatchLoader::MakeBatch(const Assignment& assignment, Batch* batch) const {
  const std::vector<Visit>& order = assignment.plan->order;
  batch->epoch = assignment.plan->epoch;
  batch->step = assignment.number % steps_per_epoch_;
  const int64_t first = batch->step * config_.batch_size;
  const int64_t count = std::min(config_.batch_size, static_cast<int64_t>(order.size()) - first);
  const size_t pixels = static_cast<size_t>(dataset_->shape().pixels());
  batch->values.resize(static_cast<size_t>(count) * pixels);
  batch->labels.resize(static_cast<size_t>(count));
  batch->indices.resize(static_cast<size_t>(count));

  const CounterRandom epoch_random =
      CounterRandom(config_.seed).Stream("augment").Stream(static_cast<uint64_t>(batch->epoch));
  std::vector<uint8_t> image(pixels);
  std::vector<uint8_t> scratch(pixels);
  for (size_t i = 0; i < batch->indices.size(); ++i) {
    const auto [index, repeat] = order[static_cast<size_t>(first) + i];
    if (absl::Status status = dataset_->Read(index, absl::MakeSpan(image)); !status.ok()) {
      return Annotate(status, absl::StrCat("cannot load batch; epoch=", batch->epoch,
                                           " step=", batch->step, " sample=", index));
    }
    batch->indices[i] = index;
    batch->labels[i] = dataset_->Label(index);
    const CounterRandom random =
        epoch_random.Stream(static_cast<uint64_t>(index)).Stream(static_cast<uint64_t>(repeat));
    pipeline_.Apply(random, absl::MakeSpan(image), absl::MakeSpan(scratch),
                    absl::MakeSpan(batch->values).subspan(i * pixels, pixels));
  }
  return absl::OkStatus();
}

}  // namespace distill::data
