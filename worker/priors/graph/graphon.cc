// The formulas of the graphons.
#include "worker/priors/graph/graphon.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"

namespace distill::priors {
namespace {

double LinkProbability(const PriorConfig& config, int64_t u, int64_t v) {
  const auto nodes = static_cast<double>(config.nodes);
  const int64_t size = config.communities > 0 ? config.nodes / config.communities : config.nodes;
  switch (config.kind) {
    case PriorKind::kScaleFree:
      return std::min(1.0, std::sqrt(nodes / static_cast<double>((u + 1) * (v + 1))) / 16.0);
    case PriorKind::kPlantedPartition:
      return u / size == v / size ? config.p_in : config.p_out;
    case PriorKind::kRingOfCliques: {
      const int64_t first = std::min(u, v);
      const int64_t second = std::max(u, v);
      const int64_t apart = second / size - first / size;
      return apart == 0 || (apart == 1 && first % size == 0) ? 1.0 : 0.0;
    }
    case PriorKind::kErdosRenyi:
      return config.link_probability;
    case PriorKind::kWattsStrogatz: {
      const int64_t neighbours =
          config.neighbours == 0 ? DefaultNeighbours(config.nodes) : config.neighbours;
      const int64_t apart = std::abs(u - v);
      if (std::min(apart, config.nodes - apart) <= neighbours / 2) return 1.0 - config.rewiring;
      return config.rewiring * static_cast<double>(neighbours) / nodes;
    }
    case PriorKind::kComplete:
      return 1.0;
  }
  return 0.0;
}

}  // namespace

absl::StatusOr<std::vector<double>> Graphon(const PriorConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckPrior(config));
  std::vector<double> graphon(static_cast<size_t>(config.nodes * config.nodes));
  for (int64_t u = 0; u < config.nodes; ++u) {
    for (int64_t v = 0; v < config.nodes; ++v) {
      graphon[static_cast<size_t>(u * config.nodes + v)] = LinkProbability(config, u, v);
    }
  }
  return graphon;
}

}  // namespace distill::priors
