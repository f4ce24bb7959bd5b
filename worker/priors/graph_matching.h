// Which mediator plays which node of a graphon: the quadratic assignment problem, solved well
// rather than perfectly (it is NP-hard), always in the same way.
//
// Legend: A, B symmetric matrices [n, n]; p a permutation; A[p][p] has entries A[p_i][p_j].
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace distill::priors {

// Returns a permutation p for which sum_ij (A[p_i][p_j] - B_ij)^2 is small and cannot be lowered by
// exchanging two nodes. A and B are float64, finite, contiguous, on the CPU.
//
// Without `start`, tries the identity and the relaxation of Vogelstein et al. ("Fast approximate
// quadratic programming for graph matching", 2015), each refined by exchanges, and returns the
// better. With `start`, a permutation that was good for a slightly different A, only refines that.
std::vector<int64_t> MatchGraphs(const torch::Tensor& a, const torch::Tensor& b);
std::vector<int64_t> MatchGraphs(const torch::Tensor& a, const torch::Tensor& b,
                                 std::vector<int64_t> start);

// The reference's matching: the p for which sum_ij (A[p_i][j] - B_ij)^2 is least, which permutes
// rows but leaves the columns where they were. B need not be a graph's.
std::vector<int64_t> MatchRows(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace distill::priors
