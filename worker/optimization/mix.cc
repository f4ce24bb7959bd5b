// Draws and applies Mixup and CutMix.
#include "worker/optimization/mix.h"

#include <algorithm>
#include <cmath>

namespace distill::optimization {
namespace {

torch::Tensor SmoothTargets(const torch::Tensor& labels, int64_t classes, double smoothing) {
  const double off = smoothing / static_cast<double>(classes);
  return torch::full({labels.size(0), classes}, off,
                     torch::TensorOptions(labels.device()).dtype(torch::kFloat))
      .scatter_(1, labels.unsqueeze(1), 1.0 - smoothing + off);
}

}  // namespace

MixDraw DrawMix(const MixConfig& config, int64_t height, int64_t width, CounterRandom random) {
  const bool mixup = config.mixup_alpha > 0.0, cutmix = config.cutmix_alpha > 0.0;
  if (!mixup && !cutmix) return {};
  // Each use has its own stream: a change of one probability leaves the other draws as they are.
  if (random.Stream("mix").Uniform() >= config.probability) return {};
  const bool cut =
      cutmix && (!mixup || random.Stream("kind").Uniform() < config.switch_probability);
  const double alpha = cut ? config.cutmix_alpha : config.mixup_alpha;
  const double own_share = random.Stream("share").Beta(alpha, alpha);
  if (!cut) return {MixKind::kMixup, own_share, {}};
  CounterRandom centre = random.Stream("centre");
  const int64_t row = centre.Below(static_cast<uint32_t>(height));
  const int64_t column = centre.Below(static_cast<uint32_t>(width));
  return CutMixAround(own_share, row, column, height, width);
}

MixDraw CutMixAround(double own_share, int64_t centre_row, int64_t centre_column, int64_t height,
                     int64_t width) {
  const double side = std::sqrt(1.0 - own_share);
  const int64_t half_height = static_cast<int64_t>(static_cast<double>(height) * side) / 2;
  const int64_t half_width = static_cast<int64_t>(static_cast<double>(width) * side) / 2;
  MixDraw draw;
  draw.kind = MixKind::kCutMix;
  draw.box.top = std::clamp<int64_t>(centre_row - half_height, 0, height);
  draw.box.bottom = std::clamp<int64_t>(centre_row + half_height, 0, height);
  draw.box.left = std::clamp<int64_t>(centre_column - half_width, 0, width);
  draw.box.right = std::clamp<int64_t>(centre_column + half_width, 0, width);
  const int64_t area = (draw.box.bottom - draw.box.top) * (draw.box.right - draw.box.left);
  draw.own_share = 1.0 - static_cast<double>(area) / static_cast<double>(height * width);
  return draw;
}

torch::Tensor MixImages(const torch::Tensor& images, const MixDraw& draw) {
  return draw.kind == MixKind::kNone ? images : MixImagesWith(images, images, draw);
}

torch::Tensor MixImagesWith(const torch::Tensor& images, const torch::Tensor& opposite,
                            const MixDraw& draw) {
  if (draw.kind == MixKind::kNone) return images;
  const torch::Tensor mirror = opposite.flip(0);
  if (draw.kind == MixKind::kMixup) {
    return images * draw.own_share + mirror * (1.0 - draw.own_share);
  }
  using torch::indexing::Ellipsis;
  using torch::indexing::Slice;
  torch::Tensor mixed = images.clone();
  const Slice rows(draw.box.top, draw.box.bottom), columns(draw.box.left, draw.box.right);
  mixed.index_put_({Ellipsis, rows, columns}, mirror.index({Ellipsis, rows, columns}));
  return mixed;
}

torch::Tensor MixTargets(const torch::Tensor& labels, int64_t classes, double smoothing,
                         double own_share) {
  return MixTargetsWith(labels, labels, classes, smoothing, own_share);
}

torch::Tensor MixTargetsWith(const torch::Tensor& labels, const torch::Tensor& opposite,
                             int64_t classes, double smoothing, double own_share) {
  const torch::Tensor own = SmoothTargets(labels, classes, smoothing);
  if (own_share == 1.0) return own;
  const torch::Tensor other = SmoothTargets(opposite, classes, smoothing).flip(0);
  return own * own_share + other * (1.0 - own_share);
}

}  // namespace distill::optimization
