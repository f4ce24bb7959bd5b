// A job's plan as people read it: what runs, what is reused, and what it is expected to need.
#pragma once

#include <string>

#include "distill/v1/job_service.pb.h"

namespace distill::client {

enum class KeyLength { kShort, kFull };

// Returns a table of the tasks and the sums below it.
std::string RenderPlan(const v1::JobPlan& plan, KeyLength keys);

}  // namespace distill::client
