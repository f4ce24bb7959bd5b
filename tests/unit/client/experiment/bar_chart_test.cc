// Charts: every number is drawn, nothing breaks the file, and nothing lies outside of it.
#include "client/experiment/bar_chart.h"

#include <limits>

#include "absl/strings/numbers.h"
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

// What stands between the first `begin` and the next `end`.
std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t at = text.find(begin) + begin.size();
  return text.substr(at, text.find(end, at) - at);
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

TEST(BarChartTest, LongTextStaysInside) {
  const std::string label(40, 'l');
  const std::string svg =
      RenderSvg({std::string(80, 't'), "", {"s"}, {{label, {Bar{0.5, {}}}}, {"g", {Bar{1, {}}}}}});
  double width = 0;
  ASSERT_TRUE(absl::SimpleAtod(Between(svg, "width=\"", "\""), &width));
  double title = 0;
  ASSERT_TRUE(absl::SimpleAtod(Between(svg, "<text x=\"", "\""), &title));
  EXPECT_GT(width, title + 8 * 80);
  double middle = 0;
  ASSERT_TRUE(absl::SimpleAtod(Between(svg, "rotate(-40 ", " "), &middle));
  EXPECT_GT(middle, 6 * 40 * 0.76);
  EXPECT_THAT(RenderSvg({"t", "", {"s"}, {{"g", {Bar{1, {}}}}}}), HasSubstr("width=\"420\""));
}

}  // namespace
}  // namespace distill::client
