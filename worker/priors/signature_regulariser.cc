// The two regularisers and the matchings that they keep.
#include "worker/priors/signature_regulariser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "worker/priors/graph/graphon.h"
#include "worker/priors/graph_matching.h"

namespace distill::priors {
namespace {

constexpr double kSmallestProbability = 1e-6;
constexpr double kTiniestNorm = 1e-12;

absl::Status Invalid(absl::string_view setting, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot regularise signatures: ", setting, " ", cause));
}

absl::Status CheckConfig(const RegulariserConfig& config) {
  if (config.kind == RegulariserKind::kNone) return absl::OkStatus();
  if (config.kind == RegulariserKind::kHingeRepulsion) {
    if (config.hinge >= 0.0 && config.hinge <= 2.0) return absl::OkStatus();
    return Invalid("hinge", absl::StrCat("must be in [0, 2]; got=", config.hinge));
  }
  if (!(config.truncation >= 0.0 && config.truncation <= 2.0)) {
    return Invalid("truncation", absl::StrCat("must be in [0, 2]; got=", config.truncation));
  }
  if (!(config.clip >= 0.0)) {
    return Invalid("clip", absl::StrCat("must be at least 0; got=", config.clip));
  }
  if (config.match_every < 1) {
    return Invalid("match_every", absl::StrCat("must be at least 1; got=", config.match_every));
  }
  return absl::OkStatus();
}

absl::Status CheckShapes(const RegulariserConfig& config, const RegularisedSignatures& signatures) {
  const torch::Tensor& mediators = signatures.mediators;
  if (!mediators.defined() || mediators.dim() != 2) {
    return Invalid("mediators", "must be a matrix of signatures");
  }
  if (config.kind == RegulariserKind::kHingeRepulsion) {
    for (const torch::Tensor* others : {&signatures.inputs, &signatures.outputs}) {
      if (!others->defined() || others->dim() != 2 || others->size(1) != mediators.size(1)) {
        return Invalid("inputs and outputs", "must have signatures as wide as the mediators'");
      }
    }
    return absl::OkStatus();
  }
  if (mediators.size(0) != config.prior.nodes) {
    return Invalid("mediators", absl::StrCat("must be as many as the prior has; got=",
                                             mediators.size(0), " want=", config.prior.nodes));
  }
  if (signatures.bandwidths.empty()) return Invalid("bandwidths", "must be one per layer; got=0");
  for (const torch::Tensor& bandwidth : signatures.bandwidths) {
    if (!bandwidth.defined() || bandwidth.numel() != 1) {
      return Invalid("bandwidths", "must be scalars");
    }
  }
  return absl::OkStatus();
}

bool IsPermutation(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

}  // namespace

torch::Tensor CosineDistances(const torch::Tensor& signatures) {
  const torch::Tensor norms = signatures.norm(2, {1}, /*keepdim=*/true).clamp_min(kTiniestNorm);
  const torch::Tensor unit = signatures / norms;
  return 1.0 - unit.mm(unit.t());
}

torch::Tensor HingeRepulsion(const torch::Tensor& signatures, double hinge) {
  const torch::Tensor distances = CosineDistances(signatures);
  const torch::Tensor near = (distances < hinge).triu(1);
  return -distances.masked_select(near).sum();
}

torch::Tensor LinkProbabilities(const torch::Tensor& distances, const torch::Tensor& bandwidth,
                                double truncation) {
  const torch::Tensor probabilities = torch::exp(-distances / bandwidth);
  return probabilities.masked_fill(distances > truncation, 0.0);
}

torch::Tensor GraphonDistance(const torch::Tensor& probabilities, const torch::Tensor& graphon,
                              GraphonPenalty penalty, double clip) {
  if (penalty == GraphonPenalty::kSquaredDifference) {
    const torch::Tensor squares = (probabilities - graphon).square();
    return (clip > 0.0 ? squares.clamp_min(clip) : squares).mean();
  }
  const torch::Tensor p = probabilities.clamp(kSmallestProbability, 1.0 - kSmallestProbability);
  const torch::Tensor linked = torch::xlogy(graphon, graphon) - graphon * torch::log(p);
  const torch::Tensor missing = 1.0 - graphon;
  const torch::Tensor unlinked = torch::xlogy(missing, missing) - missing * torch::log(1.0 - p);
  return (linked + unlinked).mean();
}

absl::StatusOr<std::unique_ptr<SignatureRegulariser>> SignatureRegulariser::Create(
    const RegulariserConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckConfig(config));
  torch::Tensor matrix;
  if (config.kind == RegulariserKind::kGraphon) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<double> graphon, Graphon(config.prior));
    matrix = torch::tensor(graphon, torch::kFloat64).view({config.prior.nodes, -1});
  }
  return std::unique_ptr<SignatureRegulariser>(new SignatureRegulariser(config, std::move(matrix)));
}

