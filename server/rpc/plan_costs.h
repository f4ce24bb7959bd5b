// What tasks took of late, to say what a planned one is likely to take. A task is compared only
// with tasks that do the same work per image: same kind, networks, image size, batch and numeric
// class; seeds, rates and lengths of training may differ.
#pragma once

#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/ids.h"
#include "distill/v1/task.pb.h"
#include "storage/state/state_store.h"

namespace distill::server {

// Not thread-safe.
class PlanCosts {
 public:
  // Learns from the newest jobs of a project. Blocks for I/O.
  static absl::StatusOr<PlanCosts> Read(const storage::StateStore& store, const ProjectId& project);

  // Takes in one attempt that succeeded.
  void Learn(const v1::TaskSpec& task, const v1::AttemptStats& stats);

  // Seconds that a slot would be leased for; nothing when no such task has run.
  std::optional<double> Predict(const v1::TaskSpec& task) const;

 private:
  struct Sum {
    double seconds = 0;
    double images = 0;
    int attempts = 0;
  };
  // By shape.
  absl::flat_hash_map<std::string, Sum> sums_;
};

// Images that the task trains on, counted with repetition; 0 when it does not train.
int64_t TrainingImages(const v1::TaskSpec& task);

}  // namespace distill::server
