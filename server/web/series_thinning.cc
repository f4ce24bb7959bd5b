#include "server/web/series_thinning.h"

#include <algorithm>
#include <utility>

namespace distill::server {

void ThinSeries(int64_t after_step, int64_t most, v1::Series& series) {
  auto& points = *series.mutable_points();
  const auto first = std::find_if(points.begin(), points.end(),
                                  [&](const auto& point) { return point.step() > after_step; });
  points.erase(points.begin(), first);
  const int64_t count = points.size();
  const int64_t kept = std::max<int64_t>(most, 2);
  if (most == 0 || count <= kept) return;
  for (int64_t i = 1; i < kept; ++i) {
    points.SwapElements(static_cast<int>(i), static_cast<int>(i * (count - 1) / (kept - 1)));
  }
  points.DeleteSubrange(static_cast<int>(kept), static_cast<int>(count - kept));
}

}  // namespace distill::server
