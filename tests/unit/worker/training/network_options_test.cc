// The router of a spec as settings of a mixture.
#include "worker/training/network_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace distill::training {
namespace {

using models::RouterConfig;
using models::RouterKind;

RouterConfig Of(const v1::RouterSpec& spec) { return RouterConfigOf(spec).value(); }

TEST(RouterOptionsTest, AnEmptySpecIsTheReferenceGate) {
  const RouterConfig config = Of({});
  EXPECT_EQ(config.kind, RouterKind::kTopK);
  EXPECT_EQ(config.capacity_factor, 0);
}

TEST(RouterOptionsTest, KindsBringTheirDefaults) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_VMOE);
  EXPECT_EQ(Of(spec).capacity_factor, 1.05);
  EXPECT_EQ(Of(spec).group_images, 8);
  spec.set_kind(v1::ROUTER_KIND_GSHARD);
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 2.4);
  spec.set_kind(v1::ROUTER_KIND_SWITCH);
  EXPECT_EQ(Of(spec).noise, 0.1);
}

TEST(RouterOptionsTest, FieldsReplaceDefaults) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_VMOE);
  spec.set_capacity_factor(2);
  spec.set_noise(0);
  spec.set_batch_priority(true);
  spec.set_group_images(0);
  spec.set_load_weight(0.25);
  const RouterConfig config = Of(spec);
  EXPECT_EQ(config.capacity_factor, 2);
  EXPECT_EQ(config.evaluation_capacity_factor, 2);
  EXPECT_EQ(config.noise, 0);
  EXPECT_TRUE(config.batch_priority);
  EXPECT_EQ(config.group_images, 0);
  EXPECT_EQ(config.load_weight, 0.25);
  spec.set_evaluation_capacity_factor(4);
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 4);
  spec.set_kind(v1::ROUTER_KIND_GSHARD);
  spec.clear_evaluation_capacity_factor();
  EXPECT_EQ(Of(spec).evaluation_capacity_factor, 2.4);
}

TEST(RouterOptionsTest, TheReferenceGateHasNoSettings) {
  v1::RouterSpec spec;
  spec.set_kind(v1::ROUTER_KIND_TOP_K);
  spec.set_capacity_factor(1);
  EXPECT_EQ(Of(spec).capacity_factor, 0);
}

TEST(RouterOptionsTest, UnknownKindsAreRefused) {
  v1::RouterSpec spec;
  spec.set_kind(static_cast<v1::RouterKind>(99));
  EXPECT_THAT(RouterConfigOf(spec), StatusIs(absl::StatusCode::kInvalidArgument,
                                             testing::HasSubstr("router.kind: unknown; got=99")));
}

}  // namespace
}  // namespace distill::training
