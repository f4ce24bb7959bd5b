// The files of the page, compiled in from server/web/static.
#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace distill::server {

struct StaticFile {
  absl::string_view name;  // "app.css"
  absl::string_view content;
};

absl::Span<const StaticFile> StaticFiles();

}  // namespace distill::server
