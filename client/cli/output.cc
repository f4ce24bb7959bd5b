#include "client/cli/output.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

std::string OneLine(std::string cell) {
  std::replace(cell.begin(), cell.end(), '\n', ' ');
  return cell;
}

void PrintRow(const std::vector<std::string>& row, const std::vector<size_t>& widths,
              std::ostream& out) {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line.append("  ");
    line.append(row[i]);
    if (i + 1 < row.size()) line.append(widths[i] - row[i].size(), ' ');
  }
  out << line << "\n";
}

using nlohmann::ordered_json;

// Texts that YAML would read as something other than themselves are written as in JSON, which is
// YAML too.
std::string YamlScalar(const ordered_json& value) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  const auto is_plain = [](char letter) {
    return absl::ascii_isalnum(static_cast<unsigned char>(letter)) ||
           absl::StrContains("_./+-", absl::string_view(&letter, 1));
  };
  static const auto* const words =
      new std::set<std::string>{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  const bool plain = !text.empty() && absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
                     std::all_of(text.begin(), text.end(), is_plain) &&
                     words->count(absl::AsciiStrToLower(text)) == 0;
  return plain ? text : value.dump();
}

// Appends what stands after a key or a dash: a scalar on the same line, or a block below.
void AppendYaml(const ordered_json& value, const std::string& indent, std::string* yaml) {
  if (value.empty() || !value.is_structured()) {
    absl::StrAppend(yaml, value.is_structured() ? value.dump() : YamlScalar(value), "\n");
    return;
  }
  bool first = true;
  for (const auto& [key, item] : value.items()) {
    // Items of a list start on the line of their dash.
    absl::StrAppend(yaml, first ? "" : indent,
                    value.is_array() ? "-" : absl::StrCat(YamlScalar(ordered_json(key)), ":"));
    first = false;
    const bool is_block = item.is_structured() && !item.empty();
    const std::string below = absl::StrCat(indent, "  ");
    absl::StrAppend(yaml, is_block && value.is_object() ? absl::StrCat("\n", below) : " ");
    AppendYaml(item, below, yaml);
  }
}

}  // namespace

std::string IndentJson(absl::string_view json) {
  return absl::StrCat(ordered_json::parse(json.begin(), json.end()).dump(2), "\n");
}

std::string JsonToYaml(absl::string_view json) {
  std::string yaml;
  AppendYaml(ordered_json::parse(json.begin(), json.end()), "", &yaml);
  return yaml;
}

void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& rows, std::ostream& out) {
  std::vector<std::vector<std::string>> lines = {header};
  for (const std::vector<std::string>& row : rows) {
    DISTILL_CHECK(row.size() == header.size(), "a table has as many cells in each row");
    lines.emplace_back();
    for (const std::string& cell : row) lines.back().push_back(OneLine(cell));
  }
  std::vector<size_t> widths(header.size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  for (const auto& line : lines) PrintRow(line, widths, out);
}

void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields,
                 std::ostream& out) {
  size_t width = 0;
  for (const auto& [name, value] : fields) {
    if (!value.empty()) width = std::max(width, name.size());
  }
  for (const auto& [name, value] : fields) {
    if (!value.empty()) PrintRow({name, OneLine(value)}, {width, 0}, out);
  }
}

std::string ToJson(const google::protobuf::Message& message, JsonShape shape) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = shape == JsonShape::kIndented;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  DISTILL_CHECK(status.ok(), "our messages hold nothing that JSON cannot say");
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

}  // namespace distill::client
