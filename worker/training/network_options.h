// From the router of a student's spec to the settings of its mixtures.
#pragma once

#include "absl/status/statusor.h"
#include "distill/v1/model.pb.h"
#include "worker/models/routing/router_config.h"

namespace distill::training {

// What `spec` says, and the defaults of its kind where it says nothing; an empty spec is m2mKD's
// gate. Whether the values make sense is for the network to say.
// Errors: kInvalidArgument for a kind that this build does not know.
absl::StatusOr<models::RouterConfig> RouterConfigOf(const v1::RouterSpec& spec);

}  // namespace distill::training
