// The one place where LibTorch's exceptions become Statuses. Tensor code below may throw; every
// public entry point of this folder runs its body through GuardTorch.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::training {

// Turns the exception being handled into a Status: memory that cannot be had is kResourceExhausted,
// everything else kInternal. `action` reads "train a step", as in "cannot train a step: ...". Call
// only inside a catch block.
absl::Status StatusOfCurrentException(absl::string_view action);

// Runs `body`, which returns a Status or StatusOr, and returns its result or that of its exception.
template <typename Body>
auto GuardTorch(absl::string_view action, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    return StatusOfCurrentException(action);
  }
}

}  // namespace distill::training
