// Keeps the code and the payloads of a status while its message grows.
#include "base/status_context.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace distill {

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&annotated](absl::string_view type_url, const absl::Cord& payload) {
    annotated.SetPayload(type_url, payload);
  });
  return annotated;
}

}  // namespace distill
