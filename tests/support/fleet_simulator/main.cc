// fleet_simulator SERVER WORKERS [SECONDS]: loads a server with simulated workers and prints each
// second how many tasks they have completed.
#include <cstdio>

#include "absl/strings/numbers.h"
#include "tests/support/fleet_simulator/fleet_simulator.h"

int main(int argc, char** argv) {
  distill::FleetSimulator::Config config;
  int seconds = 60;
  if (argc < 3 || argc > 4 || !absl::SimpleAtoi(argv[2], &config.workers) ||
      (argc == 4 && !absl::SimpleAtoi(argv[3], &seconds))) {
    std::fprintf(stderr, "usage: fleet_simulator HOST:PORT WORKERS [SECONDS]\n");
    return 2;
  }
  config.server = argv[1];
  distill::FleetSimulator fleet(config);
  fleet.Start();
  distill::worker::CancelToken never;
  for (int i = 0; i < seconds; ++i) {
    never.WaitFor(absl::Seconds(1));
    std::printf("completed %lld refused %lld failed calls %lld\n",
                static_cast<long long>(fleet.completed()), static_cast<long long>(fleet.refused()),
                static_cast<long long>(fleet.failed_calls()));
    std::fflush(stdout);
  }
  fleet.Stop();
  return 0;
}
