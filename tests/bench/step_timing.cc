#include "tests/bench/step_timing.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>

namespace distill {
namespace {

// Quartile q of 3 as Python's statistics.quantiles(n=4) computes it ("exclusive").
double Quartile(std::vector<double> values, int q) {
  std::sort(values.begin(), values.end());
  const int64_t count = static_cast<int64_t>(values.size());
  if (count == 1) return values[0];
  const int64_t scaled = q * (count + 1);
  const int64_t j = std::clamp<int64_t>(scaled / 4, 1, count - 1);
  const double delta = static_cast<double>(scaled - j * 4);
  const size_t at = static_cast<size_t>(j);
  return (values[at - 1] * (4.0 - delta) + values[at] * delta) / 4.0;
}

}  // namespace

nlohmann::json TimeSteps(const std::function<double()>& step, int64_t warmup, int64_t steps,
                         int64_t batch) {
  std::vector<double> losses;
  std::vector<double> seconds;
  for (int64_t i = 0; i < warmup; ++i) losses.push_back(step());
  for (int64_t i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    losses.push_back(step());
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double median = Quartile(seconds, 2);
  return {{"torch", TORCH_VERSION},
          {"threads", torch::get_num_threads()},
          {"batch", batch},
          {"seconds_median", median},
          {"seconds_quartiles", {Quartile(seconds, 1), Quartile(seconds, 3)}},
          {"images_per_second", static_cast<double>(batch) / median},
          {"losses", losses}};
}

}  // namespace distill
