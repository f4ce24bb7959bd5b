// Decides in which order the images of an epoch are visited: a pure function of the configuration
// and the epoch, so that any worker can take up any epoch at any step.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distill::data {

enum class SamplerKind {
  kSequential,  // 0, 1, 2, ...: evaluation.
  kCounter,     // A permutation drawn from (seed, epoch) by CounterRandom: the default of training.
  kReference,   // The order of PyTorch's CPU generator, for runs beside the reference program.
};

struct SamplerConfig {
  SamplerKind kind = SamplerKind::kCounter;
  uint64_t seed = 0;
  // Repeated augmentation: times that each drawn image is visited in a row, augmented anew each
  // time. An epoch stays as long as without, so it has n / repeats different images.
  //
  // kCounter: the first n visits of the permutation with each image repeated; all images come up
  // over the epochs. kReference with 3 repeats: the sampler of the reference, whose permutation is
  // seeded by the epoch alone and whose epoch has floor(floor(n/256)*256 / ranks) images; with 1,
  // torch's DistributedSampler, seeded by seed + epoch, ceil(n / ranks) images. kSequential: 1.
  int repeats = 1;
  // Ranks that share an epoch, and which of them this is; 1 and 0 outside a gang.
  int ranks = 1;
  int rank = 0;
};

// One visit of an image within an epoch.
struct Visit {
  int64_t index = 0;
  int repeat = 0;  // In [0, repeats): tells the augmented copies of one image apart.

  friend bool operator==(const Visit& a, const Visit& b) {
    return a.index == b.index && a.repeat == b.repeat;
  }
};

// Tells whether the fields fit together; the message names the one that does not.
absl::Status ValidateSampler(const SamplerConfig& config);

// Returns the visits of one epoch in order. With several ranks, kSequential and
// kCounter deal the order out in turn, without padding, so no image is seen twice. Requires a valid
// configuration.
std::vector<Visit> EpochOrder(const SamplerConfig& config, int64_t dataset_size, int64_t epoch);

// How many visits EpochOrder returns, without drawing them.
int64_t EpochSize(const SamplerConfig& config, int64_t dataset_size);

// torch.randperm(count) on a CPU generator after manual_seed(seed): Mersenne twister, of whose
// 32-bit outputs each is reduced modulo the number of places left.
std::vector<int64_t> TorchRandomPermutation(int64_t count, uint64_t seed);

}  // namespace distill::data
