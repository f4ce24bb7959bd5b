// Fills requests of the API from paths and query parameters, which are named like the fields.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace distill::server {

// Sets the field `name`: text, whole number or bool ("true", "1"). "fields" stands for a
// read_mask, its paths separated by commas. kInvalidArgument: no such field, or not such a value.
absl::Status SetField(const std::string& name, const std::string& value,
                      google::protobuf::Message& request);

// Sets all of them.
absl::Status SetFields(const std::map<std::string, std::string>& values,
                       google::protobuf::Message& request);

// A path such as "jobs/{job}/tasks": parts in braces match anything but nothing.
class PathPattern {
 public:
  explicit PathPattern(absl::string_view pattern);

  // Puts what the braces matched into `values`; false when `path` is another one.
  bool Matches(absl::string_view path, std::map<std::string, std::string>& values) const;

 private:
  const std::vector<std::string> parts_;
};

}  // namespace distill::server
