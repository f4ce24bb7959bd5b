// How messages of the API look as JSON: as `distill -o json` prints them, on one line.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace distill::server {

std::string ToJson(const google::protobuf::Message& message);

}  // namespace distill::server
