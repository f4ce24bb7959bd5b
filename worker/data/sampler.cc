#include "worker/data/sampler.h"

#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"

namespace distill::data {
namespace {

// The reference rounds an epoch of repeated augmentation down to a multiple of this many images.
constexpr int64_t kRepeatedEpochQuantum = 256;

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Deals out the permutation with each image `repeats` times in a row, padded from its own
// beginning.
std::vector<Visit> ReferenceOrder(const SamplerConfig& config, int64_t dataset_size,
                                  int64_t epoch) {
  const uint64_t seed =
      static_cast<uint64_t>(epoch) + (config.repeats == 1 ? config.seed : uint64_t{0});
  const std::vector<int64_t> permutation = TorchRandomPermutation(dataset_size, seed);
  const int64_t total = dataset_size * config.repeats;
  const int64_t size = EpochSize(config, dataset_size);
  std::vector<Visit> order;
  order.reserve(static_cast<size_t>(size));
  for (int64_t k = 0; k < size; ++k) {
    const int64_t position = (config.rank + k * config.ranks) % total;
    order.push_back({permutation[static_cast<size_t>(position / config.repeats)],
                     static_cast<int>(position % config.repeats)});
  }
  return order;
}

}  // namespace

absl::Status ValidateSampler(const SamplerConfig& config) {
  if (config.ranks < 1 || config.rank < 0 || config.rank >= config.ranks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sampler.rank must be in [0, ranks); rank=", config.rank, " ranks=", config.ranks));
  }
  if (config.repeats < 1 || (config.repeats > 1 && config.kind == SamplerKind::kSequential)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sampler.repeats must be at least 1, and 1 in sequential order; repeats=", config.repeats));
  }
  return absl::OkStatus();
}

int64_t EpochSize(const SamplerConfig& config, int64_t dataset_size) {
  if (config.kind != SamplerKind::kReference) {
    return (dataset_size - config.rank + config.ranks - 1) / config.ranks;
  }
  if (config.repeats == 1) return CeilDivide(dataset_size, config.ranks);
  return dataset_size / kRepeatedEpochQuantum * kRepeatedEpochQuantum / config.ranks;
}

std::vector<Visit> EpochOrder(const SamplerConfig& config, int64_t dataset_size, int64_t epoch) {
  DISTILL_CHECK(ValidateSampler(config).ok(), "callers validate the configuration first");
  DISTILL_CHECK(dataset_size > 0 && dataset_size <= UINT32_MAX, "readers bound the size");
  if (config.kind == SamplerKind::kReference) return ReferenceOrder(config, dataset_size, epoch);
  std::vector<uint32_t> permutation;
  if (config.kind == SamplerKind::kCounter) {
    permutation = CounterRandom(config.seed)
                      .Stream("epoch order")
                      .Stream(static_cast<uint64_t>(epoch))
                      .Permutation(static_cast<uint32_t>(dataset_size));
  }
  std::vector<Visit> order;
  order.reserve(static_cast<size_t>(EpochSize(config, dataset_size)));
  for (int64_t i = config.rank; i < dataset_size; i += config.ranks) {
    const int64_t place = i / config.repeats;
    order.push_back({permutation.empty() ? i : permutation[static_cast<size_t>(place)],
                     static_cast<int>(i % config.repeats)});
  }
  return order;
}

std::vector<int64_t> TorchRandomPermutation(int64_t count, uint64_t seed) {
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::vector<int64_t> permutation(static_cast<size_t>(count));
  std::iota(permutation.begin(), permutation.end(), int64_t{0});
  for (int64_t i = 0; i + 1 < count; ++i) {
    const int64_t step = static_cast<int64_t>(generator() % static_cast<uint64_t>(count - i));
    std::swap(permutation[static_cast<size_t>(i)], permutation[static_cast<size_t>(i + step)]);
  }
  return permutation;
}

}  // namespace distill::data
