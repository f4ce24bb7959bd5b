#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/data/test_images.h"
#include "worker/data/subset.h"

namespace distill::data {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MemoryDatasetTest, NamesTheFirstLabelThatIsOutOfRange) {
  EXPECT_THAT(MemoryDataset::Create({1, 1, 2}, 3, {1, 2, 3, 4, 5, 6}, {0, 2, 3}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("entry=2 label=3 classes=3")));
}

TEST(MemoryDatasetTest, RefusesPixelsThatDoNotMatchTheLabels) {
  EXPECT_THAT(MemoryDataset::Create({1, 1, 2}, 3, {1, 2, 3}, {0, 1}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pixel_bytes=3 want=4")));
  EXPECT_THAT(MemoryDataset::Create({0, 1, 2}, 3, {}, {0}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("channels=0")));
}

TEST(StatisticsTest, AreThoseOfEachChannel) {
  auto dataset = MemoryDataset::Create({2, 1, 2}, 1, {0, 255, 51, 51, 0, 255, 51, 51}, {0, 0});
  ASSERT_THAT(dataset, IsOk());
  const auto statistics = ComputeStatistics(**dataset);
  ASSERT_THAT(statistics, IsOk());
  EXPECT_THAT(statistics->mean, ElementsAre(DoubleEq(0.5), DoubleEq(0.2)));
  EXPECT_THAT(statistics->deviation, ElementsAre(DoubleEq(0.5), DoubleEq(0.0)));
}

TEST(ContentDigestTest, ChangesWithEveryPartOfTheContent) {
  const auto digest = [](const ImageShape& shape, int classes, std::vector<uint8_t> pixels,
                         std::vector<uint8_t> labels) {
    auto dataset =
        MemoryDataset::Create(shape, classes, std::move(pixels), std::move(labels)).value();
    return ContentDigest(*dataset).value().str();
  };
  const std::string base = digest({1, 1, 2}, 3, {1, 2, 3, 4}, {0, 1});
  EXPECT_EQ(base, digest({1, 1, 2}, 3, {1, 2, 3, 4}, {0, 1}));
  EXPECT_NE(base, digest({1, 2, 1}, 3, {1, 2, 3, 4}, {0, 1}));
  EXPECT_NE(base, digest({1, 1, 2}, 4, {1, 2, 3, 4}, {0, 1}));
  EXPECT_NE(base, digest({1, 1, 2}, 3, {1, 2, 3, 5}, {0, 1}));
  EXPECT_NE(base, digest({1, 1, 2}, 3, {1, 2, 3, 4}, {1, 0}));
}

TEST(PairDigestTest, TellsTheSplitsApart) {
  const Digest a = Digest::OfBytes("a");
  const Digest b = Digest::OfBytes("b");
  EXPECT_EQ(PairDigest(a, b), PairDigest(a, b));
  EXPECT_NE(PairDigest(a, b), PairDigest(b, a));
}

TEST(SubsetTest, FirstTakesTheHeadAndZeroTakesAll) {
  const auto dataset = MakeDataset(7, 3, {1, 2, 2});
  EXPECT_THAT(ChooseSubset(*dataset, {SubsetRule::kFirst, 3, 9}),
              IsOkAndHolds(ElementsAre(0, 1, 2)));
  EXPECT_THAT(ChooseSubset(*dataset, {SubsetRule::kStratified, 0, 9}),
              IsOkAndHolds(ElementsAre(0, 1, 2, 3, 4, 5, 6)));
}

TEST(SubsetTest, StratifiedKeepsTheSharesOfTheClasses) {
  const std::shared_ptr<const Dataset> dataset = MakeDataset(100, 3, {1, 1, 1});  // 34, 33, 33.
  for (const int64_t count : {3, 10, 50, 99, 100}) {
    const auto subset = SubsetDataset::Create(dataset, {SubsetRule::kStratified, count, 5});
    ASSERT_THAT(subset, IsOk());
    ASSERT_EQ((*subset)->size(), count);
    const std::vector<int64_t> counts = CountPerClass(**subset);
    for (size_t c = 0; c < counts.size(); ++c) {
      EXPECT_NEAR(static_cast<double>(counts[c]), (c == 0 ? .34 : .33) * static_cast<double>(count),
                  1.0);
    }
  }
}

TEST(SubsetTest, BalancedTakesTheSameNumberOfEachClass) {
  const std::shared_ptr<const Dataset> dataset = MakeDataset(100, 3, {1, 1, 1});  // 34, 33, 33.
  const auto subset = SubsetDataset::Create(dataset, {SubsetRule::kBalanced, 99, 5});
  ASSERT_THAT(subset, IsOk());
  EXPECT_THAT(CountPerClass(**subset), ElementsAre(33, 33, 33));
  EXPECT_THAT(ChooseSubset(*dataset, {SubsetRule::kBalanced, 10, 5}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("count=10 classes=3")));
  const auto uneven = MemoryDataset::Create({1, 1, 1}, 2, {1, 2, 3, 4}, {0, 1, 1, 1}).value();
  EXPECT_THAT(ChooseSubset(*uneven, {SubsetRule::kBalanced, 4, 5}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("class=0 images=1 want=2")));
}

TEST(SubsetTest, StratifiedDependsOnTheSeedAlone) {
  const auto dataset = MakeDataset(100, 3, {1, 1, 1});
  const auto choose = [&](uint64_t seed) {
    return ChooseSubset(*dataset, {SubsetRule::kStratified, 10, seed}).value();
  };
  EXPECT_EQ(choose(1), choose(1));
  EXPECT_NE(choose(1), choose(2));
}

TEST(SubsetTest, RefusesMoreImagesThanThereAre) {
  const auto dataset = MakeDataset(7, 3, {1, 2, 2});
  EXPECT_THAT(ChooseSubset(*dataset, {SubsetRule::kFirst, 8, 0}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("count=8 images=7")));
  EXPECT_THAT(ChooseSubset(*dataset, {SubsetRule::kFirst, -1, 0}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("count=-1")));
}

TEST(SubsetTest, ReadsTheImagesItNames) {
  const std::shared_ptr<const Dataset> dataset = MakeDataset(20, 4, {1, 2, 2});
  const SubsetSpec spec{SubsetRule::kStratified, 8, 3};
  const std::vector<int64_t> indices = ChooseSubset(*dataset, spec).value();
  const auto subset = SubsetDataset::Create(dataset, spec).value();
  std::vector<uint8_t> got(4);
  std::vector<uint8_t> want(4);
  for (int64_t i = 0; i < subset->size(); ++i) {
    ASSERT_THAT(subset->Read(i, absl::MakeSpan(got)), IsOk());
    ASSERT_THAT(dataset->Read(indices[static_cast<size_t>(i)], absl::MakeSpan(want)), IsOk());
    EXPECT_EQ(got, want);
    EXPECT_EQ(subset->Label(i), dataset->Label(indices[static_cast<size_t>(i)]));
  }
}

}  // namespace
}  // namespace distill::data
