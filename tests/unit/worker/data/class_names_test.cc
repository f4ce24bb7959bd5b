#include "worker/data/class_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/status_matchers.h"

namespace distill::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ClassNamesTest, FindsThePlacesInOrder) {
  EXPECT_THAT(FindClasses({"a", "b", "c", "d"}, {"d", "b"}), IsOkAndHolds(ElementsAre(3, 1)));
}

TEST(ClassNamesTest, RefusesListsThatDoNotMatch) {
  EXPECT_THAT(FindClasses({"a", "b"}, {"b", "c"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing=1 of 2 examples=c")));
  EXPECT_THAT(FindClasses({"a", "a"}, {"a"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  EXPECT_THAT(FindClasses({}, {"a"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no names")));
}

TEST(ClassNamesTest, TinyImageNetRHas62Classes) {
  const auto classes = TinyImageNetRClasses();
  EXPECT_EQ(classes.size(), 62U);
  EXPECT_TRUE(std::is_sorted(classes.begin(), classes.end()));
  EXPECT_EQ(std::adjacent_find(classes.begin(), classes.end()), classes.end());
  EXPECT_EQ(classes.front(), "n01443537");
  EXPECT_EQ(classes.back(), "n12267677");
}

}  // namespace
}  // namespace distill::data
