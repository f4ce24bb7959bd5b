#include "server/web/event_stream.h"

#include "absl/strings/str_cat.h"

namespace distill::server {

std::string EventFrame(absl::string_view id, absl::string_view name, absl::string_view data) {
  return absl::StrCat(id.empty() ? "" : absl::StrCat("id: ", id, "\n"), "event: ", name,
                      "\ndata: ", data, "\n\n");
}

std::string LastFrame(const absl::Status& status) {
  return status.ok() ? EventFrame("", "end", "{}") : EventFrame("", "failure", ErrorJson(status));
}

}  // namespace distill::server
