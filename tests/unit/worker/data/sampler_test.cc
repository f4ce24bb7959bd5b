#include "worker/data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/support/status_matchers.h"

namespace distill::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int64_t> Indices(const std::vector<Visit>& visits) {
  std::vector<int64_t> indices;
  for (const Visit& visit : visits) indices.push_back(visit.index);
  return indices;
}

SamplerConfig Reference(int repeats, int ranks, int rank) {
  SamplerConfig config;
  config.kind = SamplerKind::kReference;
  config.repeats = repeats;
  config.ranks = ranks;
  config.rank = rank;
  return config;
}

// Values of torch 1.13 and of the reference program.
TEST(SamplerTest, ReproducesTorchPermutations) {
  EXPECT_THAT(TorchRandomPermutation(8, 0), ElementsAre(4, 0, 7, 3, 2, 5, 1, 6));
  EXPECT_TRUE(TorchRandomPermutation(0, 0).empty());
}

TEST(SamplerTest, ReproducesTheRepeatedAugmentationSampler) {
  std::vector<int64_t> order = Indices(EpochOrder(Reference(3, 4, 1), 512, 0));
  EXPECT_EQ(order.size(), 128U);
  order.resize(12);
  EXPECT_THAT(order, ElementsAre(172, 137, 159, 195, 269, 115, 369, 420, 154, 268, 336, 194));
}

TEST(SamplerTest, RepeatedAugmentationHasTheSizesOfTheReference) {
  EXPECT_EQ(EpochSize(Reference(3, 8, 0), 1281167), 160128);
  EXPECT_EQ(EpochSize(Reference(3, 8, 7), 100000), 12480);
}

TEST(SamplerTest, TellsTheRepeatsOfAnImageApart) {
  const std::vector<Visit> order = EpochOrder(Reference(3, 1, 0), 512, 2);
  ASSERT_EQ(order.size(), 512U);
  EXPECT_EQ(order[0].index, order[2].index);
  EXPECT_NE(order[2].index, order[3].index);
  EXPECT_EQ(order[0].repeat, 0);
  EXPECT_EQ(order[2].repeat, 2);
}

TEST(SamplerTest, DistributedReferencePadsFromTheBeginning) {
  std::vector<int64_t> seen;
  for (int rank = 0; rank < 4; ++rank) {
    const std::vector<int64_t> order = Indices(EpochOrder(Reference(1, 4, rank), 10, 1));
    EXPECT_EQ(order.size(), 3U);
    seen.insert(seen.end(), order.begin(), order.end());
  }
  const std::vector<int64_t> permutation = TorchRandomPermutation(10, 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), permutation[0]), 2);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), permutation[1]), 2);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), permutation[2]), 1);
}

TEST(SamplerTest, CounterVisitsEachImageOnceInAnOrderOfSeedAndEpoch) {
  SamplerConfig config;
  const auto order = [&](uint64_t seed, int64_t epoch) {
    config.seed = seed;
    return Indices(EpochOrder(config, 1000, epoch));
  };
  EXPECT_EQ(order(1, 2), order(1, 2));
  EXPECT_NE(order(1, 2), order(1, 3));
  EXPECT_NE(order(1, 2), order(2, 2));
  EXPECT_NE(order(1, 2), order(2, 1));
  std::vector<int64_t> sorted = order(1, 2);
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> all(1000);
  std::iota(all.begin(), all.end(), int64_t{0});
  EXPECT_EQ(sorted, all);
}

TEST(SamplerTest, RanksShareAnEpochWithoutOverlap) {
  SamplerConfig config;
  config.kind = SamplerKind::kSequential;
  config.ranks = 3;
  EXPECT_THAT(Indices(EpochOrder(config, 7, 0)), ElementsAre(0, 3, 6));
  config.rank = 2;
  EXPECT_THAT(Indices(EpochOrder(config, 7, 0)), ElementsAre(2, 5));
  EXPECT_EQ(EpochSize(config, 7), 2);
}

TEST(SamplerTest, NamesTheFieldThatDoesNotFit) {
  EXPECT_THAT(ValidateSampler(Reference(1, 2, 2)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sampler.rank")));
  SamplerConfig config;
  config.repeats = 0;
  EXPECT_THAT(ValidateSampler(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sampler.repeats")));
}

TEST(SamplerTest, CounterOrderRepeatsEachImageInARow) {
  SamplerConfig config;
  config.repeats = 3;
  config.seed = 5;
  const std::vector<Visit> order = EpochOrder(config, 10, 2);
  ASSERT_EQ(order.size(), 10U);  // As long as without repeats.
  SamplerConfig once = config;
  once.repeats = 1;
  const std::vector<Visit> permutation = EpochOrder(once, 10, 2);
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(order[i].index, permutation[i / 3].index);
    EXPECT_EQ(order[i].repeat, static_cast<int>(i % 3));
  }
  config.kind = SamplerKind::kSequential;
  EXPECT_THAT(ValidateSampler(config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("repeats")));
}

}  // namespace
}  // namespace distill::data
