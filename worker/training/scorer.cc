#include "worker/training/scorer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"
#include "worker/data/batch_loader.h"

namespace distill::training {
namespace {

constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);

}  // namespace

Scorer::Scorer(const v1::MemberAssignment& assignment, const TrainingEnvironment& environment,
               Config config)
    : assignment_(assignment),
      environment_(environment),
      config_(std::move(config)),
      last_progress_(environment.clock.Now()) {}

absl::StatusOr<Score> Scorer::Run(std::shared_ptr<const data::Dataset> images,
                                  data::CorruptImagePolicy corrupt_images,
                                  const std::vector<int64_t>& classes) {
  const torch::NoGradGuard no_gradient;
  const torch::Tensor columns = torch::tensor(classes, torch::kLong).to(environment_.device);
  data::LoaderConfig config;
  config.batch_size = config_.batch_size;
  config.last_batch = data::LastBatch::kKeep;
  config.sampler.kind = data::SamplerKind::kSequential;
  config.transform = config_.transform;
  config.corrupt_images = corrupt_images;
  DISTILL_ASSIGN_OR_RETURN(
      const std::unique_ptr<data::BatchLoader> loader,
      data::BatchLoader::Create(std::move(images), config, environment_.clock));
  const data::ImageShape& shape = loader->shape();
  Score score;
  while (true) {
    DISTILL_RETURN_IF_ERROR(CheckGoingOn());
    DISTILL_ASSIGN_OR_RETURN(std::optional<data::Batch> batch, loader->Next());
    if (!batch.has_value()) return score;
    const auto size = static_cast<int64_t>(batch->labels.size());
    Add(torch::from_blob(batch->values.data(), {size, shape.channels, shape.height, shape.width})
            .to(environment_.device),
        torch::from_blob(batch->labels.data(), {size}, torch::kInt64).to(environment_.device),
        columns, &score);
    ReportProgress(size);
    loader->Recycle(*std::move(batch));
  }
}

absl::Status Scorer::CheckGoingOn() {
  if (environment_.observer.IsCancelled(assignment_.member()) ||
      environment_.observer.IsStopRequested()) {
    return absl::CancelledError("evaluation was stopped");
  }
  return absl::OkStatus();
}

void Scorer::Add(const torch::Tensor& images, const torch::Tensor& labels,
                 const torch::Tensor& columns, Score* score) const {
  std::vector<models::ExpertLoad> loads;
  models::ForwardContext context;
  context.random = config_.random.Stream(static_cast<uint64_t>(images_done_));
  context.expert_loads = &loads;
  torch::Tensor logits = config_.logits(images, context).to(torch::kFloat64);
  if (columns.numel() > 0) logits = logits.index_select(1, columns);
  score->images += labels.size(0);
  score->correct += (logits.argmax(1) == labels).sum().item<int64_t>();
  score->loss_sum -= logits.log_softmax(1).gather(1, labels.unsqueeze(1)).sum().item<double>();
  models::AddExpertLoads(loads, &score->expert_loads);
}

void Scorer::ReportProgress(int64_t images) {
  images_done_ += images;
  images_since_report_ += images;
  const MonotonicTime now = environment_.clock.Now();
  const double seconds = absl::ToDoubleSeconds(now - last_progress_);
  if (now - last_progress_ < kProgressInterval) return;
  v1::MemberProgress report;
  report.set_member(assignment_.member());
  report.set_started(true);
  v1::Progress& progress = *report.mutable_progress();
  progress.set_phase("evaluating");
  progress.set_step(images_done_);
  progress.set_total_steps(config_.total_images);
  progress.set_images_seen(images_done_);
  progress.set_loss(std::nan(""));
  const double speed = static_cast<double>(images_since_report_) / seconds;
  progress.set_images_per_second(speed);
  progress.set_eta_seconds(
      static_cast<double>(std::max<int64_t>(0, config_.total_images - images_done_)) / speed);
  environment_.observer.OnProgress(report);
  last_progress_ = now;
  images_since_report_ = 0;
}

}  // namespace distill::training
