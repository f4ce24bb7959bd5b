// Frank-Wolfe on the relaxed problem for a start, then exchanges of two nodes until none helps.
#include "worker/priors/graph_matching.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "worker/priors/graph/assignment.h"

namespace distill::priors {
namespace {

// Gains below this are rounding: entries are of order one, sums in float64.
constexpr double kLeastGain = 1e-9;
constexpr int kRelaxationSteps = 30;

void CheckMatrix(const torch::Tensor& matrix, int64_t n) {
  DISTILL_CHECK(matrix.dim() == 2 && matrix.size(0) == n && matrix.size(1) == n &&
                    matrix.scalar_type() == torch::kFloat64 && matrix.is_contiguous() &&
                    matrix.device().is_cpu(),
                "matching takes square float64 matrices of one size");
}

torch::Tensor AsIndex(const std::vector<int64_t>& permutation) {
  return torch::tensor(permutation, torch::kInt64);
}

torch::Tensor Permuted(const torch::Tensor& matrix, const std::vector<int64_t>& permutation) {
  const torch::Tensor index = AsIndex(permutation);
  return matrix.index_select(0, index).index_select(1, index);
}

std::vector<int64_t> Identity(int64_t n) {
  std::vector<int64_t> permutation(static_cast<size_t>(n));
  std::iota(permutation.begin(), permutation.end(), 0);
  return permutation;
}

std::vector<int64_t> Inverse(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> inverse(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) {
    inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  }
  return inverse;
}

// The assignment of rows to columns of greatest total `value`.
std::vector<int64_t> DearestAssignment(const torch::Tensor& value) {
  const torch::Tensor cost = value.neg().contiguous();
  const auto* data = cost.data_ptr<double>();
  return CheapestAssignment(std::vector<double>(data, data + cost.numel()), cost.size(0));
}

// Improves a permutation p by exchanging pairs; maximises f = sum_ij X_ij B_ij with X = A[p][p],
// which minimises the squared difference. With M = X B at hand, the gain of one exchange costs
// O(1), and carrying it out O(n^2).
class Exchanges {
 public:
  Exchanges(const torch::Tensor& a, const torch::Tensor& b, std::vector<int64_t> start)
      : n_(a.size(0)),
        permutation_(std::move(start)),
        x_tensor_(Permuted(a, permutation_).contiguous()),
        m_tensor_(x_tensor_.mm(b).contiguous()),
        b_tensor_(b),
        x_(x_tensor_.data_ptr<double>()),
        m_(m_tensor_.data_ptr<double>()),
        b_(b.data_ptr<double>()) {}

  // Each pass exchanges every node with its best partner, if that helps.
  std::vector<int64_t> Run() {
    for (bool improved = true; improved;) {
      improved = false;
      for (int64_t i = 0; i + 1 < n_; ++i) {
        int64_t partner = i;
        double best = kLeastGain;
        for (int64_t j = i + 1; j < n_; ++j) {
          const double gain = Gain(i, j);
          if (gain > best) {
            best = gain;
            partner = j;
          }
        }
        if (partner == i) continue;
        Exchange(i, partner);
        improved = true;
      }
    }
    return permutation_;
  }

 private:
  double X(int64_t i, int64_t j) const { return x_[i * n_ + j]; }
  double B(int64_t i, int64_t j) const { return b_[i * n_ + j]; }
  double M(int64_t i, int64_t j) const { return m_[i * n_ + j]; }

  // What f grows by when nodes i and j change places.
  double Gain(int64_t i, int64_t j) const {
    const double all = M(i, j) + M(j, i) - M(i, i) - M(j, j);
    // The sum above counts k = i and k = j, which move along.
    const double own =
        (X(i, j) - X(i, i)) * (B(i, i) - B(i, j)) + (X(j, j) - X(i, j)) * (B(i, j) - B(j, j));
    return 2.0 * (all - own) + (X(j, j) - X(i, i)) * (B(i, i) - B(j, j));
  }

