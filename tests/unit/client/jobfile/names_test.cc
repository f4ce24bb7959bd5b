#include "client/jobfile/names.h"

#include "distill/v1/job.pb.h"
#include "gmock/gmock.h"

namespace distill::client {
namespace {

using ::testing::ElementsAre;

TEST(NamesTest, ShortensEnumNamesByTheirTypesName) {
  EXPECT_THAT(ShortEnumNames(*v1::KdDivisor_descriptor()), ElementsAre("batch_mean", "numel"));
  EXPECT_THAT(
      ShortEnumNames(*v1::BaselineKind_descriptor()),
      ElementsAre("finetune_images", "all_images", "equal_compute", "whole_model_distillation"));
}

TEST(NamesTest, FindsEnumValuesByShortAndByFullName) {
  const auto& type = *v1::KdDivisor_descriptor();
  EXPECT_EQ(FindEnumValue(type, "numel")->number(), v1::KD_DIVISOR_NUMEL);
  EXPECT_EQ(FindEnumValue(type, "KD_DIVISOR_NUMEL")->number(), v1::KD_DIVISOR_NUMEL);
  EXPECT_EQ(FindEnumValue(type, "unspecified"), nullptr);
  EXPECT_EQ(FindEnumValue(type, "Numel"), nullptr);
}

TEST(NamesTest, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("seed", "sede"), 1);  // Two neighbours swapped are one slip.
}

TEST(NamesTest, SuggestsOnlyWhatMayHaveBeenMeant) {
  const std::vector<std::string> names = {"alpha", "tau", "kind"};
  EXPECT_EQ(NearestName("aplha", names), "alpha");
  EXPECT_EQ(NearestName("ALPHA", names), "alpha");
  EXPECT_EQ(NearestName("temperature", names), "");
  EXPECT_EQ(Suggestion("knd", names, "keys"), "; did you mean \"kind\"?");
  EXPECT_EQ(Suggestion("temperature", names, "keys"), "; the keys are alpha, tau, kind");
}

}  // namespace
}  // namespace distill::client
