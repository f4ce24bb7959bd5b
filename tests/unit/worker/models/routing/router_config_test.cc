// Names, checks and capacities of routers.
#include "worker/models/routing/router_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/status_matchers.h"

namespace distill::models {
namespace {

using testing::HasSubstr;

constexpr RouterKind kAllKinds[] = {RouterKind::kTopK,   RouterKind::kGshard,
                                    RouterKind::kSwitch, RouterKind::kNoisyTopK,
                                    RouterKind::kVmoe,   RouterKind::kExpertChoice};

// The number of experts that a token of a router asks for.
int64_t TopK(RouterKind kind) { return kind == RouterKind::kSwitch ? 1 : 2; }

TEST(RouterConfigTest, NamesGoBothWays) {
  for (const RouterKind kind : kAllKinds) {
    EXPECT_THAT(ParseRouter(RouterName(kind)), IsOkAndHolds(kind));
  }
  EXPECT_THAT(ParseRouter("hash"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("known=top_k, gshard, switch")));
}

TEST(RouterConfigTest, DefaultsAreAccepted) {
  for (const RouterKind kind : kAllKinds) {
    EXPECT_THAT(CheckRouter(DefaultRouter(kind), 8, TopK(kind)), IsOk()) << RouterName(kind);
  }
}

TEST(RouterConfigTest, WrongFieldsAreNamed) {
  const auto refused = [](RouterKind kind, int64_t top_k, auto&& spoil) {
    RouterConfig config = DefaultRouter(kind);
    spoil(config);
    return std::string(CheckRouter(config, 8, top_k).message());
  };
  const auto nothing = [](RouterConfig&) {};
  EXPECT_THAT(refused(RouterKind::kGshard, 1, nothing), HasSubstr("top_k must be 2"));
  EXPECT_THAT(refused(RouterKind::kSwitch, 2, nothing), HasSubstr("top_k must be 1"));
  EXPECT_THAT(refused(RouterKind::kVmoe, 2, [](RouterConfig& c) { c.noise = -1; }),
              HasSubstr("router.noise must be finite and at least 0; got=-1"));
  EXPECT_THAT(
      refused(RouterKind::kVmoe, 2, [](RouterConfig& c) { c.capacity_factor = std::nan(""); }),
      HasSubstr("router.capacity_factor"));
  EXPECT_THAT(refused(RouterKind::kVmoe, 2, [](RouterConfig& c) { c.group_images = -1; }),
              HasSubstr("router.group_images"));
  EXPECT_THAT(refused(RouterKind::kNoisyTopK, 2, [](RouterConfig& c) { c.load_weight = -0.1; }),
              HasSubstr("router.load_weight"));
  EXPECT_THAT(refused(RouterKind::kExpertChoice, 2,
                      [](RouterConfig& c) { c.evaluation_capacity_factor = 0; }),
              HasSubstr("must be positive for expert choice"));
  EXPECT_THAT(refused(RouterKind::kSwitch, 1, [](RouterConfig& c) { c.noise = 1.5; }),
              HasSubstr("router.noise must be at most 1"));
}

TEST(RouterConfigTest, CapacitiesRoundAsEachMethodDoes) {
  const RouterConfig gshard = DefaultRouter(RouterKind::kGshard);
  EXPECT_EQ(ExpertCapacity(gshard, true, 100, 8, 2), 120 * 2 / 8);
  EXPECT_EQ(ExpertCapacity(gshard, false, 100, 8, 2), 240 * 2 / 8);
  EXPECT_EQ(ExpertCapacity(gshard, true, 1, 8, 2), 0);
  EXPECT_EQ(ExpertCapacity(DefaultRouter(RouterKind::kSwitch), true, 100, 8, 1), 13);
  const RouterConfig vmoe = DefaultRouter(RouterKind::kVmoe);
  EXPECT_EQ(ExpertCapacity(vmoe, true, 100, 8, 2), 28);  // 26.25, up to 27, up to a multiple of 4
  EXPECT_EQ(ExpertCapacity(vmoe, true, 1, 8, 2), 4);
  EXPECT_EQ(ExpertCapacity(DefaultRouter(RouterKind::kExpertChoice), true, 100, 8, 2), 28);
  RouterConfig noisy = DefaultRouter(RouterKind::kNoisyTopK);
  EXPECT_EQ(ExpertCapacity(noisy, true, 100, 8, 2), std::numeric_limits<int64_t>::max());
  noisy.capacity_factor = 1.0;
  EXPECT_EQ(ExpertCapacity(noisy, true, 100, 8, 2), 25);
}

}  // namespace
}  // namespace distill::models
