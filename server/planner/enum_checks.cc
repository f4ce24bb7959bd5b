#include "server/planner/enum_checks.h"

#include <vector>

#include "absl/strings/str_join.h"

namespace distill::server {

void CheckEnum(absl::string_view path, int value, const google::protobuf::EnumDescriptor* type,
               FieldChecks& checks) {
  if (value != 0 && type->FindValueByNumber(value) != nullptr) return;
  std::vector<std::string> names;
  for (int i = 0; i < type->value_count(); ++i) {
    if (type->value(i)->number() != 0) names.push_back(type->value(i)->name());
  }
  checks.Fail(path, value, absl::StrCat("one of ", absl::StrJoin(names, ", ")));
}

}  // namespace distill::server
