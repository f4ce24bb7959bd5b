#include "storage/weights/stage_depths.h"

#include <algorithm>
#include <numeric>

namespace distill::storage {

int64_t StageDepth(const v1::VitSpec& vit, int64_t stages, int64_t index) {
  if (index < 0 || index >= stages) return 0;
  if (vit.stage_depths().empty()) return vit.depth() / stages;
  return index < vit.stage_depths_size() ? vit.stage_depths(static_cast<int>(index)) : 0;
}

int64_t FirstBlock(const v1::VitSpec& vit, int64_t stages, int64_t index) {
  if (vit.stage_depths().empty()) return index * StageDepth(vit, stages, 0);
  const auto begin = vit.stage_depths().begin();
  return std::accumulate(begin, begin + std::min<int64_t>(index, vit.stage_depths_size()),
                         int64_t{0});
}

std::vector<int64_t> StageDepths(const v1::VitSpec& vit, int64_t stages) {
  if (!vit.stage_depths().empty()) {
    return std::vector<int64_t>(vit.stage_depths().begin(), vit.stage_depths().end());
  }
  if (stages < 1 || vit.depth() % stages != 0) return {};
  return std::vector<int64_t>(static_cast<size_t>(stages), vit.depth() / stages);
}

void ForgetEvenDepths(v1::VitSpec& vit) {
  const auto& depths = vit.stage_depths();
  if (std::adjacent_find(depths.begin(), depths.end(), std::not_equal_to<>()) == depths.end()) {
    vit.clear_stage_depths();
  }
}

}  // namespace distill::storage
