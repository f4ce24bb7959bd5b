// What a run needs to go on, bit for bit, in another process: weights, optimiser state and the
// step; random numbers are functions of the step. Beside it the account of what was spent so far,
// which never reaches a result.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "distill/v1/report.pb.h"
#include "distill/v1/task.pb.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

struct Checkpoint {
  // Of the task; a checkpoint of another task is refused.
  Digest fingerprint;
  // Optimiser steps done.
  int64_t step = 0;
  // Spent by all attempts up to here.
  double cpu_seconds = 0;
  int64_t images_seen = 0;
  NamedTensors parameters;  // And all else that the network's file holds.
  NamedTensors optimizer;
  // Of runs that keep them; otherwise empty.
  NamedTensors average;  // Of the weights.
  NamedTensors loss_scaler;
  NamedTensors network_run;  // What the network keeps for the run alone.
  v1::Series series;
};

// Digest of all that decides the bits of a task; of nothing that only says when to save or where
// the data lies on this machine.
Digest FingerprintOf(const v1::TaskSpec& spec);

// Errors: kDataLoss when the file is damaged or not a checkpoint, kFailedPrecondition when it is
// one of another task.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, const Digest& fingerprint);

// Durable and complete when OK.
absl::Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint);

}  // namespace distill::training
