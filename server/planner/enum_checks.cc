#include "server/planner/enum_checks.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace distill::server {

std::string ValueName(int value, const google::protobuf::EnumDescriptor* type) {
  const google::protobuf::EnumValueDescriptor* known = type->FindValueByNumber(value);
  if (known == nullptr) return absl::StrCat(value);
  // Every enum of the protocol begins with PREFIX_UNSPECIFIED, and all its names with that prefix.
  const absl::string_view prefix = absl::StripSuffix(type->value(0)->name(), "UNSPECIFIED");
  return absl::AsciiStrToLower(absl::StripPrefix(known->name(), prefix));
}

void CheckEnum(absl::string_view path, int value, const google::protobuf::EnumDescriptor* type,
               FieldChecks& checks) {
  if (value != 0 && type->FindValueByNumber(value) != nullptr) return;
  std::vector<std::string> names;
  for (int i = 0; i < type->value_count(); ++i) {
    const int number = type->value(i)->number();
    if (number != 0) names.push_back(ValueName(number, type));
  }
  checks.Fail(path, value, absl::StrCat("one of ", absl::StrJoin(names, ", ")));
}

}  // namespace distill::server
