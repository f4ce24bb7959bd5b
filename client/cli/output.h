// The forms in which commands print data: aligned tables for people; proto JSON for programs, or
// the same as YAML; or only names, one a line, for shells.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace distill::client {

enum class OutputFormat { kTable, kJson, kYaml, kName };

// Prints `rows` under `header` in columns as wide as their widest cell, two spaces between. A line
// break inside a cell becomes a space.
void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& rows, std::ostream& out);

// Prints "name  value" lines, leaving out those whose value is empty.
void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields, std::ostream& out);

enum class JsonShape { kIndented, kOneLine };

// Returns protobuf's JSON with the field names of the .proto files and every field present; ends
// with a line break. The form is stable: programs may rely on it.
std::string ToJson(const google::protobuf::Message& message, JsonShape shape);

// Returns a JSON text with line breaks and indentation; ends with a line break.
std::string IndentJson(absl::string_view json);

// Returns a JSON text as YAML of the same structure: block style, and quotes where a plain text
// would be read as something else. Ends with a line break.
std::string JsonToYaml(absl::string_view json);

}  // namespace distill::client
