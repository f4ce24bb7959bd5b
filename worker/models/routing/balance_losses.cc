// The formulas of the papers, batched over groups.
#include "worker/models/routing/balance_losses.h"

#include <cmath>

namespace distill::models {
namespace {

constexpr double kVariationEpsilon = 1e-10;

torch::Tensor NormalCdf(const torch::Tensor& x) { return torch::erfc(x * -std::sqrt(0.5)) * 0.5; }

// E * sum_e share_e * gate_e over the last dimension.
torch::Tensor Product(const torch::Tensor& share, const torch::Tensor& gate) {
  return (share * gate).sum(-1) * static_cast<double>(gate.size(-1));
}

torch::Tensor OneHot(const torch::Tensor& choice, const torch::Tensor& like) {
  return torch::zeros_like(like).scatter_(-1, choice.unsqueeze(-1), 1.0);
}

}  // namespace

torch::Tensor SquaredVariation(const torch::Tensor& values) {
  const torch::Tensor mean = values.mean(-1);
  return (values - mean.unsqueeze(-1)).square().mean(-1) / mean.square();
}

torch::Tensor UnbiasedSquaredVariation(const torch::Tensor& values) {
  const int64_t count = values.size(-1);
  const torch::Tensor mean = values.mean(-1);
  const torch::Tensor squares = (values - mean.unsqueeze(-1)).square().sum(-1);
  return squares / static_cast<double>(count > 1 ? count - 1 : 1) /
         (mean.square() + kVariationEpsilon);
}

torch::Tensor ImportanceLoss(const torch::Tensor& gates) { return SquaredVariation(gates.sum(-2)); }

torch::Tensor GshardLoss(const torch::Tensor& gates, const torch::Tensor& first_choice) {
  return Product(OneHot(first_choice, gates.detach()).mean(-2), gates.mean(-2));
}

torch::Tensor SwitchLoss(const torch::Tensor& gates, const torch::Tensor& first_choice,
                         const torch::Tensor& kept) {
  const torch::Tensor mask = kept.to(gates.scalar_type());
  const torch::Tensor count = mask.sum(-1, /*keepdim=*/true).clamp_min(1.0);
  const torch::Tensor chosen = OneHot(first_choice, gates.detach()) * mask.unsqueeze(-1);
  return Product(chosen.sum(-2) / count, gates.sum(-2) / count);
}

torch::Tensor KthLargest(const torch::Tensor& logits, int64_t k) {
  return std::get<0>(logits.topk(k, -1)).select(-1, k - 1);
}

torch::Tensor LoadProbabilities(const torch::Tensor& clean, const torch::Tensor& noisy, int64_t k,
                                double deviation) {
  const torch::Tensor threshold = KthLargest(noisy, k).unsqueeze(-1);
  return NormalCdf((clean - threshold) / deviation);
}

torch::Tensor LoadLoss(const torch::Tensor& clean, const torch::Tensor& noisy, int64_t k,
                       double deviation) {
  return SquaredVariation(LoadProbabilities(clean, noisy, k, deviation).mean(-2));
}

torch::Tensor NoisyTopKProbabilities(const torch::Tensor& clean, const torch::Tensor& noisy,
                                     const torch::Tensor& deviation, int64_t k) {
  const torch::Tensor best = std::get<0>(noisy.topk(k + 1, -1));
  // An expert among the k best must stay above the next one, another must get above the k-th.
  const torch::Tensor to_stay = best.narrow(-1, k, 1), to_enter = best.narrow(-1, k - 1, 1);
  const torch::Tensor threshold = torch::where(noisy > to_stay, to_stay, to_enter);
  return NormalCdf((clean - threshold) / deviation);
}

}  // namespace distill::models
