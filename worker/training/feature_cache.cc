#include "worker/training/feature_cache.h"

namespace distill::training {

void FeatureCache::Select(absl::string_view network) {
  if (network_ == network) return;
  network_ = std::string(network);
  features_.clear();
  size_bytes_ = 0;
}

torch::Tensor FeatureCache::Find(const std::string& image) const {
  const auto found = features_.find(image);
  return found == features_.end() ? torch::Tensor() : found->second;
}

void FeatureCache::Add(const std::string& image, const torch::Tensor& features) {
  const int64_t bytes = static_cast<int64_t>(features.nbytes() + image.size());
  if (size_bytes_ + bytes > most_bytes_) return;
  // A copy: `features` may be a view of something larger.
  if (features_.emplace(image, features.detach().clone()).second) size_bytes_ += bytes;
}

}  // namespace distill::training
