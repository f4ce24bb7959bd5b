// The numeric class of this machine's processor.
#pragma once

#include <string>

namespace distill::server {

// Returns the best class that a CPU worker on this machine could pin: "cpu-x86-avx512",
// "cpu-x86-avx2" or "cpu-x86-default".
std::string HostNumericClass();

}  // namespace distill::server
