// How much of a training curve a page gets.
#pragma once

#include <cstdint>

#include "distill/v1/report.pb.h"

namespace distill::server {

// Keeps points beyond `after_step` and of those at most `most` (0: all; otherwise at least 2 are
// kept): evenly chosen, the first and the last among them.
void ThinSeries(int64_t after_step, int64_t most, v1::Series& series);

}  // namespace distill::server
