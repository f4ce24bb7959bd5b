// Runs many seeded worlds. A failing seed is printed; DISTILL_SIMULATION_FIRST=<seed>
// DISTILL_SIMULATION_SEEDS=1 runs it alone, and DISTILL_SIMULATION_SEEDS=100000 is for a night.
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "gtest/gtest.h"
#include "server/scheduler/transitions.h"
#include "tests/simulation/world.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

TEST(SimulationTest, EveryWorldKeepsItsInvariantsAndEnds) {
  const uint64_t first = FromEnvironment("DISTILL_SIMULATION_FIRST", 1);
  const uint64_t seeds = FromEnvironment("DISTILL_SIMULATION_SEEDS", 3000);
  std::set<std::pair<std::string, std::string>> reached;
  std::set<std::string> counted;
  int64_t restarts = 0;
  int64_t attempts = 0;
  int64_t gangs_joined = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    World world(seed);
    ASSERT_THAT(world.Run(), IsOk()) << "seed " << seed;
    reached.insert(world.transitions().begin(), world.transitions().end());
    counted.insert(world.counted().begin(), world.counted().end());
    restarts += world.server_restarts();
    attempts += world.attempts();
    gangs_joined += world.gangs_joined();
  }
  std::printf("%llu worlds, %lld attempts, %lld gangs, %lld server restarts\n",
              static_cast<unsigned long long>(seeds), static_cast<long long>(attempts),
              static_cast<long long>(gangs_joined), static_cast<long long>(restarts));
  if (seeds < 200) return;
  EXPECT_GT(gangs_joined, 0);
  // A storm that never reaches some change proves nothing about it.
  for (const char* name : {"distill_preemptions_total", "distill_attempts_speculated_total",
                           "distill_attempts_stalled_total", "distill_workers_quarantined_total",
                           "distill_quota_refusals_total", "distill_attempt_salvaged_total",
                           "distill_lease_expirations_total", "distill_stale_rpc_rejected_total"}) {
    EXPECT_EQ(counted.count(name), 1u) << name << " never rose";
  }
  for (const server::TaskTransition& transition : server::TaskTransitions()) {
    const std::string state = absl::AsciiStrToLower(storage::Name(transition.from));
    EXPECT_EQ(reached.count({state, server::Name(transition.event)}), 1u)
        << state << " --" << server::Name(transition.event) << "--> was never reached";
  }
}

// A failing seed is worth something only if it fails again.
TEST(SimulationTest, TheSameSeedIsTheSameWorld) {
  World once(7);
  World twice(7);
  ASSERT_THAT(once.Run(), IsOk());
  ASSERT_THAT(twice.Run(), IsOk());
  EXPECT_FALSE(once.history().empty());
  EXPECT_EQ(once.history(), twice.history());
}

}  // namespace
}  // namespace distill
