// What a trainer keeps of images.
#include "worker/training/feature_cache.h"

#include <gtest/gtest.h>

namespace distill::training {
namespace {

TEST(FeatureCacheTest, FindsWhatWasAdded) {
  FeatureCache cache;
  cache.Select("network");
  EXPECT_FALSE(cache.Find("image").defined());
  cache.Add("image", torch::full({3}, 2.0f));
  EXPECT_TRUE(cache.Find("image").equal(torch::full({3}, 2.0f)));
  cache.Select("network");
  EXPECT_TRUE(cache.Find("image").defined());
}

TEST(FeatureCacheTest, AnotherNetworkStartsAfresh) {
  FeatureCache cache;
  cache.Select("network");
  cache.Add("image", torch::zeros({3}));
  cache.Select("other");
  EXPECT_FALSE(cache.Find("image").defined());
  EXPECT_EQ(cache.size_bytes(), 0);
}

// What is added is often one row of a batch, which would be kept alive as a whole.
TEST(FeatureCacheTest, KeepsCopies) {
  FeatureCache cache;
  cache.Select("network");
  torch::Tensor rows = torch::zeros({100, 3});
  cache.Add("image", rows[7]);
  rows.fill_(1.0);
  EXPECT_TRUE(cache.Find("image").equal(torch::zeros({3})));
  EXPECT_EQ(cache.Find("image").storage().nbytes(), 3 * sizeof(float));
}

TEST(FeatureCacheTest, StaysWithinItsBounds) {
  FeatureCache cache(/*most_bytes=*/64);
  cache.Select("network");
  cache.Add("a", torch::zeros({8}));
  cache.Add("b", torch::zeros({8}));
  EXPECT_TRUE(cache.Find("a").defined());
  EXPECT_FALSE(cache.Find("b").defined());
  EXPECT_LE(cache.size_bytes(), 64);
  cache.Add("a", torch::zeros({8}));
  EXPECT_EQ(cache.size_bytes(), 33);
}

}  // namespace
}  // namespace distill::training
