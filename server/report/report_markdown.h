// Renders a report as a Markdown page: what people read.
#pragma once

#include <string>

#include "distill/v1/report.pb.h"

namespace distill::server {

// A pure function of the report's other fields.
std::string RenderMarkdown(const v1::Report& report);

}  // namespace distill::server
