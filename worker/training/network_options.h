// From the messages that describe networks to the configurations they are built from: the one
// mapping for tasks and for architecture files. What the networks make of a value, and whether it
// makes sense, is for models/ to say.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "distill/v1/model.pb.h"
#include "worker/models/model_config.h"
#include "worker/models/nac/nac_config.h"
#include "worker/models/routing/router_config.h"

namespace distill::training {

// What a network is told by its surroundings rather than by its own message.
struct NetworkFrame {
  int64_t image_size = 0;  // Pixels, square.
  int64_t channels = 0;
  int64_t patch_size = 0;  // Not of a NAC.
  int64_t classes = 0;
  int64_t modules = 0;
};

// Requires a resolved message. Without stochastic depth; without stages where the blocks cannot be
// divided among the modules.
models::VitConfig VitConfigOf(const NetworkFrame& frame, const v1::VitSpec& vit);

// The same with its mixtures. Without stitches. Errors: those of RouterConfigOf.
absl::StatusOr<models::VmoeConfig> VmoeConfigOf(const NetworkFrame& frame,
                                                const v1::VmoeSpec& vmoe);

// Puts stitches of this width between all stages.
void AddStitches(int64_t width, models::VmoeConfig* config);

// What `spec` says, and the defaults of its kind where it says nothing; an empty spec is m2mKD's
// gate. Errors: kInvalidArgument for a kind that this build does not know.
absl::StatusOr<models::RouterConfig> RouterConfigOf(const v1::RouterSpec& spec);

// Fields that are not set keep the network's defaults: a task sets those that it makes use of.
// Without stochastic depth and kept stitches. Errors: kInvalidArgument when there are too few
// modules.
absl::StatusOr<models::NacConfig> NacConfigOf(const NetworkFrame& frame, const v1::NacSpec& nac);

// Module `index` of the NAC of `frame` and `nac`, between stages of width `stitch_width`.
absl::StatusOr<models::NacModuleConfig> NacModuleConfigOf(const NetworkFrame& frame,
                                                          const v1::NacSpec& nac, int64_t index,
                                                          int64_t stitch_width);

models::ModuleCodes ModuleCodesOf(v1::NacCodes codes);

}  // namespace distill::training
