// Trains one or several members step by step together. They share what is equal for all of them:
// batches, augmentation and the frozen meta prefix, each computed once a step. Everything else is a
// member's own, so that a member ends in the same bits alone and in any company.
#pragma once

#include <optional>
#include <vector>

#include "distill/v1/trainer.pb.h"
#include "worker/training/checkpoint.h"
#include "worker/training/training_environment.h"

namespace distill::training {

struct LockstepMember {
  const v1::MemberAssignment* assignment = nullptr;
  std::optional<Checkpoint> checkpoint;
};

// Whether two tasks may train in lockstep: modules of one phase of one job, that is, equal in all
// but the module (their seed included, which is why planners give a phase one seed).
bool CanTrainInLockstep(const v1::TaskSpec& a, const v1::TaskSpec& b);

// Runs all members to their ends and reports each once, whatever happens. Members must be pairwise
// able to train in lockstep and start at the same step. Blocks.
void TrainInLockstep(const std::vector<LockstepMember>& members, TrainingEnvironment environment);

}  // namespace distill::training
