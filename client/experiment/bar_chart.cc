#include "client/experiment/bar_chart.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace distill::client {
namespace {

// Pixels.
constexpr double kLeastWidth = 420;
constexpr double kLeft = 70;  // At least.
constexpr double kTop = 60;
constexpr double kPlotHeight = 300;
constexpr double kBarWidth = 22;
constexpr double kGroupGap = 26;
constexpr double kLabelHeight = 150;  // At least.
constexpr double kLegendLine = 18;
constexpr double kTitleCharacter = 8;  // Enough for most.
constexpr double kLabelCharacter = 6;
constexpr double kLabelSlope = 40 * 3.14159265358979 / 180;  // Radians.
constexpr int kTicks = 5;
constexpr const char* kColours[] = {"#4269d0", "#efb118", "#ff725c", "#6cc5b0",
                                    "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5"};

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

struct Range {
  double low = 0;
  double high = 1;
  double Y(double value) const { return kTop + kPlotHeight * (1 - (value - low) / (high - low)); }
};

// Zero and all values with their errors, rounded outwards to a step that people count in.
Range RangeOf(const BarChart& chart) {
  Range range{0, 0};
  for (const BarGroup& group : chart.groups) {
    for (const std::optional<Bar>& bar : group.bars) {
      if (!bar.has_value()) continue;
      range.low = std::min(range.low, bar->value - bar->error.value_or(0));
      range.high = std::max(range.high, bar->value + bar->error.value_or(0));
    }
  }
  const double span = range.high - range.low;
  if (!(span > 0) || !std::isfinite(span)) return {0, 1};
  const double power = std::pow(10, std::floor(std::log10(span / kTicks)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (span / step > kTicks) step = power * factor;
  }
  return {std::floor(range.low / step) * step, std::ceil(range.high / step) * step};
}

// Where things stand from left to right: far enough in that the slanted labels, which end below the
// middle of their group, begin inside; wide enough for the title.
struct Columns {
  explicit Columns(const BarChart& chart)
      : bars(static_cast<double>(std::max<size_t>(1, chart.series.size())) * kBarWidth) {
    for (size_t g = 0; g < chart.groups.size(); ++g) {
      const double length = kLabelCharacter * static_cast<double>(chart.groups[g].label.size());
      label_height = std::max(label_height, length * std::sin(kLabelSlope) + 20);
      left = std::max(left, length * std::cos(kLabelSlope) - (Middle(g) - left));
    }
    const auto groups = static_cast<double>(chart.groups.size());
    width = std::max({kLeastWidth, left + (bars + kGroupGap) * groups + 20,
                      left + kTitleCharacter * static_cast<double>(chart.title.size()) + 10});
  }
  double Begin(size_t group) const {
    return left + kGroupGap / 2 + (bars + kGroupGap) * static_cast<double>(group);
  }
  double Middle(size_t group) const { return Begin(group) + bars / 2; }

  const double bars;  // Of all bars of a group.
  double left = kLeft;
  double width = 0;
  double label_height = kLabelHeight;
};

void DrawAxis(const BarChart& chart, const Range& range, const Columns& columns, std::string* svg) {
  for (int i = 0; i <= kTicks; ++i) {
    const double value = range.low + (range.high - range.low) * i / kTicks;
    const double y = range.Y(value);
    absl::StrAppendFormat(svg,
                          "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
                          "stroke=\"#ddd\"/>\n",
                          columns.left, y, columns.width - 10, y);
    absl::StrAppendFormat(
        svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" font-size=\"11\">%.3f</text>\n",
        columns.left - 6, y + 4, value);
  }
  absl::StrAppendFormat(svg,
                        "<text x=\"16\" y=\"%.1f\" font-size=\"12\" text-anchor=\"middle\" "
                        "transform=\"rotate(-90 16 %.1f)\">%s</text>\n",
                        kTop + kPlotHeight / 2, kTop + kPlotHeight / 2, Escaped(chart.axis));
}

void DrawBar(const Bar& bar, const Range& range, double x, const char* colour, std::string* svg) {
  const double zero = range.Y(0);
  const double y = range.Y(bar.value);
  absl::StrAppendFormat(
      svg, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x,
      std::min(y, zero), kBarWidth - 2, std::abs(y - zero), colour);
  if (!bar.error.has_value()) return;
  const double middle = x + (kBarWidth - 2) / 2;
  absl::StrAppendFormat(svg,
                        "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fV%.1fM%.1f %.1fH%.1f\" "
                        "stroke=\"#222\" fill=\"none\"/>\n",
                        middle - 4, range.Y(bar.value + *bar.error), middle + 4, middle,
                        range.Y(bar.value + *bar.error), range.Y(bar.value - *bar.error),
                        middle - 4, range.Y(bar.value - *bar.error), middle + 4);
}

}  // namespace

std::string RenderSvg(const BarChart& chart) {
  const Columns columns(chart);
  const double legend_top = kTop + kPlotHeight + columns.label_height;
  const double height =
      legend_top + kLegendLine * static_cast<double>(std::max<size_t>(1, chart.series.size())) + 10;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "font-family=\"sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%.1f\" y=\"28\" font-size=\"15\">%s</text>\n",
      columns.width, height, columns.left, Escaped(chart.title));
  const Range range = RangeOf(chart);
  DrawAxis(chart, range, columns, &svg);
  for (size_t g = 0; g < chart.groups.size(); ++g) {
    const BarGroup& group = chart.groups[g];
    for (size_t s = 0; s < group.bars.size(); ++s) {
      if (!group.bars[s].has_value()) continue;
      DrawBar(*group.bars[s], range, columns.Begin(g) + kBarWidth * static_cast<double>(s),
              kColours[s % std::size(kColours)], &svg);
    }
    const double label_x = columns.Middle(g);
    const double label_y = kTop + kPlotHeight + 14;
    absl::StrAppendFormat(&svg,
                          "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\" text-anchor=\"end\" "
                          "transform=\"rotate(-40 %.1f %.1f)\">%s</text>\n",
                          label_x, label_y, label_x, label_y, Escaped(group.label));
  }
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const double y = legend_top + kLegendLine * static_cast<double>(s);
    absl::StrAppendFormat(&svg,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"%s\"/>\n"
                          "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\">%s</text>\n",
                          columns.left, y, kColours[s % std::size(kColours)], columns.left + 18,
                          y + 10, Escaped(chart.series[s]));
  }
  return absl::StrCat(svg, "</svg>\n");
}

}  // namespace distill::client
