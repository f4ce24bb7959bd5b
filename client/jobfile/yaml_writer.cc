#include "client/jobfile/yaml_writer.h"

#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/jobfile/names.h"
#include "google/protobuf/descriptor.h"

namespace distill::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Tells whether YAML reads `text` back as the same scalar without quotes.
bool IsPlain(const std::string& text) {
  if (text.empty() || (!absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
                       text[0] != '/' && text[0] != '_')) {
    return false;
  }
  for (const unsigned char letter : text) {
    if (!absl::ascii_isalnum(letter) && !absl::StrContains("_./-", letter)) return false;
  }
  return !absl::EqualsIgnoreCase(text, "null") && !absl::EqualsIgnoreCase(text, "true") &&
         !absl::EqualsIgnoreCase(text, "false");
}

std::string Scalar(const std::string& text) {
  if (IsPlain(text)) return text;
  std::string quoted = "\"";
  for (const unsigned char letter : text) {
    if (letter == '"' || letter == '\\') {
      quoted += '\\';
      quoted += static_cast<char>(letter);
    } else if (letter < 0x20 || letter == 0x7f) {
      absl::StrAppendFormat(&quoted, "\\x%02x", letter);
    } else {
      quoted += static_cast<char>(letter);
    }
  }
  return quoted + "\"";
}

// The shortest of 15, 16 or 17 digits that reads back as the same number.
std::string Scalar(double value) {
  std::string text;
  for (int digits = 15; digits <= 17; ++digits) {
    text = absl::StrFormat("%.*g", digits, value);
    if (std::strtod(text.c_str(), nullptr) == value) break;
  }
  return text;
}

// `index` is -1 for a field that is not repeated.
std::string FieldText(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(one ? reflection.GetInt32(message, &field)
                              : reflection.GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(one ? reflection.GetInt64(message, &field)
                              : reflection.GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(one ? reflection.GetUInt64(message, &field)
                              : reflection.GetRepeatedUInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Scalar(one ? reflection.GetDouble(message, &field)
                        : reflection.GetRepeatedDouble(message, &field, index));
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool value = one ? reflection.GetBool(message, &field)
                             : reflection.GetRepeatedBool(message, &field, index);
      return value ? "true" : "false";
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return ShortEnumName(one ? *reflection.GetEnum(message, &field)
                               : *reflection.GetRepeatedEnum(message, &field, index));
    default:
      return Scalar(one ? reflection.GetString(message, &field)
                        : reflection.GetRepeatedString(message, &field, index));
  }
}

void AppendMessage(const Message& message, int indent, std::string* yaml) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  const std::string margin(static_cast<size_t>(indent), ' ');
  for (const FieldDescriptor* const field : fields) {
    absl::StrAppend(yaml, margin, field->name(), ":");
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (field->is_repeated()) {
      std::vector<std::string> elements;
      const int count = reflection.FieldSize(message, field);
      for (int i = 0; i < count && !is_message; ++i) {
        elements.push_back(FieldText(message, *field, i));
      }
      if (!is_message) {
        absl::StrAppend(yaml, " [", absl::StrJoin(elements, ", "), "]\n");
        continue;
      }
      absl::StrAppend(yaml, "\n");
      for (int i = 0; i < count; ++i) {
        std::string element;
        AppendMessage(reflection.GetRepeatedMessage(message, field, i), indent + 4, &element);
        if (element.empty()) element = margin + "    {}\n";
        element.replace(static_cast<size_t>(indent) + 2, 1, "-");
        absl::StrAppend(yaml, element);
      }
    } else if (is_message) {
      std::string nested;
      AppendMessage(reflection.GetMessage(message, field), indent + 2, &nested);
      absl::StrAppend(yaml, nested.empty() ? " {}\n" : "\n", nested);
    } else {
      absl::StrAppend(yaml, " ", FieldText(message, *field, -1), "\n");
    }
  }
}

}  // namespace

std::string RenderYaml(const Message& message) {
  std::string yaml;
  AppendMessage(message, 0, &yaml);
  return yaml.empty() ? "{}\n" : yaml;
}

}  // namespace distill::client
