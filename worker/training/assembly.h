// Merges modules into a whole model and splits a whole model into modules. No training, no data:
// weights change their names, never their values.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/trainer.pb.h"

namespace distill::training {

// ASSEMBLE_TEACHER: "stage.<i>" to "model"; ASSEMBLE_STUDENT: "module.<i>" to "model", stitches
// dropped unless the student keeps them. Every module must fit its place exactly.
// Errors: kInvalidArgument for a missing input or one that does not fit.
absl::StatusOr<std::vector<v1::ProducedFile>> Assemble(const v1::MemberAssignment& assignment);

// SPLIT_TEACHER: "model" to "stage.<i>".
absl::StatusOr<std::vector<v1::ProducedFile>> Split(const v1::MemberAssignment& assignment);

}  // namespace distill::training
