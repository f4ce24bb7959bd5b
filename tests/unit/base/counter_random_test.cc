// Seeds must mean the same numbers for ever: values are pinned, not only their statistics.
#include "base/counter_random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gmock/gmock.h"

namespace distill {
namespace {

using ::testing::ElementsAre;

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, MatchesPublishedVectors) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  EXPECT_THAT(
      Philox4x32({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, {0xffffffffU, 0xffffffffU}),
      ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
  EXPECT_THAT(
      Philox4x32({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U}),
      ElementsAre(0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U));
}

TEST(CounterRandomTest, StartsWithTheBlockOfCounterZero) {
  CounterRandom random(0);
  EXPECT_EQ(random.NextUint32(), 0x6627e8d5U);
  EXPECT_EQ(random.NextUint32(), 0xe169c58dU);
  EXPECT_EQ(random.NextUint64(), 0x9b00dbd8bc57ac4cULL);
}

TEST(CounterRandomTest, StreamsDoNotDependOnWhatWasDrawn) {
  CounterRandom random(7);
  CounterRandom before = random.Stream("augment").Stream(3);
  for (int i = 0; i < 1000; ++i) random.NextUint32();
  CounterRandom after = random.Stream("augment").Stream(3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(before.NextUint64(), after.NextUint64());
}

TEST(CounterRandomTest, StreamsDiffer) {
  const CounterRandom random(7);
  std::vector<uint64_t> firsts;
  for (uint64_t label = 0; label < 1000; ++label) {
    firsts.push_back(random.Stream(label).NextUint64());
    firsts.push_back(random.Stream(std::to_string(label)).NextUint64());
    firsts.push_back(CounterRandom(label).NextUint64());
  }
  std::sort(firsts.begin(), firsts.end());
  EXPECT_EQ(std::adjacent_find(firsts.begin(), firsts.end()), firsts.end());
}

TEST(CounterRandomTest, BelowIsUniform) {
  CounterRandom random(1);
  std::vector<int> counts(7);
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) ++counts[random.Below(7)];
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 7, 5 * std::sqrt(kDraws / 7.0));
}

TEST(CounterRandomTest, UniformStaysInsideItsInterval) {
  CounterRandom random(2);
  for (int i = 0; i < 100'000; ++i) {
    const double u = random.Uniform();
    EXPECT_GE(u, 0.0);
    EXPECT_LT(u, 1.0);
    const double narrow = random.Uniform(1.0, std::nextafter(1.0, 2.0));
    EXPECT_EQ(narrow, 1.0);
  }
}

TEST(CounterRandomTest, FillNormalEqualsRepeatedNormal) {
  CounterRandom one(3);
  CounterRandom other(3);
  std::vector<float> filled(1001);
  one.NextUint32();  // An odd start: numbers straddle blocks.
  other.NextUint32();
  one.FillNormal(filled.data(), filled.size());
  for (const float value : filled) EXPECT_EQ(value, static_cast<float>(other.Normal()));
  EXPECT_EQ(one.NextUint32(), other.NextUint32());
}

TEST(CounterRandomTest, FillUniformStaysBelowOne) {
  CounterRandom random(4);
  std::vector<float> filled(100'000);
  random.FillUniform(filled.data(), filled.size());
  EXPECT_GE(*std::min_element(filled.begin(), filled.end()), 0.0F);
  EXPECT_LT(*std::max_element(filled.begin(), filled.end()), 1.0F);
  EXPECT_NEAR(std::accumulate(filled.begin(), filled.end(), 0.0) / 1e5, 0.5, 5e-3);
}

TEST(CounterRandomTest, NormalHasMomentsOfTheStandardNormal) {
  CounterRandom random(5);
  constexpr int kDraws = 200'000;
  double sum = 0.0;
  double squares = 0.0;
  double fourths = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.012);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.017);
  EXPECT_NEAR(fourths / kDraws, 3.0, 0.12);
}

TEST(CounterRandomTest, GammaAndBetaHaveTheirMeans) {
  CounterRandom random(6);
  constexpr int kDraws = 100'000;
  for (const double shape : {0.2, 1.0, 3.5}) {
    double sum = 0.0;
    for (int i = 0; i < kDraws; ++i) sum += random.Gamma(shape);
    EXPECT_NEAR(sum / kDraws, shape, 5 * std::sqrt(shape / kDraws)) << shape;
  }
  double sum = 0.0;
  for (int i = 0; i < kDraws; ++i) sum += random.Beta(0.8, 1.6);
  EXPECT_NEAR(sum / kDraws, 1.0 / 3.0, 5e-3);
  for (int i = 0; i < 1000; ++i) {
    const double tiny = random.Beta(1e-4, 1e-4);  // Both gammas underflow now and then.
    EXPECT_GE(tiny, 0.0);
    EXPECT_LE(tiny, 1.0);
  }
}

TEST(CounterRandomTest, PermutationHoldsEachIndexOnce) {
  CounterRandom random(8);
  std::vector<uint32_t> order = random.Permutation(1000);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
  EXPECT_TRUE(random.Permutation(0).empty());
  EXPECT_THAT(random.Permutation(1), ElementsAre(0U));
}

// Every other distribution rests on these; a change of bits here changes every trained weight.
TEST(CounterRandomTest, PinsTheBitsOfEachDistribution) {
  CounterRandom random = CounterRandom(42).Stream("pin").Stream(1);
  EXPECT_EQ(random.NextUint32(), 1954614860U);
  EXPECT_EQ(random.Below(1000), 540U);
  EXPECT_EQ(random.Uniform(), 0x1.4c2a55b0e162fp-1);
  EXPECT_EQ(random.Normal(), -0x1.86b25d0d6a2cbp+0);
  EXPECT_EQ(random.Gamma(0.5), 0x1.1ed977899ee31p+0);
  EXPECT_EQ(random.Beta(0.8, 0.8), 0x1.e57b8580ad53p-9);
}

TEST(InverseNormalCdfTest, InvertsTheErrorFunction) {
  for (const double p : {1e-300, 1e-20, 1e-9, 1e-5, 0.01, 0.07, 0.0751, 0.3, 0.499}) {
    const double x = InverseNormalCdf(p);
    EXPECT_NEAR(0.5 * std::erfc(-x / std::sqrt(2.0)) / p, 1.0, 1e-12 * (1.0 + x * x)) << p;
  }
  EXPECT_EQ(InverseNormalCdf(0.5), 0.0);
  EXPECT_NEAR(InverseNormalCdf(0.975), 1.959963984540054, 1e-14);
  EXPECT_EQ(InverseNormalCdf(0.25), -InverseNormalCdf(0.75));
}

}  // namespace
}  // namespace distill
