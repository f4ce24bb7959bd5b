// First values of a NAC's weights, as a function of (random key, parameter name) only.
//
//   codes, signatures, positional grid, states      standard normal
//   native_weight, scale.weight                     uniform in +-1 / sqrt(in)
//   seeder, pooling, stitches: weight and bias      uniform in +-1 / sqrt(in); but the bias of the
//                                                   seeder's log variance is -5
//   tokenizer: convolutions and Linear weights      normal, deviation 0.02, cut at +-2
//   all other biases                                0
//   LayerNorm, layer scales, gains, bandwidths      as the configuration says
#pragma once

#include "base/counter_random.h"
#include "worker/models/nac/nac.h"
#include "worker/models/nac/nac_module.h"

namespace distill::models {

void Initialize(const Nac& nac, const CounterRandom& random);
void Initialize(const NacModule& module, const CounterRandom& random);

}  // namespace distill::models
