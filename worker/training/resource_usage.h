// What this process has used so far, as the kernel counts it. Observations only: nothing that is
// computed may depend on them.
#pragma once

#include <cstdint>

namespace distill::training {

// CPU time, user and system, of all threads of the process, resp. of the calling thread.
double ProcessCpuSeconds();
double ThreadCpuSeconds();

// The most memory that the process has had resident since it started.
int64_t PeakResidentBytes();

}  // namespace distill::training
