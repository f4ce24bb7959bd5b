// What a forward pass knows besides its input: whether it trains, and where its random numbers, its
// statistics and its additional losses go.
#pragma once

#include <cstdint>
#include <vector>

#include "base/counter_random.h"
#include "worker/models/auxiliary_loss.h"
#include "worker/models/expert_load.h"

namespace distill::models {

// A value. The random numbers of a pass are named by their place (stage, block, use), so that the
// same step draws the same ones whatever else runs beside it.
struct ForwardContext {
  bool training = false;  // enables dropout, stochastic depth and the noise of routers
  CounterRandom random = CounterRandom(0);
  // When not null, receives one entry per mixture-of-experts layer that is passed, in order.
  // Borrowed.
  std::vector<ExpertLoad>* expert_loads = nullptr;
  // When not null and `training`, receives what the layers want added to the loss, in order.
  // Borrowed.
  std::vector<AuxiliaryLoss>* auxiliary_losses = nullptr;
  // Where the first image of the input stands in its batch: random numbers of an image are those
  // that it would draw if the whole batch were passed.
  int64_t first_image = 0;

  // The context of stage or block number `index` of the chain that this context is for.
  ForwardContext At(int64_t index) const {
    return ForwardContext{training, random.Stream(static_cast<uint64_t>(index)), expert_loads,
                          auxiliary_losses, first_image};
  }
};

}  // namespace distill::models
