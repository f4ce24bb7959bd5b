// The whole program but for its process: from arguments to an exit code.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/command_tree.h"
#include "client/cli/environment.h"
#include "client/cli/exit_code.h"

namespace distill::client {

// Parses `arguments` (without the program's name) and runs the command that they ask for.
ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment);

// Parses and runs nothing. kInvalidArgument with what RunCommandLine would print.
absl::Status CheckCommandLine(const std::vector<std::string>& arguments);

// All commands.
CommandInfo DescribeCommandLine();

}  // namespace distill::client
