// Gradients of the losses, and how their parts are combined.
#include "worker/optimization/losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/torch/gradient_check.h"

namespace distill::optimization {
namespace {

torch::Tensor Labels() { return torch::tensor({0, 5, 2, 2}, torch::kLong); }

TEST(LossGradientTest, AllLosses) {
  const torch::Tensor z = Variable({4, 6}, 1), w = Variable({4, 6}, 2).detach();
  const torch::Tensor targets = torch::softmax(Variable({4, 6}, 3).detach(), -1);
  EXPECT_TRUE(GradientsAgree([&] { return SoftTargetCrossEntropy(z, targets); }, {z}));
  EXPECT_TRUE(GradientsAgree([&] { return SmoothedCrossEntropy(z, Labels(), 0.1); }, {z}));
  EXPECT_TRUE(GradientsAgree([&] { return CrossEntropy(z, Labels()); }, {z}));
  EXPECT_TRUE(GradientsAgree([&] { return HardDistillation(z, w); }, {z}));
  for (const DistillationDivisor divisor :
       {DistillationDivisor::kElements, DistillationDivisor::kBatch}) {
    EXPECT_TRUE(GradientsAgree([&] { return SoftDistillation(z, w, 2.5, divisor); }, {z}));
  }
}

TEST(DistillationTest, EqualLogitsCostNothing) {
  const torch::Tensor z = Variable({4, 6}, 1).detach();
  EXPECT_NEAR(SoftDistillation(z, z, 3.0, DistillationDivisor::kBatch).item<double>(), 0.0, 1e-14);
}

TEST(DistillationTest, NoGradientReachesTheTeacher) {
  const torch::Tensor z = Variable({4, 6}, 1), w = Variable({4, 6}, 2);
  SoftDistillation(z, w, 1.0, DistillationDivisor::kBatch).backward();
  EXPECT_FALSE(w.grad().defined());
}

TEST(DistillationTest, PartsAddUpByShare) {
  const torch::Tensor z = Variable({4, 6}, 1).detach(), w = Variable({4, 6}, 2).detach();
  const torch::Tensor cross_entropy = torch::tensor(2.0, torch::kDouble);
  DistillationConfig config;
  config.teacher_share = 0.25;
  const DistillationLoss loss = CombineDistillation(cross_entropy, z, w, config);
  EXPECT_NEAR(loss.total.item<double>(), 0.75 * 2.0 + 0.25 * loss.distillation.item<double>(),
              1e-12);
  config.kind = DistillationKind::kNone;
  const DistillationLoss none = CombineDistillation(cross_entropy, z, w, config);
  EXPECT_EQ(none.total.item<double>(), 2.0);
  EXPECT_FALSE(none.distillation.defined());
}

TEST(CrossEntropyTest, SmoothedTargetsAndSmoothedLossAgree) {
  const torch::Tensor z = Variable({4, 6}, 1).detach();
  const torch::Tensor targets = torch::full({4, 6}, 0.1 / 6, torch::kDouble)
                                    .scatter_(1, Labels().unsqueeze(1), 0.9 + 0.1 / 6);
  EXPECT_NEAR(SoftTargetCrossEntropy(z, targets).item<double>(),
              SmoothedCrossEntropy(z, Labels(), 0.1).item<double>(), 1e-12);
}

}  // namespace
}  // namespace distill::optimization
