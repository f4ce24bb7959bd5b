// What a command sees of the world, so that tests can run whole command lines in their own process.
#pragma once

#include <functional>
#include <optional>
#include <ostream>
#include <string>

#include "base/clock.h"
#include "base/random_ids.h"
#include "client/interrupt.h"

namespace distill::client {

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

// One of the two streams a command writes to.
struct Stream {
  std::ostream* out;
  bool is_terminal = false;
};

// All pointers outlive the command.
struct Environment {
  // Data only: what a pipe wants.
  Stream data;
  // Progress, notes and errors.
  Stream notes;
  std::function<TerminalSize()> terminal_size;
  std::function<std::optional<std::string>(const std::string&)> variable;
  Interrupt* interrupt;
  const Clock* clock;
  IdSource* ids;
  // Folder of the programs that `dev` starts.
  std::string program_directory;
};

}  // namespace distill::client
