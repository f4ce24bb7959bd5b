// Why a task does not run, in words that say what to do about it.
#pragma once

#include <string>

#include "distill/v1/job_service.pb.h"

namespace distill::client {

// Returns a few sentences, each on a line of its own, and for a queued task the table of workers.
std::string RenderExplanation(const v1::TaskExplanation& explanation);

// What may be done about a reason; "" when waiting is all there is to do.
std::string RemedyFor(const v1::TaskExplanation& explanation);

}  // namespace distill::client
