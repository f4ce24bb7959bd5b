// Names and shapes of the tensors of a NAC and of its modules: the reference's (docs/weights.md).
#pragma once

#include "distill/v1/architecture.pb.h"
#include "storage/weights/expected_tensors.h"

namespace distill::storage {

// Require a resolved description of a NAC (architecture.h).

TensorShapes NacTensors(const v1::ArchitectureDescription& architecture);
// Of module `architecture.module_index()`: the read-in, a mediator layer or the read-out.
TensorShapes NacModuleTensors(const v1::ArchitectureDescription& architecture);

}  // namespace distill::storage
