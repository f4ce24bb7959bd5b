// The whole program but for its process: from arguments to an exit code.
#pragma once

#include <string>
#include <vector>

#include "client/cli/environment.h"
#include "client/cli/exit_code.h"

namespace distill::client {

// Parses `arguments` (without the program's name) and runs the command that they ask for.
ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace distill::client
