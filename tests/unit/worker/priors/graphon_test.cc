// Entries of the graphons by hand.
#include "worker/priors/graph/graphon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace distill::priors {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;

std::vector<double> Make(const PriorConfig& config) {
  absl::StatusOr<std::vector<double>> graphon = Graphon(config);
  EXPECT_THAT(graphon, IsOk());
  return *std::move(graphon);
}

std::vector<double> Row(const std::vector<double>& matrix, int64_t n, int64_t row) {
  return {matrix.begin() + row * n, matrix.begin() + (row + 1) * n};
}

TEST(GraphonTest, ScaleFreeAsTheReference) {
  PriorConfig config;
  config.nodes = 4;
  EXPECT_THAT(Row(Make(config), 4, 0),
              ElementsAre(DoubleNear(0.125, 1e-9), DoubleNear(0.0883883, 1e-7),
                          DoubleNear(0.0721688, 1e-7), DoubleNear(0.0625, 1e-9)));
  config.nodes = 1024;  // sqrt(1024) / 16 = 2 at the hub with itself: no more than certain.
  const std::vector<double> graphon = Make(config);
  EXPECT_EQ(graphon[0], 1.0);
  EXPECT_NEAR(graphon[7], 32.0 / std::sqrt(8.0) / 16.0, 1e-12);
}

TEST(GraphonTest, PlantedPartition) {
  PriorConfig config;
  config.kind = PriorKind::kPlantedPartition;
  config.nodes = 4;
  config.communities = 2;
  const std::vector<double> graphon = Make(config);
  EXPECT_THAT(Row(graphon, 4, 0), ElementsAre(0.9, 0.9, 0.2, 0.2));
  EXPECT_THAT(Row(graphon, 4, 3), ElementsAre(0.2, 0.2, 0.9, 0.9));
}

TEST(GraphonTest, RingOfCliques) {
  PriorConfig config;
  config.kind = PriorKind::kRingOfCliques;
  config.nodes = 6;
  config.communities = 3;
  const std::vector<double> graphon = Make(config);
  EXPECT_THAT(Row(graphon, 6, 0), ElementsAre(1, 1, 1, 1, 0, 0));
  EXPECT_THAT(Row(graphon, 6, 1), ElementsAre(1, 1, 0, 0, 0, 0));
  EXPECT_THAT(Row(graphon, 6, 2), ElementsAre(1, 0, 1, 1, 1, 1));
  EXPECT_THAT(Row(graphon, 6, 4), ElementsAre(0, 0, 1, 0, 1, 1));
}

TEST(GraphonTest, WattsStrogatzWrapsAround) {
  PriorConfig config;
  config.kind = PriorKind::kWattsStrogatz;
  config.nodes = 8;
  config.neighbours = 2;
  const double in = 1.0 - 0.4;
  const double out = 0.4 * 2.0 / 8.0;
  EXPECT_THAT(Row(Make(config), 8, 0), ElementsAre(in, in, out, out, out, out, out, in));
}

TEST(GraphonTest, ErdosRenyiAndCompleteAreConstant) {
  PriorConfig config;
  config.kind = PriorKind::kErdosRenyi;
  config.nodes = 5;
  EXPECT_THAT(Make(config), Each(0.1));
  config.kind = PriorKind::kComplete;
  EXPECT_THAT(Make(config), Each(1.0));
}

TEST(GraphonTest, AllAreSymmetric) {
  for (const PriorKind kind :
       {PriorKind::kScaleFree, PriorKind::kPlantedPartition, PriorKind::kRingOfCliques,
        PriorKind::kErdosRenyi, PriorKind::kWattsStrogatz, PriorKind::kComplete}) {
    PriorConfig config;
    config.kind = kind;
    config.nodes = 32;
    const std::vector<double> graphon = Make(config);
    for (size_t u = 0; u < 32; ++u) {
      for (size_t v = 0; v < 32; ++v) EXPECT_EQ(graphon[u * 32 + v], graphon[v * 32 + u]);
    }
  }
}

TEST(GraphonTest, RefusesWhatThePriorRefuses) {
  PriorConfig config;
  config.kind = PriorKind::kPlantedPartition;
  config.nodes = 7;
  EXPECT_THAT(Graphon(config), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

}  // namespace
}  // namespace distill::priors
