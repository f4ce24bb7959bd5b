// Loads a server with simulated workers and prints each second what they have done, at the end how
// long tasks took from ready to leased.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <vector>

#include "tests/support/fleet_simulator/fleet_simulator.h"
#include "worker/agent/cancel_token.h"

namespace {

void PrintLatencies(std::vector<absl::Duration> latencies) {
  if (latencies.empty()) return;
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double quantile) {
    const auto index = static_cast<size_t>(quantile * static_cast<double>(latencies.size() - 1));
    return absl::ToDoubleMilliseconds(latencies[index]);
  };
  std::printf("leased after milliseconds: p50 %.3f p90 %.3f p99 %.3f of %zu\n", at(0.5), at(0.9),
              at(0.99), latencies.size());
}

}  // namespace

int main(int argc, char** argv) {
  distill::FleetSimulator::Config config;
  int seconds = 60;
  double heartbeat_seconds = 0;
  CLI::App app("Workers that return canned results, for measuring a server");
  app.add_option("server", config.server, "HOST:PORT")->required();
  app.add_option("--workers", config.workers, "How many")->capture_default_str();
  app.add_option("--connections", config.connections, "Shared by them; 0: one each")
      ->capture_default_str();
  app.add_option("--slots", config.slots, "Of each, and lease sets asked for at a time")
      ->capture_default_str();
  app.add_option("--seconds", seconds, "How long")->capture_default_str();
  app.add_option("--heartbeat-seconds", heartbeat_seconds, "0: none")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (heartbeat_seconds > 0) config.heartbeat_interval = absl::Seconds(heartbeat_seconds);

  distill::FleetSimulator fleet(config);
  fleet.Start();
  distill::worker::CancelToken never;
  for (int i = 0; i < seconds; ++i) {
    never.WaitFor(absl::Seconds(1));
    std::printf("completed %lld refused %lld failed calls %lld registered %lld heartbeats %lld\n",
                static_cast<long long>(fleet.completed()), static_cast<long long>(fleet.refused()),
                static_cast<long long>(fleet.failed_calls()),
                static_cast<long long>(fleet.registered()),
                static_cast<long long>(fleet.heartbeats()));
    std::fflush(stdout);
  }
  fleet.Stop();
  PrintLatencies(fleet.release_latencies());
  return 0;
}
