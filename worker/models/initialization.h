// First values of weights, as a function of (random key, parameter name) only: neither the order of
// the parameters nor other modules matter.
//
//   linear weights, gate, cls_token, pos_embed   normal, deviation 0.02, cut at +-2
//   linear and expert biases, w_noise            0
//   LayerNorm                                    weight 1, bias 0
//   patch embedding                              uniform in +-1 / sqrt(fan in), weight and bias
//   expert weights                               uniform, see ExpertInitialization
#pragma once

#include "base/counter_random.h"
#include "worker/models/staged_model.h"

namespace distill::models {

enum class ExpertInitialization {
  // Uniform in +-1 / sqrt(out * in): what the reference computes, because it takes the leading
  // dimension of one expert for its outputs. Much smaller than usual.
  kReference,
  // Uniform in +-1 / sqrt(in).
  kPerMatrix,
};

// Fills `stage`. A module gets the same values wherever it is trained: pass a generator named by
// the module.
void Initialize(const VitStage& stage, const CounterRandom& random, ExpertInitialization experts);

// Fills stage s of `model` from random.Stream(s).
void Initialize(const StagedModel& model, const CounterRandom& random,
                ExpertInitialization experts);

}  // namespace distill::models
