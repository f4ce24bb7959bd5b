// Every instruction set's kernels of latents against plain loops in double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/counter_random.h"
#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models::kernels {
namespace {

std::vector<InstructionSet> AvailableSets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= ActiveInstructionSet()) sets.push_back(set);
  }
  return sets;
}

template <typename Scalar>
std::vector<Scalar> Random(int64_t count, uint64_t seed) {
  CounterRandom random(seed);
  std::vector<Scalar> values(static_cast<size_t>(count));
  for (Scalar& value : values) value = static_cast<Scalar>(random.Normal());
  return values;
}

template <typename Scalar>
constexpr double kTolerance = sizeof(Scalar) == 4 ? 1e-5 : 1e-12;

template <typename Scalar>
void ExpectNear(const std::vector<Scalar>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], kTolerance<Scalar> * (1.0 + std::abs(want[i]))) << i;
  }
}

template <typename Scalar>
class LatentKernelsTest : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LatentKernelsTest, Scalars);

// Attention in double, and its gradients for the loss sum(out * grad).
struct PlainAttention {
  std::vector<double> out, grad_q, grad_k, grad_v, grad_mask;
};

template <typename Scalar>
PlainAttention AttendPlainly(const MaskedAttentionShape& s, const std::vector<Scalar>& q,
                             const std::vector<Scalar>& k, const std::vector<Scalar>& v,
                             const std::vector<Scalar>& mask, const std::vector<Scalar>& grad) {
  const int64_t width = s.heads * s.head_elements;
  PlainAttention result;
  result.out.assign(q.size(), 0.0);
  result.grad_q.assign(q.size(), 0.0);
  result.grad_k.assign(k.size(), 0.0);
  result.grad_v.assign(k.size(), 0.0);
  result.grad_mask.assign(mask.size(), 0.0);
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t u = 0; u < s.receivers; ++u) {
        const auto received = [&](int64_t e) {
          return static_cast<size_t>((n * s.receivers + u) * width + h * s.head_elements + e);
        };
        const auto sent = [&](int64_t w, int64_t e) {
          return static_cast<size_t>((n * s.senders + w) * width + h * s.head_elements + e);
        };
        const auto masked = [&](int64_t w) {
          return static_cast<size_t>(((s.mask_per_item ? n * s.receivers : 0) + u) * s.senders + w);
        };
        std::vector<double> p(static_cast<size_t>(s.senders)), dp(p.size(), 0.0);
        double sum = 0.0, mean = 0.0;
        for (size_t w = 0; w < p.size(); ++w) {
          const int64_t sender = static_cast<int64_t>(w);
          double score = mask.empty() ? 0.0 : static_cast<double>(mask[masked(sender)]);
          for (int64_t e = 0; e < s.head_elements; ++e) {
            score += s.scale * static_cast<double>(q[received(e)]) *
                     static_cast<double>(k[sent(sender, e)]);
            dp[w] +=
                static_cast<double>(grad[received(e)]) * static_cast<double>(v[sent(sender, e)]);
          }
          p[w] = std::exp(score);
          sum += p[w];
        }
        for (double& value : p) value = sum > 0.0 ? value / sum : 0.0;
        for (size_t w = 0; w < p.size(); ++w) mean += p[w] * dp[w];
        for (size_t w = 0; w < p.size(); ++w) {
          const int64_t sender = static_cast<int64_t>(w);
          const double slope = p[w] * (dp[w] - mean);
          if (!mask.empty()) result.grad_mask[masked(sender)] += slope;
          for (int64_t e = 0; e < s.head_elements; ++e) {
            const size_t i = received(e), j = sent(sender, e);
            result.out[i] += p[w] * static_cast<double>(v[j]);
            result.grad_v[j] += p[w] * static_cast<double>(grad[i]);
            result.grad_q[i] += s.scale * slope * static_cast<double>(k[j]);
            result.grad_k[j] += s.scale * slope * static_cast<double>(q[i]);
          }
        }
      }
    }
  }
  return result;
}

