// Charts: every number is drawn, nothing breaks the file, and nothing lies outside of it.
#include "client/experiment/bar_chart.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int Count(const std::string& text, const std::string& word) {
  int count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST(BarChartTest, DrawsEachBarWithItsError) {
  BarChart chart{"t",
                 "accuracy",
                 {"a", "b"},
                 {{"g", {Bar{0.5, 0.1}, Bar{0.8, {}}}}, {"h", {std::nullopt, Bar{0.2, 0.05}}}}};
  const std::string svg = RenderSvg(chart);
  // Background, three bars, two legend boxes.
  EXPECT_EQ(Count(svg, "<rect"), 6);
  EXPECT_EQ(Count(svg, "<path"), 2);
  EXPECT_EQ(svg, RenderSvg(chart));
}

TEST(BarChartTest, EscapesTextAndStandsEmptyAndNegativeValues) {
  EXPECT_THAT(RenderSvg({"a<b & c", "", {"s"}, {}}), HasSubstr("a&lt;b &amp; c"));
  EXPECT_THAT(RenderSvg({"", "", {}, {}}), HasSubstr("</svg>"));
  const std::string svg =
      RenderSvg({"", "", {"s"}, {{"g", {Bar{-0.5, {}}}}, {"h", {Bar{0.0, {}}}}}});
  EXPECT_THAT(svg, Not(HasSubstr("height=\"-")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace distill::client
