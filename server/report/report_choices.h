// The settings of a job that its numbers cannot be read without, in words.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "distill/v1/job.pb.h"
#include "distill/v1/report.pb.h"

namespace distill::server {

// Adds `choices`, and `reference_choices`: for each point in which we differ from the reference
// implementation by default, what this job does and what the reference does.
void AddChoices(const v1::JobSpec& spec, v1::Report& report);

// "KD_DIVISOR_BATCH_MEAN" without "KD_DIVISOR_" -> "batch mean".
std::string EnumWords(absl::string_view name, absl::string_view prefix);

}  // namespace distill::server