TYPED_TEST(LatentKernelsTest, MaskedAttentionAndItsGradients) {
  using S = TypeParam;
  for (const MaskedAttentionShape& shape : {MaskedAttentionShape{2, 5, 7, 2, 3, true, 0.6},
                                            {1, 1, 1, 1, 1, false, 1.0},
                                            {2, 19, 80, 4, 16, true, 0.25},
                                            {2, 33, 21, 1, 70, false, 0.1},
                                            {1, 3, 130, 2, 9, false, 0.3}}) {
    const int64_t width = shape.heads * shape.head_elements;
    const int64_t pairs = shape.receivers * shape.senders;
    const auto q = Random<S>(shape.batch * shape.receivers * width, 1);
    const auto k = Random<S>(shape.batch * shape.senders * width, 2);
    const auto v = Random<S>(shape.batch * shape.senders * width, 3);
    const auto grad = Random<S>(shape.batch * shape.receivers * width, 5);
    auto mask = Random<S>((shape.mask_per_item ? shape.batch : 1) * pairs, 4);
    // The last receiver has no sender.
    std::fill(mask.end() - shape.senders, mask.end(), -std::numeric_limits<S>::infinity());
    for (const bool with_mask : {true, false}) {
      if (!with_mask) mask.clear();
      const PlainAttention want = AttendPlainly(shape, q, k, v, mask, grad);
      for (const InstructionSet set : AvailableSets()) {
        std::vector<S> out(q.size()), grad_q(q.size()), grad_k(k.size()), grad_v(k.size());
        std::vector<S> p(static_cast<size_t>(shape.batch * shape.heads * pairs));
        std::vector<S> grad_mask(mask.size());
        std::vector<S> workspace(static_cast<size_t>(MaskedAttentionWorkspace(shape)));
        const S* masked = with_mask ? mask.data() : nullptr;
        Kernels<S>(set).masked_attention_forward(shape, q.data(), k.data(), v.data(), masked,
                                                 out.data(), p.data(), workspace.data());
        ExpectNear(out, want.out);
        Kernels<S>(set).masked_attention_backward(
            shape, q.data(), k.data(), v.data(), p.data(), grad.data(), grad_q.data(),
            grad_k.data(), grad_v.data(), with_mask ? grad_mask.data() : nullptr, workspace.data());
        ExpectNear(grad_q, want.grad_q);
        ExpectNear(grad_k, want.grad_k);
        ExpectNear(grad_v, want.grad_v);
        ExpectNear(grad_mask, want.grad_mask);
      }
    }
  }
}

TYPED_TEST(LatentKernelsTest, GegluAndItsGradient) {
  using S = TypeParam;
  for (const int64_t half : {1, 16, 37}) {
    const int64_t rows = 3;
    const auto in = Random<S>(rows * 2 * half, 1), grad = Random<S>(rows * half, 2);
    std::vector<double> want, want_grad(in.size());
    for (int64_t i = 0; i < rows * half; ++i) {
      const size_t a = static_cast<size_t>(i / half * 2 * half + i % half);
      const size_t g = a + static_cast<size_t>(half);
      const double x = static_cast<double>(in[g]), factor = static_cast<double>(in[a]);
      const double slope = static_cast<double>(grad[static_cast<size_t>(i)]);
      const double cdf = 0.5 * std::erfc(-x * std::sqrt(0.5));
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * M_PI);
      want.push_back(factor * x * cdf);
      want_grad[a] = slope * x * cdf;
      want_grad[g] = slope * factor * (cdf + x * density);
    }
    for (const InstructionSet set : AvailableSets()) {
      std::vector<S> out(want.size()), grad_in(in.size());
      Kernels<S>(set).geglu(rows, half, in.data(), out.data());
      ExpectNear(out, want);
      Kernels<S>(set).geglu_backward(rows, half, in.data(), grad.data(), grad_in.data());
      ExpectNear(grad_in, want_grad);
    }
  }
}

TYPED_TEST(LatentKernelsTest, ScaleBackward) {
  using S = TypeParam;
  const int64_t batch = 4, count = 37;
  const auto in = Random<S>(batch * count, 1), scale = Random<S>(count, 2);
  const auto grad = Random<S>(batch * count, 3);
  std::vector<double> want(grad.size()), want_scale(static_cast<size_t>(count), 0.0);
  for (size_t i = 0; i < grad.size(); ++i) {
    const size_t j = i % static_cast<size_t>(count);
    want[i] = static_cast<double>(grad[i]) * static_cast<double>(scale[j]);
    want_scale[j] += static_cast<double>(grad[i]) * static_cast<double>(in[i]);
  }
  for (const InstructionSet set : AvailableSets()) {
    std::vector<S> got = grad, got_scale(static_cast<size_t>(count), S(0));
    Kernels<S>(set).scale_backward(batch, count, in.data(), scale.data(), got.data(),
                                   got_scale.data());
    ExpectNear(got, want);
    ExpectNear(got_scale, want_scale);
  }
}

