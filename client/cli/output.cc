#include "client/cli/output.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "google/protobuf/util/json_util.h"

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

}  // namespace

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
