// What a step of the scheduler costs while many tasks wait, and what they weigh in memory. Prints
// one JSON object a line.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "server/scheduler/core.h"
#include "tests/support/scheduler/job_builder.h"
#include "tests/support/scripted_id_source.h"

namespace distill {
namespace {

using Clock = std::chrono::steady_clock;

double MicrosecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

size_t HeapBytes() { return mallinfo2().uordblks; }

struct Timings {
  std::vector<double> all;
  double At(double quantile) {
    std::sort(all.begin(), all.end());
    return all[static_cast<size_t>(quantile * static_cast<double>(all.size() - 1))];
  }
};

// 100 jobs share `tasks` tasks with keys, no bundles, on 16 workers with 4 slots.
void Measure(int tasks) {
  server::Core core{server::CoreConfig{}};
  ScriptedIdSource ids;
  MonotonicTime now{absl::Seconds(1)};
  const auto step = [&](server::EventBody body) {
    now = now + absl::Milliseconds(1);
    return core.Step(server::Instant{now, absl::UnixEpoch()}, server::Event{1, std::move(body)},
                     ids);
  };
  const size_t before = HeapBytes();
  double submit = 0;
  for (int j = 0; j < 100; ++j) {
    std::vector<TaskBuilder> of_job;
    for (int t = 0; t < tasks / 100; ++t) {
      of_job.emplace_back("distill-module-" + std::to_string(t));
      of_job.back().Key(std::to_string(j) + "/" + std::to_string(t));
      of_job.back().record.definition.spec = std::string(600, 's');
      of_job.back().NumericClass("cpu-x86-avx2");
    }
    server::SubmitJob job = MakeJob("job-" + std::to_string(j), of_job);
    const Clock::time_point begin = Clock::now();
    step(std::move(job));
    submit += MicrosecondsSince(begin);
  }
  const double bytes = static_cast<double>(HeapBytes() - before) / tasks;
  for (int w = 0; w < 16; ++w) {
    step(server::RegisterWorker{MakeWorker("w" + std::to_string(w), 4), {}});
  }
  Timings acquire;
  Timings heartbeat;
  Timings complete;
  for (int round = 0; round < std::min(tasks, 2000); ++round) {
    const std::string worker = "w" + std::to_string(round % 16);
    server::AcquireTasks event;
    event.worker = WorkerId(worker);
    event.request_id = RequestId("r" + std::to_string(round));
    event.max_lease_sets = 1;
    Clock::time_point begin = Clock::now();
    const server::Effects effects = step(std::move(event));
    acquire.all.push_back(MicrosecondsSince(begin));
    const auto& reply = std::get<server::AcquireReply>(effects.replies.at(0).body);
    const server::LeaseRef lease = reply.lease_sets.at(0).grants.at(0).lease;

    server::Heartbeat beat{WorkerId(worker), {{lease, {}, {}, true}}};
    begin = Clock::now();
    step(std::move(beat));
    heartbeat.all.push_back(MicrosecondsSince(begin));

    const Digest digest = DigestFor(lease.job.str() + lease.task);
    step(server::BlobPresent{digest, 1, 1});
    server::CompleteAttempts done{WorkerId(worker), {}};
    done.items.push_back({lease, {{"out", digest, 1}}, {}, ""});
    begin = Clock::now();
    step(std::move(done));
    complete.all.push_back(MicrosecondsSince(begin));
  }
  const auto print = [tasks](const char* name, double value, const char* unit) {
    std::printf("{\"scheduler_%s_%s_%dk_tasks\": %.2f}\n", name, unit, tasks / 1000, value);
  };
  print("submit_per_task", submit / tasks, "microseconds");
  print("memory_per_task", bytes, "bytes");
  print("acquire_median", acquire.At(0.5), "microseconds");
  print("acquire_p99", acquire.At(0.99), "microseconds");
  print("heartbeat_median", heartbeat.At(0.5), "microseconds");
  print("complete_median", complete.At(0.5), "microseconds");
  print("complete_p99", complete.At(0.99), "microseconds");
}

}  // namespace
}  // namespace distill

int main() {
  distill::Measure(1000);
  distill::Measure(10000);
  distill::Measure(100000);
  distill::Measure(1000000);
  return 0;
}
