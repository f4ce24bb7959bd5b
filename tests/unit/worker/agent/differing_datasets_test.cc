// How long files that are not what a job says are remembered.
#include "worker/agent/differing_datasets.h"

#include "gtest/gtest.h"
#include "tests/support/simulated_clock.h"

namespace distill::worker {
namespace {

TEST(DifferingDatasetsTest, RemembersPathAndDigestTogetherForAWhile) {
  SimulatedClock clock;
  DifferingDatasets datasets(clock);
  datasets.Add("/data/a", "sha256:1");
  EXPECT_TRUE(datasets.Contains("/data/a", "sha256:1"));
  EXPECT_FALSE(datasets.Contains("/data/a", "sha256:2"));
  EXPECT_FALSE(datasets.Contains("/data/b", "sha256:1"));
  clock.Advance(DifferingDatasets::kRemembered - absl::Seconds(1));
  EXPECT_TRUE(datasets.Contains("/data/a", "sha256:1"));
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(datasets.Contains("/data/a", "sha256:1")) << "the files may have been mended";
}

}  // namespace
}  // namespace distill::worker
