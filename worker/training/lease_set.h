// Runs one lease set, whatever its tasks are: modules of one phase in lockstep, everything else one
// after the other.
#pragma once

#include <string>

#include "distill/v1/trainer.pb.h"
#include "worker/training/lockstep_trainer.h"

namespace distill::training {

// Runs every member to its end and reports each once through the observer. `numeric_class` is that
// of this process; a task of another class fails. Leaves nothing behind but the images that the
// environment caches, so a following set ends in the same bits as in a fresh process. Blocks.
void RunLeaseSet(const v1::StartLeaseSet& set, const std::string& numeric_class,
                 const TrainingEnvironment& environment);

}  // namespace distill::training
