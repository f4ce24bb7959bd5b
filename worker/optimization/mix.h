// Mixup (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899):
// images of a batch are blended with their mirror in the batch (b with B - 1 - b), and so are the
// labels. What is drawn is separate from what is done with it.
//
// Legend: B batch, C channels, H height, W width, K classes.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "base/counter_random.h"

namespace distill::optimization {

struct MixConfig {
  double mixup_alpha = 0.8;         // 0 switches Mixup off
  double cutmix_alpha = 1.0;        // 0 switches CutMix off
  double probability = 1.0;         // of mixing a batch at all
  double switch_probability = 0.5;  // of CutMix, when both are on
  double label_smoothing = 0.1;
};

enum class MixKind { kNone, kMixup, kCutMix };

// A rectangle of pixels: rows [top, bottom), columns [left, right).
struct PixelBox {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// One draw for a batch. `own_share` is what an image keeps of itself, lambda in the papers.
struct MixDraw {
  MixKind kind = MixKind::kNone;
  double own_share = 1.0;
  PixelBox box;  // kCutMix only
};

// Draws for images of height x width; lambda is Beta(alpha, alpha). A CutMix share is corrected to
// the area that the clipped box really has.
MixDraw DrawMix(const MixConfig& config, int64_t height, int64_t width, CounterRandom random);

// The CutMix draw of a box whose centre is given, before clipping sqrt(1 - own_share) of each side.
MixDraw CutMixAround(double own_share, int64_t centre_row, int64_t centre_column, int64_t height,
                     int64_t width);

// Blends images [B, C, H, W]; returns a new tensor unless the draw is kNone.
torch::Tensor MixImages(const torch::Tensor& images, const MixDraw& draw);

// Float targets [B, K] of labels int64 [B]: own_share * smooth(label) + (1 - own_share) *
// smooth(label of the mirror), smooth being s / K off and 1 - s + s / K on the label.
torch::Tensor MixTargets(const torch::Tensor& labels, int64_t classes, double smoothing,
                         double own_share);

// The same for part of a batch: `opposite` is the part that mirrors it, in the order of the batch.
torch::Tensor MixImagesWith(const torch::Tensor& images, const torch::Tensor& opposite,
                            const MixDraw& draw);
torch::Tensor MixTargetsWith(const torch::Tensor& labels, const torch::Tensor& opposite,
                             int64_t classes, double smoothing, double own_share);

}  // namespace distill::optimization
