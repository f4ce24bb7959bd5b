// What a forward pass knows besides its input: whether it trains, and where its random numbers and
// its statistics go.
#pragma once

#include <cstdint>
#include <vector>

#include "base/counter_random.h"

namespace distill::models {

// How many tokens one mixture-of-experts layer sent to each expert, summed over forward passes.
struct ExpertLoad {
  std::vector<int64_t> tokens;
};

// A value. The random numbers of a pass are named by their place (stage, block, use), so that the
// same step draws the same ones whatever else runs beside it.
struct ForwardContext {
  bool training = false;  // enables dropout and stochastic depth
  CounterRandom random = CounterRandom(0);
  // When not null, receives one entry per mixture-of-experts layer that is passed, in order.
  // Borrowed.
  std::vector<ExpertLoad>* expert_loads = nullptr;

  // The context of stage or block number `index` of the chain that this context is for.
  ForwardContext At(int64_t index) const {
    return ForwardContext{training, random.Stream(static_cast<uint64_t>(index)), expert_loads};
  }
};

}  // namespace distill::models
