// Makes the gradients of the ranks of a gang one: after each step every rank holds the mean over
// all of them, to the bit the same one on each.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distill::training {

// One thread. All ranks make the same calls in the same order. kUnavailable when a rank is gone:
// nothing can be reduced any more.
class GradientReducer {
 public:
  virtual ~GradientReducer() = default;

  // The next backward pass is the last of its step: each gradient goes out as soon as it is ready,
  // while the pass goes on.
  virtual void BeginLastPass() = 0;

  // Waits until the gradients of the step are the mean over all ranks.
  virtual absl::Status FinishStep() = 0;

  // The sum over all ranks of each element, the same bits on every rank. All give as many.
  virtual absl::StatusOr<std::vector<double>> Sum(const std::vector<double>& values) = 0;
};

// Brings the contacts of a gang together. Thread-safe.
class GangRendezvous {
 public:
  virtual ~GangRendezvous() = default;

  // Tells all ranks how `member` is reached, in place of what was said before.
  virtual void Publish(const std::string& member, const std::string& contact) = 0;

  // Waits until all ranks have said how they are reached, and it is not as `known`; element r of
  // the result is the last word of rank r. kCancelled when the member is not to go on.
  virtual absl::StatusOr<std::vector<std::string>> Await(const std::string& member,
                                                         const std::vector<std::string>& known) = 0;
};

}  // namespace distill::training
