// Cross-entropies and distillation losses.
#include "worker/optimization/losses.h"

namespace distill::optimization {

torch::Tensor SoftTargetCrossEntropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  return -(targets * torch::log_softmax(logits, -1)).sum(-1).mean();
}

torch::Tensor SmoothedCrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels,
                                   double smoothing) {
  const torch::Tensor log_p = torch::log_softmax(logits, -1);
  const torch::Tensor likelihood = -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
  return ((1.0 - smoothing) * likelihood - smoothing * log_p.mean(-1)).mean();
}

torch::Tensor CrossEntropy(const torch::Tensor& logits, const torch::Tensor& labels) {
  return torch::nll_loss(torch::log_softmax(logits, -1), labels);
}

torch::Tensor SoftDistillation(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits, double temperature,
                               DistillationDivisor divisor) {
  const torch::Tensor log_q = torch::log_softmax(teacher_logits.detach() / temperature, -1);
  const torch::Tensor log_p = torch::log_softmax(student_logits / temperature, -1);
  const int64_t count =
      divisor == DistillationDivisor::kElements ? student_logits.numel() : student_logits.size(0);
  return (log_q.exp() * (log_q - log_p)).sum() *
         (temperature * temperature / static_cast<double>(count));
}

torch::Tensor HardDistillation(const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits) {
  return CrossEntropy(student_logits, teacher_logits.argmax(-1));
}

DistillationLoss CombineDistillation(const torch::Tensor& cross_entropy,
                                     const torch::Tensor& student_logits,
                                     const torch::Tensor& teacher_logits,
                                     const DistillationConfig& config) {
  if (config.kind == DistillationKind::kNone) return {cross_entropy, cross_entropy, {}};
  const torch::Tensor distillation =
      config.kind == DistillationKind::kSoft
          ? SoftDistillation(student_logits, teacher_logits, config.temperature, config.divisor)
          : HardDistillation(student_logits, teacher_logits);
  return {(1.0 - config.teacher_share) * cross_entropy + config.teacher_share * distillation,
          cross_entropy, distillation};
}

}  // namespace distill::optimization
