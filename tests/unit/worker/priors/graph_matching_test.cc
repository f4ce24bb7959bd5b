// Matchings against all permutations where these are few, and against hidden ones where they are
// not.
#include "worker/priors/graph_matching.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "base/counter_random.h"
#include "tests/support/status_matchers.h"
#include "worker/priors/graph/graphon.h"
#include "worker/priors/graph/signature_fit.h"
#include "worker/priors/signature_regulariser.h"

namespace distill::priors {
namespace {

torch::Tensor Permuted(const torch::Tensor& a, const std::vector<int64_t>& p) {
  const torch::Tensor index = torch::tensor(p, torch::kInt64);
  return a.index_select(0, index).index_select(1, index);
}

double Cost(const torch::Tensor& a, const torch::Tensor& b, const std::vector<int64_t>& p) {
  return (Permuted(a, p) - b).square().mean().item<double>();
}

double RowCost(const torch::Tensor& a, const torch::Tensor& b, const std::vector<int64_t>& p) {
  return (a.index_select(0, torch::tensor(p, torch::kInt64)) - b).square().mean().item<double>();
}

std::vector<int64_t> Identity(int64_t n) {
  std::vector<int64_t> p(static_cast<size_t>(n));
  std::iota(p.begin(), p.end(), 0);
  return p;
}

bool IsPermutation(std::vector<int64_t> p) {
  std::sort(p.begin(), p.end());
  return p == Identity(static_cast<int64_t>(p.size()));
}

std::vector<int64_t> Shuffle(int64_t n, uint64_t seed) {
  const std::vector<uint32_t> p = CounterRandom(seed).Permutation(static_cast<uint32_t>(n));
  return {p.begin(), p.end()};
}

torch::Tensor RandomSymmetric(int64_t n, uint64_t seed) {
  torch::Tensor a = torch::empty({n, n}, torch::kFloat64);
  CounterRandom random(seed);
  for (int64_t i = 0; i < a.numel(); ++i) a.data_ptr<double>()[i] = random.Uniform();
  return (a + a.t()).contiguous();
}

torch::Tensor GraphonOf(const PriorConfig& prior) {
  absl::StatusOr<std::vector<double>> graphon = Graphon(prior);
  EXPECT_THAT(graphon, IsOk());
  return torch::tensor(*graphon, torch::kFloat64).view({prior.nodes, prior.nodes});
}

// Four signatures of two clusters, as the reference program was run on.
torch::Tensor GoldenProbabilities() {
  const torch::Tensor signatures =
      torch::tensor({1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.95, 0.1, 0.0, 0.1, 0.9, 0.2}, torch::kFloat64)
          .view({4, 3});
  return LinkProbabilities(CosineDistances(signatures), torch::tensor(1.0, torch::kFloat64), 0.9);
}

torch::Tensor GoldenGraphon() {
  PriorConfig prior;
  prior.kind = PriorKind::kPlantedPartition;
  prior.nodes = 4;
  prior.communities = 2;
  return GraphonOf(prior);
}

TEST(GraphMatchingTest, GoldenStochasticBlockModel) {
  const torch::Tensor p = GoldenProbabilities();
  const torch::Tensor graphon = GoldenGraphon();
  EXPECT_NEAR(Cost(p, graphon, Identity(4)), 0.2928226, 1e-6);
  EXPECT_NEAR(RowCost(p, graphon, MatchRows(p, graphon)), 0.2350070, 1e-6);
  EXPECT_NEAR(RowCost(p, graphon, {3, 2, 1, 0}), 0.2350070, 1e-6);
  EXPECT_NEAR(Cost(p, graphon, {0, 2, 1, 3}), 0.0282000, 1e-6);
  EXPECT_NEAR(Cost(p, graphon, MatchGraphs(p, graphon)), 0.0282000, 1e-6);
  EXPECT_NEAR(Cost(p, graphon, MatchGraphs(p, graphon, Identity(4))), 0.0282000, 1e-6);
}

// On random matrices, which have no structure to find, nearly the best of all 5040 permutations.
TEST(GraphMatchingTest, IsNearTheBestOfAllPermutations) {
  int exact = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const torch::Tensor a = RandomSymmetric(6, 2 * seed);
    const torch::Tensor b = RandomSymmetric(6, 2 * seed + 1);
    std::vector<int64_t> p = Identity(6);
    double best = Cost(a, b, p);
    while (std::next_permutation(p.begin(), p.end())) best = std::min(best, Cost(a, b, p));
    const double got = Cost(a, b, MatchGraphs(a, b));
    EXPECT_GE(got, best - 1e-12);
    EXPECT_LE(got, 1.35 * best) << seed;
    exact += got < best + 1e-12 ? 1 : 0;
  }
  EXPECT_GE(exact, 8);
}

TEST(GraphMatchingTest, NoExchangeOfTwoNodesHelps) {
  const torch::Tensor a = RandomSymmetric(12, 1);
  const torch::Tensor b = RandomSymmetric(12, 2);
  std::vector<int64_t> p = MatchGraphs(a, b, Shuffle(12, 3));
  ASSERT_TRUE(IsPermutation(p));
  const double cost = Cost(a, b, p);
  for (size_t i = 0; i < p.size(); ++i) {
    for (size_t j = i + 1; j < p.size(); ++j) {
      std::swap(p[i], p[j]);
      EXPECT_GE(Cost(a, b, p), cost - 1e-10);
      std::swap(p[i], p[j]);
    }
  }
}

TEST(GraphMatchingTest, RowsOnlyIsTheCheapestAssignmentOfRows) {
  const torch::Tensor a = RandomSymmetric(6, 5);
  const torch::Tensor b = RandomSymmetric(6, 6);
  std::vector<int64_t> p = Identity(6);
  double best = RowCost(a, b, p);
  while (std::next_permutation(p.begin(), p.end())) best = std::min(best, RowCost(a, b, p));
  EXPECT_NEAR(RowCost(a, b, MatchRows(a, b)), best, 1e-12);
}

struct Hidden {
  PriorKind kind;
  int64_t nodes;
  double excess;  // over the cost of the order that the signatures were made in
};

// gtest prints parameters that it does not know as bytes.
std::ostream& operator<<(std::ostream& out, const Hidden& hidden) {
  return out << PriorName(hidden.kind) << " of " << hidden.nodes;
}

class HiddenOrderTest : public testing::TestWithParam<Hidden> {};

// Signatures fitted to a graph of the prior, then shuffled: matching finds an order about as good
// as the one that they were made in. Hardest is the ring, which looks the same from everywhere.
TEST_P(HiddenOrderTest, IsFound) {
  PriorConfig prior;
  prior.kind = GetParam().kind;
  prior.nodes = GetParam().nodes;
  FitConfig fit;
  fit.steps = 300;
  fit.threshold = 0.9;
  fit.learning_rate = 3e-3;
  absl::StatusOr<FittedPrior> fitted = FitPrior(prior, fit, 1);
  ASSERT_THAT(fitted, IsOk());
  const torch::Tensor signatures =
      torch::tensor(fitted->fit.signatures.values).view({prior.nodes, -1}).to(torch::kFloat64);
  const torch::Tensor p =
      LinkProbabilities(CosineDistances(signatures), torch::tensor(1.0, torch::kFloat64), 0.9);
  const torch::Tensor graphon = GraphonOf(prior);
  const torch::Tensor shuffled = Permuted(p, Shuffle(prior.nodes, 2)).contiguous();
  const std::vector<int64_t> found = MatchGraphs(shuffled, graphon);
  EXPECT_TRUE(IsPermutation(found));
  EXPECT_EQ(found, MatchGraphs(shuffled, graphon));
  const double made = Cost(p, graphon, Identity(prior.nodes));
  const double cost = Cost(shuffled, graphon, found);
  EXPECT_LE(cost, (1.0 + GetParam().excess) * made)
      << "shuffled=" << Cost(shuffled, graphon, Identity(prior.nodes));
}

INSTANTIATE_TEST_SUITE_P(Priors, HiddenOrderTest,
                         testing::Values(Hidden{PriorKind::kPlantedPartition, 64, 0.001},
                                         Hidden{PriorKind::kPlantedPartition, 256, 0.001},
                                         Hidden{PriorKind::kRingOfCliques, 64, 0.001},
                                         Hidden{PriorKind::kRingOfCliques, 256, 0.001},
                                         Hidden{PriorKind::kScaleFree, 256, 0.001},
                                         Hidden{PriorKind::kWattsStrogatz, 256, 0.25},
                                         Hidden{PriorKind::kErdosRenyi, 64, 0.001}));

}  // namespace
}  // namespace distill::priors
