// Runs tasks without a worker, for people and experiments: reads them from a file, prints progress,
// leaves results in a folder.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "distill/v1/trainer.pb.h"

namespace distill::worker {

struct StandAloneTask {
  // TaskSpec as JSON (*.json) or text format (anything else).
  std::string task_file;
  std::map<std::string, std::string> inputs;
  std::string checkpoint_file;
  std::string output_directory;
};

// Reads a task into a lease set of one member, and makes its folder.
absl::StatusOr<v1::StartLeaseSet> ReadTask(const StandAloneTask& task);
// Reads a whole lease set: StartLeaseSet in either format. Makes the folders of its members.
absl::StatusOr<v1::StartLeaseSet> ReadLeaseSet(const std::string& file);

// Runs the set; an interrupt (SIGINT) makes it write checkpoints and stop. Prints a line about each
// member at most once a second, and one about each file that it makes. kAborted when a member did
// not succeed.
absl::Status RunStandAlone(const v1::StartLeaseSet& set, const Clock& clock,
                           torch::DeviceType device);

}  // namespace distill::worker
