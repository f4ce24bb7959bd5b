// What lease sets run with; all of it outlives them.
#pragma once

#include <torch/torch.h>

#include "base/clock.h"
#include "worker/training/feature_cache.h"
#include "worker/training/gradient_reducer.h"
#include "worker/training/image_sets.h"
#include "worker/training/training_observer.h"

namespace distill::training {

struct TrainingEnvironment {
  const Clock& clock;
  ImageSetsCache& images;
  FeatureCache& features;
  TrainingObserver& observer;
  // Where ranks of a gang meet; null where there are none.
  GangRendezvous* gangs = nullptr;
  // Where networks compute. Images are loaded, and results kept, in main memory.
  torch::Device device = torch::kCPU;
};

}  // namespace distill::training
