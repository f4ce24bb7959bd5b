// Grows and shrinks the loss scale.
#include "worker/optimization/loss_scaler.h"

#include "base/check.h"

namespace distill::optimization {

LossScaler::LossScaler(const LossScalerConfig& config)
    : config_(config), scale_(config.initial_scale) {
  DISTILL_CHECK(config.initial_scale > 0 && config.growth_interval > 0,
                "a loss scaler needs a positive scale and interval");
}

void LossScaler::Update(bool good) {
  if (!good) {
    scale_ *= config_.backoff;
    good_steps_ = 0;
    return;
  }
  if (++good_steps_ < config_.growth_interval) return;
  scale_ *= config_.growth;
  good_steps_ = 0;
}

std::vector<models::NamedTensor> LossScaler::ExportState() const {
  return {{"scale", torch::scalar_tensor(scale_, torch::kDouble)},
          {"good_steps", torch::scalar_tensor(good_steps_, torch::kLong)}};
}

absl::Status LossScaler::ImportState(const models::StateMap& state) {
  const auto scale = state.find("scale");
  const auto good_steps = state.find("good_steps");
  if (state.size() != 2 || scale == state.end() || good_steps == state.end() ||
      scale->second.numel() != 1 || good_steps->second.numel() != 1) {
    return absl::InvalidArgumentError(
        "cannot restore loss scaler: want scale and good_steps, scalars");
  }
  scale_ = scale->second.item<double>();
  good_steps_ = good_steps->second.item<int64_t>();
  return absl::OkStatus();
}

}  // namespace distill::optimization
