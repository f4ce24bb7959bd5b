#include "server/web/json.h"

#include "base/check.h"
#include "google/protobuf/util/json_util.h"

namespace distill::server {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  DISTILL_CHECK(status.ok(), "our messages hold nothing that JSON cannot say");
  return json;
}

}  // namespace distill::server