TYPED_TEST(LatentKernelsTest, DepthwiseConvolutionAndTheGradientOfItsWeight) {
  using S = TypeParam;
  for (const DepthwiseShape& shape :
       {DepthwiseShape{2, 9, 16}, DepthwiseShape{1, 2, 19}, DepthwiseShape{2, 1, 3}}) {
    const int64_t side = shape.side, channels = shape.channels;
    const auto in = Random<S>(shape.batch * side * side * channels, 1);
    const auto grad = Random<S>(shape.batch * side * side * channels, 2);
    const auto weight = Random<S>(49 * channels, 3), bias = Random<S>(channels, 4);
    std::vector<double> want(in.size()), want_weight(weight.size(), 0.0);
    for (size_t o = 0; o < in.size(); ++o) {
      const int64_t c = static_cast<int64_t>(o) % channels;
      const int64_t cell = static_cast<int64_t>(o) / channels;
      const int64_t x = cell % side, y = cell / side % side, n = cell / (side * side);
      want[o] = static_cast<double>(bias[static_cast<size_t>(c)]);
      for (int64_t k = 0; k < 49; ++k) {
        const int64_t from_y = y + k / 7 - 3, from_x = x + k % 7 - 3;
        if (from_y < 0 || from_y >= side || from_x < 0 || from_x >= side) continue;
        const double value = static_cast<double>(
            in[static_cast<size_t>(((n * side + from_y) * side + from_x) * channels + c)]);
        want[o] += value * static_cast<double>(weight[static_cast<size_t>(k * channels + c)]);
        want_weight[static_cast<size_t>(k * channels + c)] += value * static_cast<double>(grad[o]);
      }
    }
    for (const InstructionSet set : AvailableSets()) {
      std::vector<S> out(in.size()), grad_weight(weight.size(), S(0));
      Kernels<S>(set).depthwise(shape, in.data(), weight.data(), bias.data(), out.data());
      ExpectNear(out, want);
      Kernels<S>(set).depthwise_backward_weight(shape, in.data(), grad.data(), grad_weight.data());
      ExpectNear(grad_weight, want_weight);
    }
  }
}

// The draws are Philox4x32-10's: word w of counter 16 c + l is number 64 c + 16 w + l.
TYPED_TEST(LatentKernelsTest, SampledLinksFollowTheGenerator) {
  using S = TypeParam;
  constexpr uint64_t kKey = 0x0123456789abcdefULL;
  const int64_t batch = 2, pairs = 70, chunks = 2;
  auto logits = Random<S>(pairs, 1);
  logits[3] = -std::numeric_limits<S>::infinity();
  for (const InstructionSet set : AvailableSets()) {
    std::vector<S> links(static_cast<size_t>(batch * pairs));
    Kernels<S>(set).sample_links(kKey, batch, pairs, 0.5, logits.data(), links.data());
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t j = 0; j < pairs; ++j) {
        const uint32_t counter = static_cast<uint32_t>(16 * (n * chunks + j / 64) + j % 64 % 16);
        const uint32_t bits =
            Philox4x32({counter, 0, 0, 0},
                       {static_cast<uint32_t>(kKey),
                        static_cast<uint32_t>(kKey >> 32)})[static_cast<size_t>(j % 64 / 16)];
        const double u = std::clamp((bits >> 8) * 0x1p-24, 0x1p-23, 1.0 - 0x1p-23);
        const double logit = static_cast<double>(logits[static_cast<size_t>(j)]);
        const double x = (std::log(u) - std::log1p(-u) + logit) / 0.5;
        const double want = x < 0.0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
        const S got = links[static_cast<size_t>(n * pairs + j)];
        if (std::isinf(logit)) {
          EXPECT_EQ(got, -std::numeric_limits<S>::infinity());
        } else {
          // 1 - u has 24 bits only in float.
          EXPECT_NEAR(got, want, 20.0 * kTolerance<S> * (1.0 + std::abs(want))) << n << " " << j;
        }
      }
    }
  }
}

TYPED_TEST(LatentKernelsTest, NormalNumbersAreTheInverseOfTheGeneratorsUniformOnes) {
  const int64_t count = 10'000;
  for (const InstructionSet set : AvailableSets()) {
    std::vector<float> got(static_cast<size_t>(count));
    Kernels<TypeParam>(set).random_normals(7, count, got.data());
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t counter = static_cast<uint32_t>(16 * (i / 64) + i % 16);
      const uint32_t bits =
          Philox4x32({counter, 0, 0, 0}, {7, 0})[static_cast<size_t>(i % 64 / 16)];
      const double below = InverseNormalCdf(((bits >> 9) + 0.5) * 0x1p-24);
      const double want = (bits >> 8) % 2 == 0 ? below : -below;
      const double value = static_cast<double>(got[static_cast<size_t>(i)]);
      ASSERT_NEAR(value, want, 2e-5 * (1.0 + std::abs(want))) << i;
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum / count, 0.0, 0.04);
    EXPECT_NEAR(squares / count, 1.0, 0.06);
  }
}

}  // namespace
}  // namespace distill::models::kernels
