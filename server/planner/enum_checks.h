// Checks that an enum field holds a value that the protocol knows, and names values as job files
// do.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "server/planner/field_checks.h"

namespace distill::server {

// What job files call a value: "batch_mean" for KD_DIVISOR_BATCH_MEAN; its number when `type` does
// not have it.
std::string ValueName(int value, const google::protobuf::EnumDescriptor* type);

// Fails for values that `type` does not have, and for its unspecified one (0); the complaint lists
// what there is.
void CheckEnum(absl::string_view path, int value, const google::protobuf::EnumDescriptor* type,
               FieldChecks& checks);

}  // namespace distill::server
