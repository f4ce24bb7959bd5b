// What training minimises: cross-entropy against soft or hard targets, and distillation from a
// teacher's logits.
//
// Legend: B batch, K classes; z student logits, w teacher logits, t targets.
#pragma once

#include <torch/torch.h>

namespace distill::optimization {

// mean_b( -sum_k t_bk log softmax(z_b)_k ); logits and targets [B, K].
torch::Tensor SoftTargetCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets);

// (1 - s) * NLL + s * mean_k(-log p_k), mean over the batch; labels int64 [B], s = smoothing.
torch::Tensor SmoothedCrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels,
                                   double smoothing);

// Plain cross-entropy; labels int64 [B].
torch::Tensor CrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels);

enum class DistillationKind { kNone, kSoft, kHard };

// By what the sum of the soft distillation loss is divided. The reference divides by B * K, which
// makes the loss K times smaller than the usual mean over the batch.
enum class DistillationDivisor { kElements, kBatch };

struct DistillationConfig {
  DistillationKind kind = DistillationKind::kSoft;
  DistillationDivisor divisor = DistillationDivisor::kElements;
  double temperature = 1.0;    // > 0, soft only
  double teacher_share = 0.5;  // in [0, 1]; the cross-entropy gets the rest
};

// temperature^2 / divisor * sum_bk q (log q - log p), q = softmax(w / temperature), p likewise of z
// (Hinton et al. 2015, arXiv:1503.02531). Logits [B, K]. No gradient reaches the teacher.
torch::Tensor SoftDistillation(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits, double temperature,
                               DistillationDivisor divisor);

// Cross-entropy against the teacher's best class.
torch::Tensor HardDistillation(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits);

// The parts of a distillation loss: scalars.
struct DistillationLoss {
  torch::Tensor total;          // (1 - share) * cross_entropy + share * distillation
  torch::Tensor cross_entropy;  // the loss as given
  torch::Tensor distillation;   // undefined for kNone, for which total is cross_entropy
};

DistillationLoss CombineDistillation(const torch::Tensor& cross_entropy,
                                     const torch::Tensor& student_logits,
                                     const torch::Tensor& teacher_logits,
                                     const DistillationConfig& config);

}  // namespace distill::optimization
