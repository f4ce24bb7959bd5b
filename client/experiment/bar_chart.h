// Bars with error bars as an SVG file: enough to see which of a few numbers is larger, and how sure
// that is. The same numbers give the same bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill::client {

struct Bar {
  double value = 0;
  std::optional<double> error;  // Drawn up and down from the value.
};

// The bars of one label, one for each series; none where a series has no value.
struct BarGroup {
  std::string label;
  std::vector<std::optional<Bar>> bars;
};

struct BarChart {
  std::string title;
  std::string axis;                 // What the values are.
  std::vector<std::string> series;  // At most eight colours; then they repeat.
  std::vector<BarGroup> groups;
};

std::string RenderSvg(const BarChart& chart);

}  // namespace distill::client
