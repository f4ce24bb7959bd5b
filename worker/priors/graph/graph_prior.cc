// Checks the parameters of graph priors and draws the graphs.
#include "worker/priors/graph/graph_prior.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/counter_random.h"
#include "base/status_macros.h"

namespace distill::priors {
namespace {

absl::Status Invalid(const PriorConfig& config, absl::string_view parameter,
                     absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build graph prior: ", parameter, " ",
                                                 cause, " prior=", PriorName(config.kind),
                                                 " mediators=", config.nodes));
}

absl::Status CheckProbability(const PriorConfig& config, absl::string_view parameter,
                              double probability) {
  if (probability >= 0.0 && probability <= 1.0) return absl::OkStatus();
  return Invalid(config, parameter, absl::StrCat("must be in [0, 1]; got=", probability));
}

absl::Status CheckCommunities(const PriorConfig& config, int64_t fewest, int64_t smallest) {
  const int64_t communities = config.communities;
  if (communities < fewest) {
    return Invalid(config, "communities",
                   absl::StrCat("must be at least ", fewest, "; got=", communities));
  }
  if (config.nodes % communities != 0) {
    return Invalid(
        config, "communities",
        absl::StrCat("must divide the number of mediators, all being alike in size; got=",
                     communities));
  }
  if (config.nodes / communities < smallest) {
    return Invalid(config, "communities",
                   absl::StrCat("leave fewer than ", smallest,
                                " mediators to each: take fewer communities; got=", communities));
  }
  return absl::OkStatus();
}

absl::Status CheckNeighbours(const PriorConfig& config) {
  if (config.nodes < 3) return Invalid(config, "mediators", "must be at least 3;");
  const int64_t neighbours = config.neighbours;
  if (neighbours == 0) return absl::OkStatus();
  if (neighbours < 2 || neighbours >= config.nodes || neighbours % 2 != 0) {
    return Invalid(config, "neighbours",
                   absl::StrCat("must be even, at least 2 and below the number of mediators; got=",
                                neighbours));
  }
  return absl::OkStatus();
}

Graph ScaleFree(const PriorConfig& config, CounterRandom random) {
  Graph graph(config.nodes);
  // Holds each node once per link, so that a uniform draw is proportional to degree.
  std::vector<int64_t> ends;
  ends.reserve(static_cast<size_t>(2 * config.nodes * config.attachments));
  const auto link = [&](int64_t u, int64_t v) {
    graph.Link(u, v);
    ends.push_back(u);
    ends.push_back(v);
  };
  for (int64_t v = 1; v <= config.attachments; ++v) link(0, v);
  for (int64_t u = config.attachments + 1; u < config.nodes; ++u) {
    std::vector<int64_t> targets;
    while (static_cast<int64_t>(targets.size()) < config.attachments) {
      const int64_t target = ends[random.Below(static_cast<uint32_t>(ends.size()))];
      if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
        targets.push_back(target);
      }
    }
    for (const int64_t target : targets) link(u, target);
  }
  return graph;
}

// Independent links; the probability of (u, v) is p_in within one of `communities`.
Graph IndependentLinks(int64_t nodes, int64_t communities, double p_in, double p_out,
                       CounterRandom random) {
  Graph graph(nodes);
  const int64_t size = nodes / communities;
  for (int64_t u = 0; u < nodes; ++u) {
    for (int64_t v = u + 1; v < nodes; ++v) {
      const double probability = u / size == v / size ? p_in : p_out;
      if (random.Uniform() < probability) graph.Link(u, v);
    }
  }
  return graph;
}

Graph RingOfCliques(const PriorConfig& config) {
  const int64_t size = config.nodes / config.communities;
  Graph graph(config.nodes);
  for (int64_t clique = 0; clique < config.communities; ++clique) {
    const int64_t first = clique * size;
    for (int64_t u = first; u < first + size; ++u) {
      for (int64_t v = u + 1; v < first + size; ++v) graph.Link(u, v);
    }
    graph.Link(first + 1, (first + size) % config.nodes);
  }
  return graph;
}

Graph WattsStrogatz(const PriorConfig& config, CounterRandom random) {
  const int64_t nodes = config.nodes;
  const int64_t neighbours = config.neighbours == 0 ? DefaultNeighbours(nodes) : config.neighbours;
  Graph graph(nodes);
  for (int64_t step = 1; step <= neighbours / 2; ++step) {
    for (int64_t u = 0; u < nodes; ++u) graph.Link(u, (u + step) % nodes);
  }
  for (int64_t step = 1; step <= neighbours / 2; ++step) {
    for (int64_t u = 0; u < nodes; ++u) {
      const int64_t v = (u + step) % nodes;
      if (random.Uniform() >= config.rewiring || graph.Degree(u) >= nodes - 1) continue;
      int64_t target = u;
      while (target == u || graph.Linked(u, target)) {
        target = random.Below(static_cast<uint32_t>(nodes));
      }
      graph.Unlink(u, v);
      graph.Link(u, target);
    }
  }
  return graph;
}

}  // namespace

