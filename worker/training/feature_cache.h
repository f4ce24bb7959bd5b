// What frozen networks make of images, kept while the trainer lives. Few-shot episodes of one
// student share images, and each image goes through the frozen part once.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "absl/strings/string_view.h"

namespace distill::training {

// Holds the features of one network at a time, up to a number of bytes. One thread.
class FeatureCache {
 public:
  static constexpr int64_t kMostBytes = int64_t{256} << 20;

  explicit FeatureCache(int64_t most_bytes = kMostBytes) : most_bytes_(most_bytes) {}

  // Says of which network the next calls speak, and forgets what another one made. `network` names
  // its weights and everything else that its features depend on.
  void Select(absl::string_view network);

  // The features of an image, float32 [D]; undefined when they are not held. `image` names what the
  // network sees, pixel for pixel.
  torch::Tensor Find(const std::string& image) const;

  // Keeps the features of an image, if there is room.
  void Add(const std::string& image, const torch::Tensor& features);

  int64_t size_bytes() const { return size_bytes_; }

 private:
  const int64_t most_bytes_;
  int64_t size_bytes_ = 0;
  std::string network_;
  std::unordered_map<std::string, torch::Tensor> features_;
};

}  // namespace distill::training
