#include "server/report/markdown_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace distill::server {

std::string Percent(double share) { return absl::StrFormat("%.2f %%", 100.0 * share); }

std::string Points(double difference) { return absl::StrFormat("%+.2f", 100.0 * difference); }

std::string Grouped(int64_t value) {
  std::string digits = absl::StrCat(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t place = digits.size(); place > first + 3;) {
    place -= 3;
    digits.insert(place, ",");
  }
  return digits;
}

std::string Code(const std::string& digest) {
  return digest.empty() ? std::string("-") : absl::StrCat("`", digest, "`");
}

std::string Escaped(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '`' || c == '*' || c == '_') escaped.push_back('\\');
    escaped.push_back(c == '\n' ? ' ' : c);
  }
  return escaped;
}

std::string Row(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string Header(const std::vector<std::string>& cells) {
  std::string rule = "|---|";
  for (size_t i = 1; i < cells.size(); ++i) absl::StrAppend(&rule, "---:|");
  return absl::StrCat(Row(cells), rule, "\n");
}

}  // namespace distill::server
