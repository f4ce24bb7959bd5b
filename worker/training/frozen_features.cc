#include "worker/training/frozen_features.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "worker/data/batch_loader.h"
#include "worker/data/sampler.h"
#include "worker/optimization/mix.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

// Names the weights, and what of the task says how they are used.
absl::StatusOr<std::string> NetworkName(const v1::MemberAssignment& assignment) {
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_ASSIGN_OR_RETURN(const Digest weights, DigestOfFile(path));
  v1::TaskSpec used;
  *used.mutable_student() = assignment.spec().student();
  *used.mutable_meta() = assignment.spec().meta();
  used.set_modules(assignment.spec().modules());
  used.set_patch_size(assignment.spec().patch_size());
  return absl::StrCat(weights.str(), used.SerializeAsString());
}

std::string ImageName(const std::vector<float>& pixels) {
  return Digest::OfBytes(absl::string_view(reinterpret_cast<const char*>(pixels.data()),
                                           pixels.size() * sizeof(float)))
      .str();
}

// For each image of the data set the row of its features; of one that was left out, those of the
// next that was not, which takes its place in training.
std::vector<int64_t> PlacesOf(const std::vector<int64_t>& indices, int64_t images) {
  std::vector<int64_t> places(static_cast<size_t>(images));
  for (int64_t i = 0; i < images; ++i) {
    const auto next = std::lower_bound(indices.begin(), indices.end(), i);
    places[static_cast<size_t>(i)] = next == indices.end() ? 0 : next - indices.begin();
  }
  return places;
}

}  // namespace

bool UsesFrozenFeatures(const v1::TaskSpec& spec) {
  return spec.kind() == v1::TASK_KIND_FEW_SHOT &&
         spec.few_shot().features() == v1::FEW_SHOT_FEATURES_CACHED;
}

absl::StatusOr<FrozenFeatures> ComputeFeatures(const v1::MemberAssignment& assignment,
                                               std::shared_ptr<const data::Dataset> dataset,
                                               const TaskImages& images,
                                               const models::Network& network,
                                               const std::function<absl::Status()>& may_go_on,
                                               const Clock& clock, FeatureCache& cache) {
  const torch::NoGradGuard no_gradient;
  DISTILL_ASSIGN_OR_RETURN(const std::string name, NetworkName(assignment));
  cache.Select(name);
  data::LoaderConfig config;
  // How a product is split up depends on the size of the batch, and with it the last bits.
  config.batch_size = 1;
  config.last_batch = data::LastBatch::kKeep;
  config.sampler.kind = data::SamplerKind::kSequential;
  config.transform = images.transform;
  config.corrupt_images = images.corrupt_images;
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<data::BatchLoader> loader,
                           data::BatchLoader::Create(std::move(dataset), config, clock));
  const data::ImageShape& shape = loader->shape();
  FrozenFeatures result;
  std::vector<torch::Tensor> rows;
  while (true) {
    DISTILL_RETURN_IF_ERROR(may_go_on());
    DISTILL_ASSIGN_OR_RETURN(std::optional<data::Batch> batch, loader->Next());
    if (!batch.has_value()) break;
    const std::string image = ImageName(batch->values);
    torch::Tensor features = cache.Find(image);
    if (!features.defined()) {
      features = network
                     .Features(torch::from_blob(batch->values.data(),
                                                {1, shape.channels, shape.height, shape.width})
                                   .to(models::DeviceOf(network)),
                               models::ForwardContext())
                     .squeeze(0)
                     .cpu();
      cache.Add(image, features);
    }
    rows.push_back(features);
    result.labels.push_back(batch->labels.front());
    result.indices.push_back(batch->indices.front());
    loader->Recycle(*std::move(batch));
  }
  if (rows.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot train on the episode: none of its images can be decoded; skipped=",
                     loader->skipped().count));
  }
  result.features = torch::stack(rows);
  return result;
}

FeatureBatches::FeatureBatches(const v1::TaskSpec& spec, FrozenFeatures features,
                               int64_t training_images, const TrainingPlan& plan,
                               int64_t first_step)
    : spec_(spec),
      features_(std::move(features)),
      labels_(torch::tensor(features_.labels, torch::kInt64)),
      places_(PlacesOf(features_.indices, training_images)),
      plan_(plan),
      micro_batch_(plan.FirstMicroBatch(first_step)) {}

absl::StatusOr<TrainingBatch> FeatureBatches::Next() {
  const int64_t epoch = plan_.EpochOf(micro_batch_);
  if (epoch != epoch_) {
    order_.clear();
    const auto images = static_cast<int64_t>(places_.size());
    for (const data::Visit& visit : data::EpochOrder(SamplerOf(spec_), images, epoch)) {
      order_.push_back(places_[static_cast<size_t>(visit.index)]);
    }
    epoch_ = epoch;
  }
  const int64_t begin = plan_.PlaceInEpoch(micro_batch_) * plan_.batch_size();
  ++micro_batch_;
  const torch::Tensor rows =
      torch::from_blob(order_.data() + begin, {plan_.batch_size()}, torch::kInt64);
  return TrainingBatch{
      features_.features.index_select(0, rows),
      optimization::MixTargets(labels_.index_select(0, rows), spec_.few_shot().ways(),
                               spec_.recipe().label_smoothing(),
                               /*own_share=*/1.0)};
}

}  // namespace distill::training
