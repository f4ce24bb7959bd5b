#include "client/cli/dev_addresses.h"

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill::client {

absl::StatusOr<DevAddresses> ReadAddresses(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 64 * 1024));
  DevAddresses addresses;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (field.first == "grpc") addresses.grpc = std::string(field.second);
    if (field.first == "http") addresses.http = std::string(field.second);
  }
  return addresses;
}

}  // namespace distill::client
