// Small configurations that the tests of this folder share.
#pragma once

#include <vector>

#include "base/counter_random.h"
#include "worker/models/initialization.h"
#include "worker/models/staged_model.h"

namespace distill::models {

inline VitConfig SmallVit(std::vector<int64_t> depths) {
  VitConfig config;
  config.image_size = 8;
  config.channels = 2;
  config.patch_size = 4;
  config.embed_dim = 12;
  config.heads = 2;
  config.stage_depths = std::move(depths);
  config.classes = 5;
  return config;
}

inline VmoeConfig SmallVmoe(StageRole role, std::vector<int64_t> depths,
                            std::vector<int64_t> moe_blocks) {
  VmoeConfig config;
  config.vit = SmallVit(std::move(depths));
  config.vit.embed_dim = 8;
  config.vit.mlp_ratio = 2.0;
  config.role = role;
  config.experts = 3;
  config.moe_blocks = std::move(moe_blocks);
  config.stitch_width = 12;
  return config;
}

// A model with seeded weights, larger than usual so that every part shows in the output.
template <typename Config>
StagedModel SmallModel(const Config& config, uint64_t seed,
                       torch::ScalarType type = torch::kFloat) {
  StagedModel model = StagedModel::Create(config).value();
  Initialize(model, CounterRandom(seed), ExpertInitialization::kPerMatrix);
  const torch::NoGradGuard no_gradient;
  for (VitStage stage : model.stages()) {
    for (torch::Tensor& parameter : stage->parameters()) {
      if (parameter.dim() > 1) parameter.mul_(8.0);
    }
    stage->to(type);
  }
  return model;
}

}  // namespace distill::models
