// Writes a protobuf message as YAML that client/jobfile reads back to the same message.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace distill::client {

// Returns every field that is set, in order of declaration, enum values by their short names. The
// text of an empty message is "{}\n".
std::string RenderYaml(const google::protobuf::Message& message);

}  // namespace distill::client
