// The job that fault tests disturb: small, of real training, its result known to the bit.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "distill/v1/job.pb.h"

namespace distill {

// A number from the environment.
int64_t FromEnvironment(const char* name, int64_t otherwise);

// Whole models are trained by gangs of so many.
v1::JobSpec SmallJob(const std::string& dataset, int gang_size = 1);

// What a finished job left: digests by task and output.
struct Outcome {
  std::map<std::string, std::string> digests;
  int attempts = 0;
};

// Fails the test unless every task succeeded, once.
Outcome Examine(client::Client& client, const v1::Job& job);

// Follows a job from a thread of its own, as a user's terminal does. What it was told must be whole
// and in order whatever is killed meanwhile.
class Watcher {
 public:
  Watcher(client::Client& client, const std::string& job)
      : thread_([this, &client, job] { Watch(client, job); }) {}

  // Waits for the end of the job.
  absl::StatusOr<v1::Job> Join();
  // After Join().
  const std::set<std::string>& succeeded() const { return succeeded_; }

 private:
  void Watch(client::Client& client, const std::string& job);

  std::set<std::string> succeeded_;
  absl::StatusOr<v1::Job> done_ = absl::UnknownError("still watching");
  std::thread thread_;
};

}  // namespace distill
