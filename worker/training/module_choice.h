// What becomes of a module that was distilled more than once: when a retry is not needed, and which
// candidate is taken. Decisions look at accuracies alone.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/trainer.pb.h"

namespace distill::training {

// Whether a DISTILL_MODULE task is a retry that the quality gate makes needless: the student hybrid
// of "previous_metrics" falls short of the teacher hybrid of "teacher_metrics" by no more than the
// gate allows. False for all other tasks. kInvalidArgument when a metrics file cannot be read as
// such or an input is missing.
absl::StatusOr<bool> IsPreviousAccepted(const v1::MemberAssignment& assignment);

// Hands the input "previous_module" on, byte for byte, as the module of such a retry.
absl::StatusOr<std::vector<v1::ProducedFile>> HandOnModule(const v1::MemberAssignment& assignment);

// Runs a SELECT_MODULE task: a copy of the candidate of best accuracy, of equal ones the first, and
// the verdict on it.
absl::StatusOr<std::vector<v1::ProducedFile>> SelectModule(const v1::MemberAssignment& assignment);

}  // namespace distill::training
