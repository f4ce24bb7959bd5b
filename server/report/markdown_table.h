// The pieces of a Markdown page: numbers, rows, and text that cannot break out of its place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill::server {

// 0.8312 -> "83.12 %".
std::string Percent(double share);
// 0.0112 -> "+1.12".
std::string Points(double difference);
// 1234567 -> "1,234,567".
std::string Grouped(int64_t value);
// A digest as code; "-" when there is none.
std::string Code(const std::string& digest);
// Text of people in a table or a heading: no cell or line may end early.
std::string Escaped(absl::string_view text);

std::string Row(const std::vector<std::string>& cells);
// Columns after the first are right-aligned.
std::string Header(const std::vector<std::string>& cells);

}  // namespace distill::server
