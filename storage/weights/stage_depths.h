// How the blocks of a staged network are divided among its stages.
#pragma once

#include <cstdint>
#include <vector>

#include "distill/v1/model.pb.h"

namespace distill::storage {

// Stages with the same number of blocks need not be listed: a job of thousands of modules would
// carry thousands of numbers in each of its tasks.

// Blocks of stage `index`. 0 when there is no such stage.
int64_t StageDepth(const v1::VitSpec& vit, int64_t stages, int64_t index);
// Blocks before stage `index`.
int64_t FirstBlock(const v1::VitSpec& vit, int64_t stages, int64_t index);
// Of each stage. Empty when the depth cannot be divided evenly and no depths are listed.
std::vector<int64_t> StageDepths(const v1::VitSpec& vit, int64_t stages);
// Drops the list when it says nothing that depth and stages do not.
void ForgetEvenDepths(v1::VitSpec& vit);

}  // namespace distill::storage
