// Adam on the pair loss with the gradient written out: only pairs on the wrong side of the
// threshold have one, and these soon become few.
#include "worker/priors/graph/signature_fit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "base/status_macros.h"

namespace distill::priors {
namespace {

constexpr int64_t kMaxDim = 4096;
constexpr int64_t kMaxSteps = 100000;
constexpr double kTiniestNorm = 1e-12;

absl::Status Invalid(absl::string_view parameter, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot fit signatures: ", parameter, " ", cause));
}

absl::Status CheckFit(const FitConfig& config) {
  if (config.signature_dim < 1 || config.signature_dim > kMaxDim) {
    return Invalid("signature_dim",
                   absl::StrCat("must be 1 to ", kMaxDim, "; got=", config.signature_dim));
  }
  if (config.steps < 0 || config.steps > kMaxSteps) {
    return Invalid("fit_steps", absl::StrCat("must be 0 to ", kMaxSteps, "; got=", config.steps));
  }
  if (!(config.learning_rate > 0.0) || !std::isfinite(config.learning_rate)) {
    return Invalid("fit_learning_rate",
                   absl::StrCat("must be above 0; got=", config.learning_rate));
  }
  if (!(config.threshold >= 0.0 && config.threshold <= 2.0)) {
    return Invalid("fit_threshold", absl::StrCat("must be in [0, 2], the range of a cosine ",
                                                 "distance; got=", config.threshold));
  }
  return absl::OkStatus();
}

// A Gaussian matrix [nodes, dim] made orthonormal along its shorter side, by Gram-Schmidt carried
// out twice, which leaves no error above rounding.
std::vector<double> SemiOrthogonal(int64_t nodes, int64_t dim, CounterRandom random) {
  const int64_t length = std::max(nodes, dim);
  const int64_t count = std::min(nodes, dim);
  std::vector<std::vector<double>> vectors(static_cast<size_t>(count));
  for (auto& vector : vectors) {
    vector.resize(static_cast<size_t>(length));
    for (double& value : vector) value = random.Normal();
  }
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  for (size_t j = 0; j < vectors.size(); ++j) {
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t i = 0; i < j; ++i) {
        const double along = dot(vectors[i], vectors[j]);
        for (size_t e = 0; e < vectors[j].size(); ++e) vectors[j][e] -= along * vectors[i][e];
      }
    }
    const double norm = std::sqrt(dot(vectors[j], vectors[j]));
    for (double& value : vectors[j]) value /= norm;
  }
  std::vector<double> matrix(static_cast<size_t>(nodes * dim));
  for (int64_t u = 0; u < nodes; ++u) {
    for (int64_t e = 0; e < dim; ++e) {
      const auto vector = static_cast<size_t>(nodes >= dim ? e : u);
      const auto element = static_cast<size_t>(nodes >= dim ? u : e);
      matrix[static_cast<size_t>(u * dim + e)] = vectors[vector][element];
    }
  }
  return matrix;
}

// The loss and its gradient with respect to the signatures, for one graph.
class PairLoss {
 public:
  PairLoss(const Graph& graph, int64_t dim, double threshold)
      : graph_(&graph),
        nodes_(static_cast<size_t>(graph.nodes())),
        dim_(static_cast<size_t>(dim)),
        threshold_(static_cast<float>(threshold)),
        norms_(nodes_),
        unit_(nodes_ * dim_),
        transposed_(nodes_ * dim_),
        cosines_(nodes_),
        unit_gradient_(nodes_ * dim_) {}

  // Returns the loss at `signatures`, and overwrites `gradient`; both [n, D].
  double Evaluate(const std::vector<float>& signatures, std::vector<float>& gradient) {
    Normalise(signatures);
    std::fill(unit_gradient_.begin(), unit_gradient_.end(), 0.0f);
    double sum = 0.0;
    for (size_t u = 0; u < nodes_; ++u) {
      Cosines(u);
      sum += VisitPairs(u);
    }
    const double pairs = static_cast<double>(nodes_) * static_cast<double>(nodes_);
    // Each unordered pair counts twice; the diagonal's distance is the constant 0.
    const auto scale = static_cast<float>(2.0 / pairs);
    for (size_t u = 0; u < nodes_; ++u) {
      const float* unit = &unit_[u * dim_];
      const float* row = &unit_gradient_[u * dim_];
      float along = 0.0f;
      for (size_t e = 0; e < dim_; ++e) along += row[e] * unit[e];
      const float factor = scale / norms_[u];
      for (size_t e = 0; e < dim_; ++e) {
        gradient[u * dim_ + e] = factor * (row[e] - along * unit[e]);
      }
    }
    return 2.0 * sum / pairs;
  }

 private:
  void Normalise(const std::vector<float>& signatures) {
    for (size_t u = 0; u < nodes_; ++u) {
      double squares = 0.0;
      for (size_t e = 0; e < dim_; ++e) {
        const double value = signatures[u * dim_ + e];
        squares += value * value;
      }
      norms_[u] = static_cast<float>(std::max(std::sqrt(squares), kTiniestNorm));
      for (size_t e = 0; e < dim_; ++e) {
        const float value = signatures[u * dim_ + e] / norms_[u];
        unit_[u * dim_ + e] = value;
        transposed_[e * nodes_ + u] = value;
      }
    }
  }

