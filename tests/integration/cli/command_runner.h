// Runs command lines of `distill` inside the test's process and keeps what they print.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/cli/command_line.h"
#include "client/interrupt.h"
#include "tests/support/scripted_id_source.h"

namespace distill::client {

struct CommandResult {
  int code;
  std::string out;
  std::string err;
};

// Each command may be interrupted by `interrupt` while it runs.
class CommandRunner {
 public:
  std::map<std::string, std::string> variables;
  std::string program_directory;
  Interrupt interrupt;

  CommandResult Run(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    std::ostringstream err;
    Environment environment;
    environment.data = {&out, false};
    environment.notes = {&err, false};
    environment.terminal_size = [] { return TerminalSize{}; };
    environment.variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    environment.interrupt = &interrupt;
    environment.clock = &clock_;
    environment.ids = &ids_;
    environment.program_directory = program_directory;
    const ExitCode code = RunCommandLine(arguments, environment);
    return {static_cast<int>(code), out.str(), err.str()};
  }

 private:
  SystemClock clock_;
  ScriptedIdSource ids_;
};

}  // namespace distill::client
