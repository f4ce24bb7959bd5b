// The link probabilities that a prior stands for, as a matrix over ordered nodes: what the graphon
// regulariser keeps the student's mediators near (arXiv 2210.08031; its published code).
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "worker/priors/graph/graph_prior.h"

namespace distill::priors {

// Returns a symmetric matrix [n, n], row-major, of numbers in [0, 1]; i, j = 1 .. n below:
//   scale-free         sqrt(n / (i j)) / 16, at most 1, whatever the number of attachments
//   planted partition  p_in within a community, p_out elsewhere
//   ring of cliques    1 within a clique, 0 elsewhere, but 1 between the first node of a clique and
//   all
//                      nodes of the next one (not from the last to the first)
//   Erdos-Renyi        the link probability everywhere
//   Watts-Strogatz     1 - p where |i - j|, around the ring, is at most neighbours / 2, else p
//   times
//                      the share of neighbours among all nodes
//   complete           1 everywhere
// Errors: those of CheckPrior.
absl::StatusOr<std::vector<double>> Graphon(const PriorConfig& config);

}  // namespace distill::priors
