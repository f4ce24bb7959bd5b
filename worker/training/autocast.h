// Forward passes in a narrower type where that is safe: LibTorch's autocast for the time of a
// scope.
#pragma once

#include <torch/torch.h>

#include "absl/status/status.h"
#include "distill/v1/model.pb.h"

namespace distill::training {

// Whether this process can train with `precision`. kInvalidArgument, saying what can be done
// instead, when it cannot.
absl::Status CheckPrecision(v1::Precision precision);

// Switches autocast of the calling thread as `precision` says. Scopes do not nest. Under it, our
// own kernels give way to LibTorch's operators; weights stay as they are.
class AutocastScope {
 public:
  explicit AutocastScope(v1::Precision precision);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  const v1::Precision precision_;
};

// `x` in float32 if it is narrower: losses are computed in no less.
torch::Tensor Widened(const torch::Tensor& x);

}  // namespace distill::training
