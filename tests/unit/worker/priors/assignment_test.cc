// The linear assignment against trying all permutations.
#include "worker/priors/graph/assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/counter_random.h"

namespace distill::priors {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

double Total(const std::vector<double>& cost, const std::vector<int64_t>& columns) {
  double total = 0.0;
  for (size_t row = 0; row < columns.size(); ++row) {
    total += cost[row * columns.size() + static_cast<size_t>(columns[row])];
  }
  return total;
}

double CheapestOfAll(const std::vector<double>& cost, int64_t n) {
  std::vector<int64_t> columns(static_cast<size_t>(n));
  std::iota(columns.begin(), columns.end(), 0);
  double cheapest = Total(cost, columns);
  while (std::next_permutation(columns.begin(), columns.end())) {
    cheapest = std::min(cheapest, Total(cost, columns));
  }
  return cheapest;
}

TEST(AssignmentTest, SolvesByHand) {
  EXPECT_THAT(CheapestAssignment({}, 0), IsEmpty());
  EXPECT_THAT(CheapestAssignment({7.0}, 1), ElementsAre(0));
  // Row 0 is cheapest at column 1, but row 2 needs that more.
  EXPECT_THAT(CheapestAssignment({2, 1, 9, 9, 9, 1, 9, 1, 9}, 3), ElementsAre(0, 2, 1));
}

// Whole numbers make ties, negative ones are as good as others.
TEST(AssignmentTest, IsAsCheapAsTheBestOfAllPermutations) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CounterRandom random(seed);
    const int64_t n = 1 + random.Below(7);
    std::vector<double> cost(static_cast<size_t>(n * n));
    for (double& value : cost) {
      value = seed % 2 == 0 ? random.Normal() : static_cast<double>(random.Below(5)) - 2.0;
    }
    const std::vector<int64_t> columns = CheapestAssignment(cost, n);
    std::vector<int64_t> sorted = columns;
    std::sort(sorted.begin(), sorted.end());
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i) << seed;
    ASSERT_NEAR(Total(cost, columns), CheapestOfAll(cost, n), 1e-12) << seed;
  }
}

TEST(AssignmentTest, FindsAHiddenPermutationAmongMany) {
  const int64_t n = 200;
  const std::vector<uint32_t> hidden = CounterRandom(7).Permutation(static_cast<uint32_t>(n));
  CounterRandom random(8);
  std::vector<double> cost(static_cast<size_t>(n * n));
  for (double& value : cost) value = 1.0 + random.Uniform();
  for (int64_t row = 0; row < n; ++row) {
    cost[static_cast<size_t>(row * n + hidden[static_cast<size_t>(row)])] = 0.5;
  }
  const std::vector<int64_t> columns = CheapestAssignment(cost, n);
  for (size_t row = 0; row < columns.size(); ++row) EXPECT_EQ(columns[row], hidden[row]);
}

}  // namespace
}  // namespace distill::priors
