// Read masks: which fields of an answer a caller wants. An empty mask means all.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/util/field_mask_util.h"

namespace distill::server {

// Whether the mask asks for the top-level field or a part of it, so that it must be looked up.
inline bool WantsField(const google::protobuf::FieldMask& mask, absl::string_view field) {
  if (mask.paths().empty()) return true;
  for (const absl::string_view path : mask.paths()) {
    if (path.substr(0, path.find('.')) == field) return true;
  }
  return false;
}

// Takes out what was not asked for.
template <typename Message>
void ApplyReadMask(const google::protobuf::FieldMask& mask, Message& message) {
  if (mask.paths().empty()) return;
  google::protobuf::util::FieldMaskUtil::TrimMessage(mask, &message);
}

}  // namespace distill::server
