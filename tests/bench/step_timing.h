// Times training steps and prints what the step benchmarks compare: losses and quartiles.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "nlohmann/json.hpp"

namespace distill {

// Calls `step`, which returns its loss, `warmup` and then `steps` times. Returns the fields that
// both programs of a comparison print: torch, threads, batch, seconds_median, seconds_quartiles (of
// the steps after the warm-up), images_per_second, and losses, of all steps.
nlohmann::json TimeSteps(const std::function<double()>& step, int64_t warmup, int64_t steps,
                         int64_t batch);

}  // namespace distill