  void Exchange(int64_t i, int64_t j) {
    std::swap(permutation_[static_cast<size_t>(i)], permutation_[static_cast<size_t>(j)]);
    std::swap_ranges(x_ + i * n_, x_ + (i + 1) * n_, x_ + j * n_);
    std::swap_ranges(m_ + i * n_, m_ + (i + 1) * n_, m_ + j * n_);
    const double* const b_i = b_ + i * n_;
    const double* const b_j = b_ + j * n_;
    for (int64_t row = 0; row < n_; ++row) {
      double* const x = x_ + row * n_;
      const double difference = x[i] - x[j];
      std::swap(x[i], x[j]);
      if (difference == 0.0) continue;
      double* const m = m_ + row * n_;
      for (int64_t k = 0; k < n_; ++k) m[k] += difference * (b_j[k] - b_i[k]);
    }
  }

  const int64_t n_;
  std::vector<int64_t> permutation_;
  const torch::Tensor x_tensor_;  // own the memory that the pointers below show
  const torch::Tensor m_tensor_;
  const torch::Tensor b_tensor_;
  double* const x_;
  double* const m_;
  const double* const b_;
};

double SquaredDifference(const torch::Tensor& a, const torch::Tensor& b,
                         const std::vector<int64_t>& permutation) {
  return (Permuted(a, permutation) - b).square().sum().item<double>();
}

// Maximises <A Q B, Q> over doubly stochastic Q, where Q[p_i, i] = 1 for a permutation p, and
// rounds the result to a permutation.
std::vector<int64_t> Relaxation(const torch::Tensor& a, const torch::Tensor& b,
                                torch::Tensor point) {
  torch::Tensor gradient = a.mm(point).mm(b);  // half of it
  for (int step = 0; step < kRelaxationSteps; ++step) {
    const std::vector<int64_t> column_of = DearestAssignment(gradient);
    const torch::Tensor corner_gradient = a.index_select(1, AsIndex(Inverse(column_of))).mm(b);
    torch::Tensor corner = torch::zeros_like(point);
    corner.scatter_(1, AsIndex(column_of).unsqueeze(1), 1.0);
    const torch::Tensor direction = corner - point;
    const torch::Tensor change = corner_gradient - gradient;
    // f(point + t direction) = f(point) + slope t + bend t^2
    const double bend = (change * direction).sum().item<double>();
    const double slope = 2.0 * (gradient * direction).sum().item<double>();
    const double t =
        bend < 0.0 ? std::clamp(-slope / (2.0 * bend), 0.0, 1.0) : (slope + bend > 0.0 ? 1.0 : 0.0);
    if (t * (slope + t * bend) <= kLeastGain) break;
    point = point + t * direction;
    gradient = gradient + t * change;
  }
  return Inverse(DearestAssignment(point));
}

}  // namespace

std::vector<int64_t> MatchGraphs(const torch::Tensor& a, const torch::Tensor& b,
                                 std::vector<int64_t> start) {
  torch::NoGradGuard no_grad;
  CheckMatrix(a, static_cast<int64_t>(start.size()));
  CheckMatrix(b, a.size(0));
  return Exchanges(a, b, std::move(start)).Run();
}

std::vector<int64_t> MatchGraphs(const torch::Tensor& a, const torch::Tensor& b) {
  torch::NoGradGuard no_grad;
  const int64_t n = a.size(0);
  CheckMatrix(a, n);
  CheckMatrix(b, n);
  std::vector<int64_t> best = Exchanges(a, b, Identity(n)).Run();
  const torch::Tensor centre = torch::full_like(a, 1.0 / static_cast<double>(n));
  std::vector<int64_t> relaxed = Exchanges(a, b, Relaxation(a, b, centre)).Run();
  if (SquaredDifference(a, b, relaxed) < SquaredDifference(a, b, best)) best = std::move(relaxed);
  return best;
}

std::vector<int64_t> MatchRows(const torch::Tensor& a, const torch::Tensor& b) {
  torch::NoGradGuard no_grad;
  CheckMatrix(a, a.size(0));
  CheckMatrix(b, a.size(0));
  // sum_j (A_aj - B_bj)^2 without its terms that no permutation changes.
  return DearestAssignment(b.mm(a.t()));
}

}  // namespace distill::priors
