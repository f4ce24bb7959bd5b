// The help page of a command, for people at a terminal.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/command_tree.h"

namespace distill::client {

// Returns the page that `--help` prints, in lines of at most `columns` where words allow it.
// `root` has the options that every command takes.
std::string RenderHelp(const CommandInfo& command, const CommandInfo& root, int columns);

// Breaks `text` into lines of at most `columns` between words; line breaks in it are kept, and so
// are lines that begin with a space. Lines after the first start with `indent` spaces.
std::string WrapText(absl::string_view text, int columns, int indent);

}  // namespace distill::client
