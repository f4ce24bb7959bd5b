// Finds signatures whose cosine distances tell the links of a graph from its other pairs: where the
// mediators of a Neural Attentive Circuit start.
//
// Uses only IEEE additions, products, quotients and square roots in a fixed order, so the result is
// the same, bit for bit, on every x86-64 machine.
//
// Legend: n nodes, D width of a signature, d_uv = 1 - cos(s_u, s_v).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/priors/graph/graph_prior.h"

namespace distill::priors {

struct FitConfig {
  int64_t signature_dim = 64;   // 1 to 4096
  int64_t steps = 1000;         // of Adam; 0 to 100000
  double learning_rate = 1e-3;  // above 0
  // Links are pulled to d <= threshold, all other pairs pushed to d >= threshold. 0 to 2.
  double threshold = 0.8;
};

// Rows of float32, one signature each.
struct Signatures {
  int64_t nodes = 0;
  int64_t dim = 0;
  std::vector<float> values;  // [nodes, dim], row-major

  const float* Row(int64_t u) const { return &values[static_cast<size_t>(u * dim)]; }
};

struct SignatureFit {
  Signatures signatures;
  double first_loss = 0.0;  // of the start
  double last_loss = 0.0;   // of the result
};

// Called after each step with the number of steps done; an error ends the fit with that error.
using FitProgress = std::function<absl::Status(int64_t steps_done)>;

// Starts from a random semi-orthogonal matrix and runs Adam (betas 0.9 and 0.999, epsilon 1e-8) on
// the mean over all n^2 ordered pairs of
//   max(threshold, d_uv) for linked pairs,  max(-threshold, -d_uv) for the others.
// Errors: kInvalidArgument naming the parameter; what `progress` returns.
absl::StatusOr<SignatureFit> FitSignatures(const Graph& graph, const FitConfig& config,
                                           uint64_t seed, const FitProgress& progress = nullptr);

// The signatures of the complete prior: all equal the first unit vector.
Signatures EqualSignatures(int64_t nodes, int64_t dim);

// Draws the prior's graph and fits signatures to it; equal signatures, without a fit, for the
// complete prior. The usual entry point.
struct FittedPrior {
  Graph graph;
  SignatureFit fit;
};
absl::StatusOr<FittedPrior> FitPrior(const PriorConfig& prior, const FitConfig& fit, uint64_t seed,
                                     const FitProgress& progress = nullptr);

}  // namespace distill::priors
