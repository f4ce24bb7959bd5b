// Edge counts, densities and degrees of the graphs, and what parameters are refused.
#include "worker/priors/graph/graph_prior.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/status_matchers.h"

namespace distill::priors {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr PriorKind kKinds[] = {PriorKind::kScaleFree,     PriorKind::kPlantedPartition,
                                PriorKind::kRingOfCliques, PriorKind::kErdosRenyi,
                                PriorKind::kWattsStrogatz, PriorKind::kComplete};

PriorConfig Config(PriorKind kind, int64_t nodes = 256) {
  PriorConfig config;
  config.kind = kind;
  config.nodes = nodes;
  return config;
}

Graph Generate(const PriorConfig& config, uint64_t seed = 1) {
  absl::StatusOr<Graph> graph = GenerateGraph(config, seed);
  EXPECT_THAT(graph, IsOk());
  return *std::move(graph);
}

int64_t LargestDegree(const Graph& graph) {
  int64_t largest = 0;
  for (int64_t u = 0; u < graph.nodes(); ++u) largest = std::max(largest, graph.Degree(u));
  return largest;
}

bool SameLinks(const Graph& a, const Graph& b) {
  for (int64_t u = 0; u < a.nodes(); ++u) {
    if (!std::equal(a.Row(u), a.Row(u) + a.nodes(), b.Row(u))) return false;
  }
  return true;
}

// Share of the linked pairs among those for which `counts` holds.
template <typename Predicate>
double DensityWhere(const Graph& graph, Predicate counts) {
  int64_t pairs = 0;
  int64_t linked = 0;
  for (int64_t u = 0; u < graph.nodes(); ++u) {
    for (int64_t v = u + 1; v < graph.nodes(); ++v) {
      if (!counts(u, v)) continue;
      ++pairs;
      linked += graph.Linked(u, v) ? 1 : 0;
    }
  }
  return static_cast<double>(linked) / static_cast<double>(pairs);
}

TEST(GraphPriorTest, GraphsAreSimpleAndUndirected) {
  for (const PriorKind kind : kKinds) {
    SCOPED_TRACE(PriorName(kind));
    const Graph graph = Generate(Config(kind, 64));
    int64_t degrees = 0;
    for (int64_t u = 0; u < graph.nodes(); ++u) {
      EXPECT_FALSE(graph.Linked(u, u));
      int64_t degree = 0;
      for (int64_t v = 0; v < graph.nodes(); ++v) {
        EXPECT_EQ(graph.Linked(u, v), graph.Linked(v, u));
        degree += graph.Linked(u, v) ? 1 : 0;
      }
      EXPECT_EQ(graph.Degree(u), degree);
      degrees += degree;
    }
    EXPECT_EQ(degrees, 2 * graph.edges());
  }
}

TEST(GraphPriorTest, SeedDecides) {
  for (const PriorKind kind : kKinds) {
    SCOPED_TRACE(PriorName(kind));
    const Graph graph = Generate(Config(kind, 64), 5);
    EXPECT_TRUE(SameLinks(graph, Generate(Config(kind, 64), 5)));
    const bool random = kind != PriorKind::kRingOfCliques && kind != PriorKind::kComplete;
    EXPECT_EQ(SameLinks(graph, Generate(Config(kind, 64), 6)), !random);
  }
}

TEST(GraphPriorTest, ScaleFreeHasItsEdgesAndItsHubs) {
  PriorConfig config = Config(PriorKind::kScaleFree);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Graph graph = Generate(config, seed);
    EXPECT_EQ(graph.edges(), 508);  // 2 of the star, 2 for each of 253 nodes.
    // Degrees fall as d^-3: the largest is about m sqrt(n) = 32. Were links drawn uniformly, it
    // would be about 2 + 2 ln(n) = 13.
    EXPECT_GE(LargestDegree(graph), 20);
    int64_t fewest = 0;
    for (int64_t u = 0; u < graph.nodes(); ++u) {
      EXPECT_GE(graph.Degree(u), u < 3 ? 1 : 2);
      fewest += graph.Degree(u) <= 2 ? 1 : 0;
    }
    // 2 / (m + 2) of the nodes stay at the smallest degree: half.
    EXPECT_NEAR(static_cast<double>(fewest) / 256.0, 0.5, 0.1);
  }
  config.nodes = 768;
  config.attachments = 6;
  EXPECT_EQ(Generate(config).edges(), 6 + 6 * (768 - 7));
  config.nodes = 5;
  config.attachments = 4;  // The star alone.
  EXPECT_EQ(Generate(config).edges(), 4);
  EXPECT_EQ(Generate(config).Degree(0), 4);
}

TEST(GraphPriorTest, PlantedPartitionHasItsBlockDensities) {
  const Graph graph = Generate(Config(PriorKind::kPlantedPartition));
  const auto inside = [](int64_t u, int64_t v) { return u / 32 == v / 32; };
  const auto outside = [](int64_t u, int64_t v) { return u / 32 != v / 32; };
  // 3968 and 28672 pairs: four standard deviations are 0.019 and 0.0095.
  EXPECT_NEAR(DensityWhere(graph, inside), 0.9, 0.019);
  EXPECT_NEAR(DensityWhere(graph, outside), 0.2, 0.0095);
}

