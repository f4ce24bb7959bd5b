#include "client/jobfile/message_reader.h"

#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/jobfile/names.h"
#include "google/protobuf/descriptor.h"

namespace distill::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : absl::StrCat(path, ".", name);
}

// What a node is, for "expected a number, got ...".
std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      break;
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMapping:
      return "a mapping";
  }
  const std::string shown = node.text.size() > 60 ? node.text.substr(0, 60) + "..." : node.text;
  return node.quoted ? absl::StrCat("the quoted text \"", shown, "\"")
                     : absl::StrCat("\"", shown, "\"");
}

// "expected a whole number from 0 to 255, got 256"; the type's own limits.
template <typename Integer>
std::string WholeNumber() {
  return absl::StrCat("a whole number from ", std::numeric_limits<Integer>::min(), " to ",
                      std::numeric_limits<Integer>::max());
}

template <typename Integer>
bool Parse(const Node& node, Integer* value) {
  return absl::SimpleAtoi(node.text, value);
}

}  // namespace

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

void MessageReader::Complain(const Node& node, std::string text) {
  problems_->push_back({node.position, std::move(text)});
}

void MessageReader::Expected(const Node& node, const std::string& path, const std::string& what) {
  Complain(node, absl::StrCat(path, ": expected ", what, ", got ", Describe(node)));
}

const FieldDescriptor* MessageReader::FindField(const Descriptor& type,
                                                const std::string& key) const {
  const FieldDescriptor* const field = type.FindFieldByName(key);
  if (field != nullptr || dialect_ == Dialect::kYaml) return field;
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == key) return type.field(i);
  }
  return nullptr;
}

void MessageReader::ReadMessage(const Node& node, const std::string& path, Message* message) {
  const std::string where = path.empty() ? "the file" : path;
  if (node.kind != Node::Kind::kMapping) {
    Expected(node, where, "a mapping of keys to values");
    return;
  }
  const Descriptor& type = *message->GetDescriptor();
  std::map<const FieldDescriptor*, Position> seen;
  std::map<const OneofDescriptor*, const FieldDescriptor*> chosen;
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const Node& key = node.keys[i];
    const FieldDescriptor* const field = FindField(type, key.text);
    if (field == nullptr) {
      Complain(key, absl::StrCat("unknown key \"", key.text, "\" in ", where,
                                 Suggestion(key.text, FieldNames(type), "keys")));
      continue;
    }
    const std::string field_path = Join(path, field->name());
    const auto [first, is_new] = seen.emplace(field, key.position);
    if (!is_new) {
      Complain(key, absl::StrCat(field_path, ": given twice; first on line ", first->second.line));
      continue;
    }
    if (const OneofDescriptor* const choice = field->real_containing_oneof()) {
      const auto [other, is_first] = chosen.emplace(choice, field);
      if (!is_first) {
        Complain(key, absl::StrCat(field_path, ": excludes ", Join(path, other->second->name()),
                                   " on line ", seen[other->second].line, "; keep one of them"));
        continue;
      }
    }
    (*positions_)[field_path] = key.position;
    ReadField(node.items[i], field_path, *field, message);
  }
}

void MessageReader::ReadField(const Node& node, const std::string& path,
                              const FieldDescriptor& field, Message* message) {
  if (node.kind == Node::Kind::kNull) {
    Complain(node, absl::StrCat(path, ": has no value; give one or remove the key"));
    return;
  }
  message->GetReflection()->ClearField(message, &field);
  if (!field.is_repeated()) {
    ReadElement(node, path, field, message);
    return;
  }
  if (node.kind != Node::Kind::kSequence) {
    Expected(node, path, "a list such as [a, b]");
    return;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string element_path = absl::StrCat(path, "[", i, "]");
    (*positions_)[element_path] = node.items[i].position;
    ReadElement(node.items[i], element_path, field, message);
  }
}

void MessageReader::ReplaceElement(const Node& node, const std::string& path,
                                   const FieldDescriptor& field, int index, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  const int last = reflection.FieldSize(*message, &field);
  ReadElement(node, path, field, message);
  // A value of the wrong type adds nothing.
  if (reflection.FieldSize(*message, &field) == last) return;
  reflection.SwapElements(message, &field, index, last);
  reflection.RemoveLast(message, &field);
}

void MessageReader::ReadElement(const Node& node, const std::string& path,
                                const FieldDescriptor& field, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    ReadMessage(node, path,
                field.is_repeated() ? reflection.AddMessage(message, &field)
                                    : reflection.MutableMessage(message, &field));
    return;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    ReadEnum(node, path, field, message);
    return;
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    ReadNumber(node, path, field, message);
    return;
  }
  if (node.kind != Node::Kind::kScalar) {
    Expected(node, path, "text");
  } else if (field.is_repeated()) {
    reflection.AddString(message, &field, node.text);
  } else {
    reflection.SetString(message, &field, node.text);
  }
}

void MessageReader::ReadEnum(const Node& node, const std::string& path,
                             const FieldDescriptor& field, Message* message) {
  const std::vector<std::string> names = ShortEnumNames(*field.enum_type());
  if (node.kind != Node::Kind::kScalar) {
    Expected(node, path, "a name");
    return;
  }
  const auto* const value = FindEnumValue(*field.enum_type(), node.text);
  if (value == nullptr) {
    Complain(node, absl::StrCat(path, ": unknown value \"", node.text, "\"",
                                Suggestion(node.text, names, "values")));
  } else if (field.is_repeated()) {
    message->GetReflection()->AddEnum(message, &field, value);
  } else {
    message->GetReflection()->SetEnum(message, &field, value);
  }
}

void MessageReader::ReadNumber(const Node& node, const std::string& path,
                               const FieldDescriptor& field, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  const auto is_wide = [&field] {
    return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 ||
           field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
  };
  const bool is_plain = node.kind == Node::Kind::kScalar &&
                        (!node.quoted || (dialect_ == Dialect::kProtoJson && is_wide()));
  // Stores a parsed value, or complains in the words of the type.
  const auto store = [&](bool parsed, const std::string& what, const auto& set) {
    if (is_plain && parsed) {
      set();
    } else {
      Expected(node, path, what);
    }
  };
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      store(Parse(node, &value), WholeNumber<int32_t>(), [&] {
        repeated ? reflection.AddInt32(message, &field, value)
                 : reflection.SetInt32(message, &field, value);
      });
      return;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      store(Parse(node, &value), WholeNumber<int64_t>(), [&] {
        repeated ? reflection.AddInt64(message, &field, value)
                 : reflection.SetInt64(message, &field, value);
      });
      return;
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t value = 0;
      store(Parse(node, &value), WholeNumber<uint64_t>(), [&] {
        repeated ? reflection.AddUInt64(message, &field, value)
                 : reflection.SetUInt64(message, &field, value);
      });
      return;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      const bool parsed = absl::SimpleAtod(node.text, &value) && std::isfinite(value);
      store(parsed, "a number", [&] {
        repeated ? reflection.AddDouble(message, &field, value)
                 : reflection.SetDouble(message, &field, value);
      });
      return;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool parsed = node.text == "true" || node.text == "false";
      store(parsed, "true or false", [&] {
        repeated ? reflection.AddBool(message, &field, node.text == "true")
                 : reflection.SetBool(message, &field, node.text == "true");
      });
      return;
    }
    default:
      Complain(node, absl::StrCat(path, ": cannot be written in a job file"));
  }
}

}  // namespace distill::client
