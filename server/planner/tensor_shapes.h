// Names and shapes of the tensors in a ViT's weight files, so that weights that do not fit a job
// are refused when it is submitted. The names are those of the reference implementation; the
// trainer builds the same networks (worker/models/state.h), and a test compares the two.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "distill/v1/model.pb.h"
#include "server/planner/shapes.h"

namespace distill::server {

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// All require a spec that passed ValidateJobSpec.

// One stage, with blocks counted from 0 in it. 0 <= stage < number of stages.
TensorShapes StageTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry, int stage);
// A whole model: cls_token, pos_embed, then stages.<s>.<the rest>.
TensorShapes WholeTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry);
// A whole model by timm's names: blocks counted over the whole model.
TensorShapes FlatTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry);

}  // namespace distill::server
