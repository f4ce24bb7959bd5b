// What training adds to the loss of a Neural Attentive Circuit so that its connectivity neither
// collapses nor forgets the prior: a repulsion of signatures, or closeness to a graphon.
//
// All functions are differentiable, work in the type of their arguments (float32 or float64) and
// use no randomness.
//
// Legend: N signatures of width D, n mediators, L layers with one bandwidth each.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/priors/graph/graph_prior.h"

namespace distill::priors {

// 1 - cos(s_u, s_v) for all pairs: [N, N] from [N, D].
torch::Tensor CosineDistances(const torch::Tensor& signatures);

// - sum over u < v with d_uv < hinge of d_uv: a scalar, the smaller the farther close pairs are.
torch::Tensor HingeRepulsion(const torch::Tensor& signatures, double hinge);

// exp(-d / bandwidth) where d <= truncation, else 0, with no gradient there. `bandwidth` is a
// scalar.
torch::Tensor LinkProbabilities(const torch::Tensor& distances, const torch::Tensor& bandwidth,
                                double truncation);

enum class GraphonPenalty {
  kSquaredDifference,  // mean of max((P - G)^2, clip)
  kBernoulli,          // mean of KL(G || P), P clamped to [1e-6, 1 - 1e-6]
};

// How far link probabilities are from a graphon; both [n, n], a scalar.
torch::Tensor GraphonDistance(const torch::Tensor& probabilities, const torch::Tensor& graphon,
                              GraphonPenalty penalty, double clip);

enum class RegulariserKind { kNone, kHingeRepulsion, kGraphon };

struct RegulariserConfig {
  RegulariserKind kind = RegulariserKind::kHingeRepulsion;
  double hinge = 0.4;  // cosine distance, 0 to 2
  // Of the graphon:
  PriorConfig prior;  // says which; its nodes are the mediators
  double truncation = 0.9;
  GraphonPenalty penalty = GraphonPenalty::kSquaredDifference;
  double clip = 0.0;
  bool match_rows_only = false;
  int64_t match_every = 1;  // steps between two matchings, at least 1
};

// What a regulariser looks at: live parameters of the network.
struct RegularisedSignatures {
  torch::Tensor inputs;                   // [U_in, D]
  torch::Tensor mediators;                // [n, D]
  torch::Tensor outputs;                  // [U_out, D]
  std::vector<torch::Tensor> bandwidths;  // L positive scalars, as the kernel uses them
};

// A regulariser during one training run. Keeps the matchings between steps, which a resumed run
// needs: save State() with the checkpoint. One thread only.
class SignatureRegulariser {
 public:
  // Errors: kInvalidArgument naming the setting, or the prior's parameter that does not fit.
  static absl::StatusOr<std::unique_ptr<SignatureRegulariser>> Create(
      const RegulariserConfig& config);

  // R, a scalar that is to be weighed and added to the loss of optimiser step `step` (from 0):
  // HingeRepulsion of all signatures, or the sum over layers of GraphonDistance after matching.
  // Micro-batches of one step pass the same `step`. Signatures that are not finite give a loss that
  // is not, and leave the matchings as they are.
  // Errors: kInvalidArgument if the shapes do not fit the configuration.
  absl::StatusOr<torch::Tensor> Loss(const RegularisedSignatures& signatures, int64_t step);

  // The permutations in force: int64 [L, n], or [0, 0] where there are none yet.
  torch::Tensor State() const;
  // Continues from State() of another run of the same configuration.
  // Errors: kInvalidArgument if it is not that.
  absl::Status Restore(const torch::Tensor& state);

  const RegulariserConfig& config() const { return config_; }

 private:
  SignatureRegulariser(RegulariserConfig config, torch::Tensor graphon);

  torch::Tensor GraphonLoss(const RegularisedSignatures& signatures, int64_t step);
  void Match(const torch::Tensor& distances, const std::vector<torch::Tensor>& bandwidths);

  const RegulariserConfig config_;
  const torch::Tensor graphon_;                  // float64 [n, n]; undefined for other kinds
  std::vector<std::vector<int64_t>> matchings_;  // by layer; empty before the first
  int64_t matched_at_ = -1;                      // step of the last matching in this process
};

}  // namespace distill::priors
