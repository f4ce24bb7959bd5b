// Submits one job again and again under other seeds over one connection, each when the one before
// was accepted or at a fixed pace, and prints how long the server took. Run by scale_bench.py.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random_ids.h"
#include "client/client.h"
#include "client/interrupt.h"
#include "client/jobfile/job_file.h"

namespace distill {
namespace {

struct Options {
  std::string server;
  std::string job_file;
  int count = 100;
  uint64_t first_seed = 0;
  double pause_seconds = 0;
};

// Returns the milliseconds of each submission, or an error.
absl::StatusOr<std::vector<double>> Submit(const Options& options) {
  const SystemClock clock;
  SystemIdSource ids;
  client::Interrupt interrupt;
  client::ClientOptions client_options;
  client_options.server = options.server;
  client::Client client(client_options, {&clock, &ids, &interrupt, {}});
  absl::StatusOr<client::JobFile> file = client::ReadJobFile(options.job_file);
  if (!file.ok()) return file.status();
  std::vector<double> milliseconds;
  for (int i = 0; i < options.count; ++i) {
    file->spec.set_seed(options.first_seed + static_cast<uint64_t>(i));
    const MonotonicTime begin = clock.Now();
    const absl::StatusOr<v1::Job> job = client.CreateJob(file->spec, ids.RandomHex(16));
    if (!job.ok()) return job.status();
    milliseconds.push_back(absl::ToDoubleMilliseconds(clock.Now() - begin));
    if (options.pause_seconds > 0) interrupt.WaitFor(absl::Seconds(options.pause_seconds));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  return milliseconds;
}

}  // namespace
}  // namespace distill

int main(int argc, char** argv) {
  distill::Options options;
  CLI::App app("Times the submission of jobs");
  app.add_option("server", options.server, "HOST:PORT")->required();
  app.add_option("job", options.job_file, "Job file")->required();
  app.add_option("--count", options.count, "How many")->capture_default_str();
  app.add_option("--first-seed", options.first_seed, "Counts up from it")->capture_default_str();
  app.add_option("--pause-seconds", options.pause_seconds, "After each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<std::vector<double>> milliseconds = distill::Submit(options);
  if (!milliseconds.ok() || milliseconds->empty()) {
    std::fprintf(stderr, "%s\n", milliseconds.status().ToString().c_str());
    return 1;
  }
  const size_t last = milliseconds->size() - 1;
  std::printf("{\"p50\": %.4f, \"p99\": %.4f}\n", (*milliseconds)[last / 2],
              (*milliseconds)[last * 99 / 100]);
  return 0;
}
