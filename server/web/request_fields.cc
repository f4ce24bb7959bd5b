#include "server/web/request_fields.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/field_mask.pb.h"

namespace distill::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kMaskParameter[] = "fields";
constexpr char kMaskField[] = "read_mask";

absl::Status BadValue(const std::string& name, absl::string_view want) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read request: ", name, ": want ", want));
}

absl::Status SetMask(const FieldDescriptor& field, const std::string& value, Message& request) {
  const Reflection& reflection = *request.GetReflection();
  Message* const sub = reflection.MutableMessage(&request, &field);
  auto* const mask = dynamic_cast<google::protobuf::FieldMask*>(sub);
  if (mask == nullptr) return BadValue(kMaskParameter, "nothing: this call has no read mask");
  for (const absl::string_view path : absl::StrSplit(value, ',', absl::SkipEmpty())) {
    mask->add_paths(std::string(path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SetField(const std::string& name, const std::string& value, Message& request) {
  const bool is_mask = name == kMaskParameter;
  const FieldDescriptor* const field =
      request.GetDescriptor()->FindFieldByName(is_mask ? kMaskField : name);
  if (field == nullptr || field->is_repeated()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read request: no such parameter; parameter=", name));
  }
  if (is_mask) return SetMask(*field, value, request);
  const Reflection& reflection = *request.GetReflection();
  int32_t number = 0;
  int64_t long_number = 0;
  bool flag = false;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&request, field, value);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32:
      if (!absl::SimpleAtoi(value, &number)) return BadValue(name, "a whole number");
      reflection.SetInt32(&request, field, number);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT64:
      if (!absl::SimpleAtoi(value, &long_number)) return BadValue(name, "a whole number");
      reflection.SetInt64(&request, field, long_number);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!absl::SimpleAtob(value, &flag)) return BadValue(name, "true or false");
      reflection.SetBool(&request, field, flag);
      return absl::OkStatus();
    default:
      return BadValue(name, "nothing: it cannot be given here");
  }
}

absl::Status SetFields(const std::map<std::string, std::string>& values, Message& request) {
  for (const auto& [name, value] : values) {
    DISTILL_RETURN_IF_ERROR(SetField(name, value, request));
  }
  return absl::OkStatus();
}

PathPattern::PathPattern(absl::string_view pattern) : parts_(absl::StrSplit(pattern, '/')) {}

bool PathPattern::Matches(absl::string_view path,
                          std::map<std::string, std::string>& values) const {
  const std::vector<std::string> given = absl::StrSplit(path, '/');
  if (given.size() != parts_.size()) return false;
  std::map<std::string, std::string> matched;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const std::string& part = parts_[i];
    if (part.front() != '{') {
      if (part != given[i]) return false;
    } else if (given[i].empty()) {
      return false;
    } else {
      matched[part.substr(1, part.size() - 2)] = given[i];
    }
  }
  values.merge(matched);
  return true;
}

}  // namespace distill::server