absl::string_view PriorName(PriorKind kind) {
  switch (kind) {
    case PriorKind::kScaleFree:
      return "scale-free";
    case PriorKind::kPlantedPartition:
      return "planted-partition";
    case PriorKind::kRingOfCliques:
      return "ring-of-cliques";
    case PriorKind::kErdosRenyi:
      return "erdos-renyi";
    case PriorKind::kWattsStrogatz:
      return "watts-strogatz";
    case PriorKind::kComplete:
      return "complete";
  }
  return "unknown";
}

int64_t DefaultNeighbours(int64_t nodes) {
  const auto tenth = static_cast<int64_t>(std::lround(0.1 * static_cast<double>(nodes)));
  return std::max<int64_t>(2, tenth - tenth % 2);
}

absl::Status CheckPrior(const PriorConfig& config) {
  if (config.nodes < 1 || config.nodes > kMaxPriorNodes) {
    return Invalid(config, "mediators", absl::StrCat("must be 1 to ", kMaxPriorNodes, ";"));
  }
  switch (config.kind) {
    case PriorKind::kScaleFree:
      if (config.attachments >= 1 && config.attachments < config.nodes) return absl::OkStatus();
      return Invalid(config, "attachments",
                     absl::StrCat("must be at least 1 and below the number of mediators; got=",
                                  config.attachments));
    case PriorKind::kPlantedPartition:
      DISTILL_RETURN_IF_ERROR(CheckCommunities(config, 1, 1));
      DISTILL_RETURN_IF_ERROR(CheckProbability(config, "p_in", config.p_in));
      return CheckProbability(config, "p_out", config.p_out);
    case PriorKind::kRingOfCliques:
      return CheckCommunities(config, 2, 2);
    case PriorKind::kErdosRenyi:
      return CheckProbability(config, "p", config.link_probability);
    case PriorKind::kWattsStrogatz:
      DISTILL_RETURN_IF_ERROR(CheckProbability(config, "p", config.rewiring));
      return CheckNeighbours(config);
    case PriorKind::kComplete:
      return absl::OkStatus();
  }
  return Invalid(config, "kind", "is not one of the known priors;");
}

Graph::Graph(int64_t nodes)
    : nodes_(nodes),
      degrees_(static_cast<size_t>(nodes)),
      adjacency_(static_cast<size_t>(nodes * nodes)) {}

double Graph::Density() const {
  if (nodes_ < 2) return 0.0;
  return static_cast<double>(edges_) / (0.5 * static_cast<double>(nodes_ * (nodes_ - 1)));
}

bool Graph::Link(int64_t u, int64_t v) {
  DISTILL_CHECK(u != v, "a simple graph has no self-links");
  if (Linked(u, v)) return false;
  adjacency_[Index(u, v)] = adjacency_[Index(v, u)] = 1;
  ++degrees_[static_cast<size_t>(u)];
  ++degrees_[static_cast<size_t>(v)];
  ++edges_;
  return true;
}

bool Graph::Unlink(int64_t u, int64_t v) {
  DISTILL_CHECK(u != v, "a simple graph has no self-links");
  if (!Linked(u, v)) return false;
  adjacency_[Index(u, v)] = adjacency_[Index(v, u)] = 0;
  --degrees_[static_cast<size_t>(u)];
  --degrees_[static_cast<size_t>(v)];
  --edges_;
  return true;
}

absl::StatusOr<Graph> GenerateGraph(const PriorConfig& config, uint64_t seed) {
  DISTILL_RETURN_IF_ERROR(CheckPrior(config));
  const CounterRandom random =
      CounterRandom(seed).Stream("graph prior").Stream(PriorName(config.kind));
  switch (config.kind) {
    case PriorKind::kScaleFree:
      return ScaleFree(config, random);
    case PriorKind::kPlantedPartition:
      return IndependentLinks(config.nodes, config.communities, config.p_in, config.p_out, random);
    case PriorKind::kRingOfCliques:
      return RingOfCliques(config);
    case PriorKind::kErdosRenyi:
      return IndependentLinks(config.nodes, 1, config.link_probability, 0.0, random);
    case PriorKind::kWattsStrogatz:
      return WattsStrogatz(config, random);
    case PriorKind::kComplete:
      break;
  }
  return IndependentLinks(config.nodes, 1, 1.0, 0.0, random);
}

}  // namespace distill::priors
