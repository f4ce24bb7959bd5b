#include "worker/training/autocast.h"

#include <ATen/autocast_mode.h>

namespace distill::training {

absl::Status CheckPrecision(v1::Precision precision) {
  if (precision != v1::PRECISION_FLOAT16 || torch::cuda::is_available()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "cannot train: recipe.precision: float16 needs CUDA, which this trainer has not; set "
      "PRECISION_BFLOAT16 or PRECISION_FLOAT32");
}

AutocastScope::AutocastScope(v1::Precision precision) : precision_(precision) {
  if (precision_ == v1::PRECISION_BFLOAT16) {
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::set_autocast_gpu_dtype(torch::kBFloat16);
    at::autocast::set_cpu_enabled(true);
    at::autocast::set_enabled(torch::cuda::is_available());
  } else if (precision_ == v1::PRECISION_FLOAT16) {
    at::autocast::set_autocast_gpu_dtype(torch::kHalf);
    at::autocast::set_enabled(true);
  }
}

AutocastScope::~AutocastScope() {
  at::autocast::set_cpu_enabled(false);
  at::autocast::set_enabled(false);
  // It holds narrow copies of weights, which the next step changes.
  at::autocast::clear_cache();
}

torch::Tensor Widened(const torch::Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf
             ? x.to(torch::kFloat)
             : x;
}

}  // namespace distill::training
