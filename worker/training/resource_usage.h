// What this process has used so far, as the kernel counts it. Observations only: nothing that is
// computed may depend on them.
#pragma once

#include <cstdint>

namespace distill::training {

// CPU time, user and system, of all threads of the process, resp. of the calling thread.
double ProcessCpuSeconds();
double ThreadCpuSeconds();

// The most memory that the process has had resident since it started or forgot.
int64_t PeakResidentBytes();
// Gives freed memory back to the kernel and forgets the peak so far, so that what one lease set
// needed is not taken for the need of a later one in the same process. Does its best.
void ForgetPeakResident();

}  // namespace distill::training
