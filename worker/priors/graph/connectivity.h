// How the links that fitted signatures give compare with the graph they were fitted to, and a
// picture of them. Attention reaches as far as `truncation`, which need not be the fit's threshold:
// pairs in between are linked although the prior did not ask for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "worker/priors/graph/graph_prior.h"
#include "worker/priors/graph/signature_fit.h"

namespace distill::priors {

// All shares are in [0, 1], of pairs u < v; 0 where there are no such pairs.
struct Connectivity {
  int64_t nodes = 0;
  int64_t edges = 0;     // of the graph
  double density = 0.0;  // edges among all pairs
  double threshold = 0.0;
  double truncation = 0.0;
  double edges_within_threshold = 0.0;     // edges with d <= threshold
  double non_edges_below_threshold = 0.0;  // other pairs with d < threshold: the fit failed there
  double nearest_non_edge = 0.0;           // least d of other pairs
  double edges_kept = 0.0;                 // edges with d <= truncation
  double non_edges_within_truncation = 0.0;
  double links = 0.0;  // all pairs with d <= truncation
  // Entry i: nodes with i links, to others, of the graph and within truncation. The last entry is
  // not 0, unless there is but one.
  std::vector<int64_t> graph_degrees;
  std::vector<int64_t> link_degrees;
};

// Requires as many signatures as nodes.
Connectivity MeasureConnectivity(const Graph& graph, const Signatures& signatures, double threshold,
                                 double truncation);

// An object with the fields above by their names.
nlohmann::json ToJson(const Connectivity& connectivity);

// [n, n] row-major: exp(-d_uv / bandwidth) where d_uv <= truncation, else 0. Requires bandwidth >
// 0.
std::vector<float> Affinities(const Signatures& signatures, double bandwidth, double truncation);

// A PNG of a square matrix of numbers in [0, 1], 8-bit grey: 0 is white, 1 is black, others are
// clamped. Every entry is a square of pixels, the larger the fewer there are, so that the sides
// have at least 256 pixels. Equal matrices give equal bytes (under one version of libpng and zlib).
// Errors: kInternal if libpng fails.
absl::StatusOr<std::string> MatrixPicture(const std::vector<float>& matrix, int64_t nodes);

}  // namespace distill::priors
