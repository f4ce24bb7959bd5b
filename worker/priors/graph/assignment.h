// The linear assignment problem: n workers, n jobs, and the cheapest way to give each one of the
// other.
#pragma once

#include <cstdint>
#include <vector>

namespace distill::priors {

// Returns for each row of `cost` ([n, n], row-major, finite) its column, such that the columns are
// a permutation and the sum of the costs is least (Jonker and Volgenant 1987, shortest augmenting
// paths; O(n^3)). Deterministic.
std::vector<int64_t> CheapestAssignment(const std::vector<double>& cost, int64_t n);

}  // namespace distill::priors
