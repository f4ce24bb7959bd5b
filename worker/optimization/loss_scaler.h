// Dynamic loss scaling for float16 (Micikevicius et al. 2018, arXiv:1710.03740): the loss is
// multiplied by a scale before the backward pass, so that small gradients do not vanish, and
// gradients are divided by it again. A step whose gradients overflow is left out and the scale
// lowered; after a run of good steps it is raised.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/state.h"

namespace distill::optimization {

// The reference's numbers.
struct LossScalerConfig {
  double initial_scale = 65536.0;
  double growth = 2.0;
  double backoff = 0.5;
  int64_t growth_interval = 2000;  // good steps in a row
};

// One thread only.
class LossScaler {
 public:
  explicit LossScaler(const LossScalerConfig& config = {});

  double scale() const { return scale_; }

  // Counts one step, good if all its gradients were finite.
  void Update(bool good);

  // "scale" float64 and "good_steps" int64, scalars.
  std::vector<models::NamedTensor> ExportState() const;
  // Errors: kInvalidArgument.
  absl::Status ImportState(const models::StateMap& state);

 private:
  const LossScalerConfig config_;
  double scale_;
  int64_t good_steps_ = 0;  // Since the scale changed.
};

}  // namespace distill::optimization
