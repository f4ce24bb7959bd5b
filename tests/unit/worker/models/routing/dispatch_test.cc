// Who visits whom under capacities, priorities and groups.
#include "worker/models/routing/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace distill::models {
namespace {

using testing::ElementsAre;

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

torch::Tensor Choices(const std::vector<int64_t>& experts, int64_t slots) {
  return torch::tensor(experts, torch::kLong).view({-1, slots});
}

std::vector<int64_t> ToVector(const torch::Tensor& values) {
  return {values.data_ptr<int64_t>(), values.data_ptr<int64_t>() + values.numel()};
}

TEST(SortByExpertTest, VisitsAreGroupedInTokenOrder) {
  const Routing routing = SortByExpert(Choices({2, 0, 0, 2, 2, 1}, 2), 4);
  EXPECT_THAT(routing.counts, ElementsAre(2, 1, 3, 0));
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(ToVector(routing.places), ElementsAre(3, 0, 1, 4, 5, 2));
  EXPECT_EQ(routing.asked, 6);
  EXPECT_EQ(routing.dropped, 0);
}

TEST(DispatchWithinCapacityTest, WithoutLimitEveryVisitTakesPlace) {
  const torch::Tensor experts = Choices({2, 0, 0, 2, 2, 1}, 2);
  const Routing routing = DispatchWithinCapacity(experts, {}, {}, {{0, 3, kNoLimit}}, 4);
  const Routing sorted = SortByExpert(experts, 4);
  EXPECT_EQ(routing.counts, sorted.counts);
  EXPECT_TRUE(torch::equal(routing.places, sorted.places));
  EXPECT_TRUE(torch::equal(routing.tokens, sorted.tokens));
}

TEST(DispatchWithinCapacityTest, FirstChoicesComeBeforeSecondOnes) {
  // Token 0 asks for expert 1 second, token 1 first: token 1 gets the only place.
  const Routing routing = DispatchWithinCapacity(Choices({0, 1, 1, 0}, 2), {}, {}, {{0, 2, 1}}, 2);
  EXPECT_THAT(routing.counts, ElementsAre(1, 1));
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0, 1));
  EXPECT_THAT(ToVector(routing.places), ElementsAre(0, -1, 1, -1));
  EXPECT_EQ(routing.dropped, 2);
}

TEST(DispatchWithinCapacityTest, CapacityOfNothingDropsEverything) {
  const Routing routing = DispatchWithinCapacity(Choices({0, 1}, 1), {}, {}, {{0, 2, 0}}, 2);
  EXPECT_THAT(routing.counts, ElementsAre(0, 0));
  EXPECT_THAT(ToVector(routing.places), ElementsAre(-1, -1));
  EXPECT_EQ(routing.tokens.numel(), 0);
  EXPECT_EQ(routing.dropped, 2);
}

TEST(DispatchWithinCapacityTest, GroupsDoNotShareRoom) {
  const auto groups = GroupsOf(5, 2, [](int64_t) { return int64_t{1}; });
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[2].tokens, 1);
  const Routing routing = DispatchWithinCapacity(Choices({0, 0, 0, 0, 0}, 1), {}, {}, groups, 1);
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0, 2, 4));
}

TEST(DispatchWithinCapacityTest, EqualPrioritiesKeepTheOrderOfTokens) {
  const torch::Tensor experts = Choices({0, 0, 0, 0}, 1);
  const torch::Tensor priorities = torch::tensor({0.5, 0.7, 0.7, 0.7});
  const Routing routing = DispatchWithinCapacity(experts, priorities, {}, {{0, 4, 2}}, 1);
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(1, 2));
}

TEST(DispatchWithinCapacityTest, PrioritiesThatAreNotNumbersComeLast) {
  const torch::Tensor experts = Choices({0, 0, 0, 0}, 1);
  const torch::Tensor priorities =
      torch::tensor({std::nan(""), 0.1, std::nan(""), 0.2}, torch::kDouble);
  const Routing routing = DispatchWithinCapacity(experts, priorities, {}, {{0, 4, 3}}, 1);
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0, 1, 3));
}

TEST(DispatchWithinCapacityTest, VisitsThatAreNotKeptLeaveTheirRoomUnused) {
  const torch::Tensor keep = torch::tensor({1, 0, 1}, torch::kLong).view({3, 1});
  const Routing routing = DispatchWithinCapacity(Choices({0, 0, 0}, 1), {}, keep, {{0, 3, 2}}, 1);
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0));
  EXPECT_EQ(routing.dropped, 2);
}

TEST(DispatchByExpertTest, ExpertsTakeTheTokensOfLargestGate) {
  const torch::Tensor gates = torch::tensor({0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.4, 0.6}).view({4, 2});
  const Routing routing = DispatchByExpert(gates, {{0, 4, 2}});
  EXPECT_THAT(routing.counts, ElementsAre(2, 2));
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ToVector(routing.places), ElementsAre(0, -1, 1, -1, -1, 2, -1, 3));
  EXPECT_EQ(routing.dropped, 0);
}

TEST(DispatchByExpertTest, TokensThatNobodyTakesAreCounted) {
  const torch::Tensor gates = torch::tensor({0.5, 0.5, 0.5, 0.5, 0.9, 0.1}).view({3, 2});
  const Routing routing = DispatchByExpert(gates, {{0, 3, 1}});
  // Expert 0 prefers token 2; expert 1 has two equals and takes the earlier.
  EXPECT_THAT(ToVector(routing.tokens), ElementsAre(2, 0));
  EXPECT_EQ(routing.asked, 3);
  EXPECT_EQ(routing.dropped, 1);
}

TEST(DispatchByExpertTest, CapacityBeyondTheGroupTakesAll) {
  const Routing routing =
      DispatchByExpert(torch::full({3, 2}, std::nan("")), {{0, 2, 8}, {2, 1, 8}});
  EXPECT_THAT(routing.counts, ElementsAre(3, 3));
  EXPECT_EQ(routing.dropped, 0);
}

}  // namespace
}  // namespace distill::models
