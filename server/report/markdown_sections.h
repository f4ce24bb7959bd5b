// Sections of the page that only some jobs have. Each is empty when the report has none of it.
#pragma once

#include <string>

#include "distill/v1/report.pb.h"

namespace distill::server {

// Test sets of their own: accuracy of every whole model on each.
std::string OutOfDistributionSection(const v1::Report& report);
std::string FewShotSection(const v1::Report& report);
// The fitted graph prior: densities, what became of its edges, degrees, the picture's digest.
std::string PriorSection(const v1::Report& report);
// How evenly the student's experts are used.
std::string ExpertSection(const v1::Report& report);
// What layers and regularisers added to the loss when training ended.
std::string LossTermSection(const v1::Report& report);
std::string QualityGateSection(const v1::Report& report);
// What taking results from other tasks saved.
std::string ReuseSection(const v1::Report& report);
// Measured beside predicted memory.
std::string MemorySection(const v1::Report& report);

}  // namespace distill::server
