#include "worker/data/episode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/data/test_images.h"

namespace distill::data {
namespace {

using ::testing::HasSubstr;

DatasetPair MakePair() {
  DatasetPair pair;
  pair.train = MakeDataset(60, 10, {1, 2, 2});
  pair.test = MakeDataset(40, 10, {1, 2, 2});
  return pair;
}

std::vector<int64_t> Labels(const Dataset& dataset) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < dataset.size(); ++i) labels.push_back(dataset.Label(i));
  return labels;
}

std::set<std::vector<uint8_t>> Images(const Dataset& dataset) {
  std::set<std::vector<uint8_t>> images;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    std::vector<uint8_t> pixels(static_cast<size_t>(dataset.shape().pixels()));
    EXPECT_THAT(dataset.Read(i, absl::MakeSpan(pixels)), IsOk());
    images.insert(pixels);
  }
  return images;
}

TEST(EpisodeTest, HasTheClassesAndImagesAskedFor) {
  const auto episode = DrawEpisode(MakePair(), {3, 2, 4, 7});
  ASSERT_THAT(episode, IsOk());
  EXPECT_EQ(Labels(*episode->train), (std::vector<int64_t>{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(episode->test->size(), 12);
  EXPECT_EQ(episode->test->classes(), 3);
  ASSERT_EQ(episode->classes.size(), 3U);
  EXPECT_LT(episode->classes[0], episode->classes[1]);
  EXPECT_LT(episode->classes[1], episode->classes[2]);
  EXPECT_EQ(Images(*episode->train).size(), 6U);
}

TEST(EpisodeTest, IsAFunctionOfTheSeed) {
  std::set<std::vector<int>> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto once = DrawEpisode(MakePair(), {3, 2, 4, seed});
    const auto again = DrawEpisode(MakePair(), {3, 2, 4, seed});
    ASSERT_THAT(once, IsOk());
    EXPECT_EQ(once->classes, again->classes);
    EXPECT_EQ(Images(*once->train), Images(*again->train));
    seen.insert(once->classes);
  }
  EXPECT_GT(seen.size(), 5U);
}

// The reference draws both from one split by one permutation: its test images are the training
// images.
TEST(EpisodeTest, TestImagesAreNeverTrainingImages) {
  DatasetPair pair = MakePair();
  pair.train = nullptr;
  const auto episode = DrawEpisode(pair, {10, 2, 2, 3});
  ASSERT_THAT(episode, IsOk());
  std::set<std::vector<uint8_t>> all = Images(*episode->train);
  const std::set<std::vector<uint8_t>> test = Images(*episode->test);
  all.insert(test.begin(), test.end());
  EXPECT_EQ(all.size(), 40U);
  EXPECT_THAT(DrawEpisode(pair, {10, 2, 3, 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("too few classes have enough images; classes=0 want=10")));
}

TEST(EpisodeTest, ClassesWithTooFewImagesAreNotDrawn) {
  DatasetPair pair = MakePair();               // Six training images of each class.
  pair.test = MakeDataset(25, 10, {1, 2, 2});  // Three of classes 0 to 4, two of the others.
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto episode = DrawEpisode(pair, {5, 2, 3, seed});
    ASSERT_THAT(episode, IsOk());
    EXPECT_EQ(episode->classes, std::vector<int>({0, 1, 2, 3, 4}));
  }
}

TEST(EpisodeTest, NamesTheFieldThatDoesNotFit) {
  EXPECT_THAT(DrawEpisode(MakePair(), {11, 2, 4, 7}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("few_shot.ways")));
  EXPECT_THAT(DrawEpisode(MakePair(), {3, 0, 4, 7}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("few_shot.shots")));
  EXPECT_THAT(DrawEpisode(MakePair(), {3, 7, 4, 7}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("too few classes have enough images")));
}

}  // namespace
}  // namespace distill::data