SignatureRegulariser::SignatureRegulariser(RegulariserConfig config, torch::Tensor graphon)
    : config_(std::move(config)), graphon_(std::move(graphon)) {}

absl::StatusOr<torch::Tensor> SignatureRegulariser::Loss(const RegularisedSignatures& signatures,
                                                         int64_t step) {
  if (config_.kind == RegulariserKind::kNone) {
    return torch::zeros({}, signatures.mediators.options().requires_grad(false));
  }
  DISTILL_RETURN_IF_ERROR(CheckShapes(config_, signatures));
  if (config_.kind == RegulariserKind::kHingeRepulsion) {
    const torch::Tensor all =
        torch::cat({signatures.inputs, signatures.mediators, signatures.outputs});
    return HingeRepulsion(all, config_.hinge);
  }
  return GraphonLoss(signatures, step);
}

torch::Tensor SignatureRegulariser::GraphonLoss(const RegularisedSignatures& signatures,
                                                int64_t step) {
  const torch::Tensor distances = CosineDistances(signatures.mediators);
  if (!torch::isfinite(distances.detach()).all().item<bool>()) {
    // Nothing to match; the caller sees that the loss is not finite.
    return distances.sum();
  }
  const bool due = step % config_.match_every == 0 && step != matched_at_;
  if (due || matchings_.size() != signatures.bandwidths.size()) {
    Match(distances, signatures.bandwidths);
    matched_at_ = step;
  }
  const torch::Tensor graphon = graphon_.to(distances.options().requires_grad(false));
  torch::Tensor sum = torch::zeros({}, graphon.options());
  for (size_t layer = 0; layer < matchings_.size(); ++layer) {
    const torch::Tensor probabilities =
        LinkProbabilities(distances, signatures.bandwidths[layer], config_.truncation);
    const torch::Tensor index =
        torch::tensor(matchings_[layer], torch::kInt64).to(distances.device());
    torch::Tensor matched = probabilities.index_select(0, index);
    if (!config_.match_rows_only) matched = matched.index_select(1, index);
    sum = sum + GraphonDistance(matched, graphon, config_.penalty, config_.clip);
  }
  return sum;
}

// Layers whose bandwidths are equal share the work, as they all do at the start of a training.
void SignatureRegulariser::Match(const torch::Tensor& distances,
                                 const std::vector<torch::Tensor>& bandwidths) {
  torch::NoGradGuard no_grad;
  const torch::Tensor exact = distances.detach().to(torch::kCPU, torch::kFloat64);
  const bool fresh = matchings_.size() != bandwidths.size();
  std::vector<std::vector<int64_t>> matchings;
  std::vector<double> widths;
  for (size_t layer = 0; layer < bandwidths.size(); ++layer) {
    const torch::Tensor bandwidth =
        bandwidths[layer].detach().to(torch::kCPU, torch::kFloat64).reshape({});
    const double width = bandwidth.item<double>();
    size_t like = 0;
    while (like < layer &&
           (widths[like] != width || (!fresh && matchings_[like] != matchings_[layer]))) {
      ++like;
    }
    widths.push_back(width);
    if (like < layer) {
      matchings.push_back(matchings[like]);
      continue;
    }
    const torch::Tensor probabilities =
        LinkProbabilities(exact, bandwidth, config_.truncation).contiguous();
    if (config_.match_rows_only) {
      matchings.push_back(MatchRows(probabilities, graphon_));
    } else if (fresh) {
      matchings.push_back(MatchGraphs(probabilities, graphon_));
    } else {
      matchings.push_back(MatchGraphs(probabilities, graphon_, matchings_[layer]));
    }
  }
  matchings_ = std::move(matchings);
}

torch::Tensor SignatureRegulariser::State() const {
  const auto layers = static_cast<int64_t>(matchings_.size());
  if (layers == 0) return torch::zeros({0, 0}, torch::kInt64);
  std::vector<torch::Tensor> rows;
  for (const std::vector<int64_t>& matching : matchings_) {
    rows.push_back(torch::tensor(matching, torch::kInt64));
  }
  return torch::stack(rows);
}

absl::Status SignatureRegulariser::Restore(const torch::Tensor& state) {
  if (state.scalar_type() != torch::kInt64 || state.dim() != 2) {
    return Invalid("state", "must be a matrix of int64");
  }
  std::vector<std::vector<int64_t>> matchings;
  for (int64_t layer = 0; layer < state.size(0); ++layer) {
    const torch::Tensor row = state[layer].contiguous().cpu();
    const auto* data = row.data_ptr<int64_t>();
    matchings.emplace_back(data, data + row.numel());
    const bool fits =
        config_.kind == RegulariserKind::kGraphon && row.numel() == config_.prior.nodes;
    if (!fits || !IsPermutation(matchings.back())) {
      return Invalid("state",
                     absl::StrCat("must hold permutations of the mediators; layer=", layer));
    }
  }
  matchings_ = std::move(matchings);
  matched_at_ = -1;
  return absl::OkStatus();
}

}  // namespace distill::priors
