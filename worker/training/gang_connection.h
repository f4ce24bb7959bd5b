// Joins the ranks of a gang by LibTorch's c10d, Gloo on the CPU. They find each other through a
// rendezvous, not through the network, and speak over one configured interface only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/models/state.h"
#include "worker/training/gang_place.h"
#include "worker/training/gradient_reducer.h"

namespace distill::training {

struct GangOptions {
  // Network interface, such as "eth1". Only this one is listened on and spoken over.
  std::string interface;
  // Gradients travel in buckets of at least so many bytes. Equal on all ranks and in all runs: sums
  // of three and more numbers depend on where in a bucket they are.
  int64_t bucket_bytes = int64_t{4} << 20;
  // A rank that says nothing for so long is gone.
  absl::Duration timeout = absl::Minutes(10);
};

// Connects rank `place.rank` of the task's gang, which stands at step `step`, and lets it reduce
// the gradients of `parameters` (equal on all ranks; kept by reference). Blocks until all ranks are
// there. Errors: those of the rendezvous; kInvalidArgument when there is no such interface;
// kFailedPrecondition when the ranks stand at different steps; kUnavailable when a rank cannot be
// reached; kUnimplemented where the build has no c10d.
absl::StatusOr<std::unique_ptr<GradientReducer>> ConnectGang(
    const std::string& member, const GangPlace& place, int64_t step,
    std::vector<models::NamedTensor> parameters, const GangOptions& options,
    GangRendezvous& rendezvous);

}  // namespace distill::training