TEST(GraphPriorTest, RingOfCliquesIsExact) {
  const Graph graph = Generate(Config(PriorKind::kRingOfCliques));
  EXPECT_EQ(graph.edges(), 8 * 496 + 8);
  for (int64_t u = 0; u < 256; ++u) {
    for (int64_t v = u + 1; v < 256; ++v) {
      const bool ring = (u % 32 == 1 && v == u + 31) || (u == 0 && v == 7 * 32 + 1);
      EXPECT_EQ(graph.Linked(u, v), u / 32 == v / 32 || ring) << u << " " << v;
    }
  }
  PriorConfig smallest = Config(PriorKind::kRingOfCliques, 4);
  smallest.communities = 2;
  EXPECT_EQ(Generate(smallest).edges(), 4);
}

TEST(GraphPriorTest, ErdosRenyiHasItsDensityAndNoHubs) {
  const Graph graph = Generate(Config(PriorKind::kErdosRenyi));
  // 32640 pairs: four standard deviations are 0.0066.
  EXPECT_NEAR(graph.Density(), 0.1, 0.0066);
  // Binomial degrees: mean 25.5, standard deviation 4.8, six of them above.
  EXPECT_LE(LargestDegree(graph), 54);
}

TEST(GraphPriorTest, WattsStrogatzKeepsItsEdgesAndMovesItsShare) {
  PriorConfig config = Config(PriorKind::kWattsStrogatz);
  EXPECT_EQ(DefaultNeighbours(256), 26);
  EXPECT_EQ(DefaultNeighbours(768), 76);
  EXPECT_EQ(DefaultNeighbours(3), 2);
  const auto near = [](int64_t u, int64_t v) { return std::min(v - u, 256 - v + u) <= 13; };
  const Graph graph = Generate(config);
  EXPECT_EQ(graph.edges(), 256 * 13);
  // Of the links within the band 0.6 stay, and few come back by chance (0.4 * 26 / 256 of them).
  EXPECT_NEAR(DensityWhere(graph, near), 0.6 + 0.4 * 0.1, 0.04);
  config.rewiring = 0.0;
  EXPECT_EQ(DensityWhere(Generate(config), near), 1.0);
  config.rewiring = 1.0;
  config.nodes = 3;  // Nothing can be moved: everyone knows everyone.
  EXPECT_EQ(Generate(config).edges(), 3);
}

TEST(GraphPriorTest, CompleteLinksAll) {
  EXPECT_EQ(Generate(Config(PriorKind::kComplete, 10)).edges(), 45);
  EXPECT_EQ(Generate(Config(PriorKind::kComplete, 1)).Density(), 0.0);
}

TEST(GraphPriorTest, RefusesWhatDoesNotFitTheNumberOfMediators) {
  PriorConfig config = Config(PriorKind::kScaleFree, 8);
  config.attachments = 8;
  EXPECT_THAT(GenerateGraph(config, 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("attachments must be at least 1 and below the number of"),
                             HasSubstr("got=8 prior=scale-free mediators=8"))));
  config = Config(PriorKind::kPlantedPartition, 100);
  EXPECT_THAT(GenerateGraph(config, 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("communities must divide the number of mediators"),
                             HasSubstr("got=8 prior=planted-partition mediators=100"))));
  config = Config(PriorKind::kRingOfCliques, 8);
  EXPECT_THAT(CheckPrior(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("leave fewer than 2 mediators to each")));
  config.communities = 1;
  EXPECT_THAT(CheckPrior(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("communities must be at least 2; got=1")));
  config = Config(PriorKind::kWattsStrogatz, 8);
  for (const int64_t neighbours : {-2, 1, 3, 8}) {
    config.neighbours = neighbours;
    EXPECT_THAT(CheckPrior(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("neighbours must be even")));
  }
  config = Config(PriorKind::kWattsStrogatz, 2);
  EXPECT_THAT(CheckPrior(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("mediators must be at least 3")));
}

TEST(GraphPriorTest, RefusesWhatIsNoProbabilityOrNoSize) {
  PriorConfig config = Config(PriorKind::kErdosRenyi);
  for (const double p : {-0.1, 1.1, std::nan("")}) {
    config.link_probability = p;
    EXPECT_THAT(CheckPrior(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("p must be in [0, 1]")));
  }
  config = Config(PriorKind::kPlantedPartition);
  config.p_out = 2.0;
  EXPECT_THAT(CheckPrior(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("p_out")));
  for (const int64_t nodes : {int64_t{0}, int64_t{-1}, kMaxPriorNodes + 1}) {
    EXPECT_THAT(CheckPrior(Config(PriorKind::kComplete, nodes)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("mediators must be 1 to")));
  }
}

}  // namespace
}  // namespace distill::priors