  // cosines_[v] for all v > u. Runs along v, so that the compiler vectorises without reordering.
  void Cosines(size_t u) {
    float* const cosines = cosines_.data();
    std::fill(cosines + u, cosines + nodes_, 0.0f);
    for (size_t e = 0; e < dim_; ++e) {
      const float factor = unit_[u * dim_ + e];
      const float* const column = &transposed_[e * nodes_];
      for (size_t v = u + 1; v < nodes_; ++v) cosines[v] += factor * column[v];
    }
  }

  // Sums the loss of the pairs (u, v > u), and adds their gradient where they have one.
  double VisitPairs(size_t u) {
    const uint8_t* const linked = graph_->Row(static_cast<int64_t>(u));
    double sum = 0.0;
    for (size_t v = u + 1; v < nodes_; ++v) {
      const float distance = 1.0f - cosines_[v];
      if (linked[v] != 0) {
        sum += std::max(threshold_, distance);
        if (distance > threshold_) Move(u, v, -1.0f);
      } else {
        sum += std::max(-threshold_, -distance);
        if (distance < threshold_) Move(u, v, 1.0f);
      }
    }
    return sum;
  }

  void Move(size_t u, size_t v, float sign) {
    const float* const unit_u = &unit_[u * dim_];
    const float* const unit_v = &unit_[v * dim_];
    float* const row_u = &unit_gradient_[u * dim_];
    float* const row_v = &unit_gradient_[v * dim_];
    for (size_t e = 0; e < dim_; ++e) row_u[e] += sign * unit_v[e];
    for (size_t e = 0; e < dim_; ++e) row_v[e] += sign * unit_u[e];
  }

  const Graph* const graph_;
  const size_t nodes_;
  const size_t dim_;
  const float threshold_;
  std::vector<float> norms_;          // [n]
  std::vector<float> unit_;           // [n, D]
  std::vector<float> transposed_;     // [D, n]
  std::vector<float> cosines_;        // [n], of one row
  std::vector<float> unit_gradient_;  // [n, D]
};

// Adam (Kingma and Ba 2015, arXiv:1412.6980) without weight decay.
class Adam {
 public:
  Adam(size_t size, double learning_rate) : learning_rate_(learning_rate), m_(size), v_(size) {}

  void Step(const std::vector<float>& gradient, std::vector<float>& parameters) {
    beta1_power_ *= kBeta1;
    beta2_power_ *= kBeta2;
    const auto step = static_cast<float>(learning_rate_ / (1.0 - beta1_power_));
    const auto second = static_cast<float>(1.0 / (1.0 - beta2_power_));
    for (size_t i = 0; i < gradient.size(); ++i) {
      const float g = gradient[i];
      m_[i] = static_cast<float>(kBeta1) * m_[i] + static_cast<float>(1.0 - kBeta1) * g;
      v_[i] = static_cast<float>(kBeta2) * v_[i] + static_cast<float>(1.0 - kBeta2) * (g * g);
      parameters[i] -= step * m_[i] / (std::sqrt(v_[i] * second) + kEpsilon);
    }
  }

 private:
  static constexpr double kBeta1 = 0.9;
  static constexpr double kBeta2 = 0.999;
  static constexpr float kEpsilon = 1e-8f;

  const double learning_rate_;
  double beta1_power_ = 1.0;
  double beta2_power_ = 1.0;
  std::vector<float> m_;
  std::vector<float> v_;
};

}  // namespace

absl::StatusOr<SignatureFit> FitSignatures(const Graph& graph, const FitConfig& config,
                                           uint64_t seed, const FitProgress& progress) {
  DISTILL_RETURN_IF_ERROR(CheckFit(config));
  const std::vector<double> start =
      SemiOrthogonal(graph.nodes(), config.signature_dim, CounterRandom(seed).Stream("signatures"));
  std::vector<float> values(start.begin(), start.end());
  std::vector<float> gradient(values.size());
  PairLoss loss(graph, config.signature_dim, config.threshold);
  Adam adam(values.size(), config.learning_rate);

  SignatureFit fit;
  fit.first_loss = loss.Evaluate(values, gradient);
  fit.last_loss = fit.first_loss;
  for (int64_t step = 0; step < config.steps; ++step) {
    adam.Step(gradient, values);
    fit.last_loss = loss.Evaluate(values, gradient);
    if (progress) DISTILL_RETURN_IF_ERROR(progress(step + 1));
  }
  fit.signatures = {graph.nodes(), config.signature_dim, std::move(values)};
  return fit;
}

Signatures EqualSignatures(int64_t nodes, int64_t dim) {
  Signatures signatures{nodes, dim, std::vector<float>(static_cast<size_t>(nodes * dim))};
  for (int64_t u = 0; u < nodes; ++u) signatures.values[static_cast<size_t>(u * dim)] = 1.0f;
  return signatures;
}

absl::StatusOr<FittedPrior> FitPrior(const PriorConfig& prior, const FitConfig& fit, uint64_t seed,
                                     const FitProgress& progress) {
  DISTILL_ASSIGN_OR_RETURN(Graph graph, GenerateGraph(prior, seed));
  if (prior.kind == PriorKind::kComplete) {
    DISTILL_RETURN_IF_ERROR(CheckFit(fit));
    SignatureFit equal;
    equal.signatures = EqualSignatures(prior.nodes, fit.signature_dim);
    return FittedPrior{std::move(graph), std::move(equal)};
  }
  DISTILL_ASSIGN_OR_RETURN(SignatureFit fitted, FitSignatures(graph, fit, seed, progress));
  return FittedPrior{std::move(graph), std::move(fitted)};
}

}  // namespace distill::priors
