// The man page of a command: the same words as its help, in man(7).
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/command_tree.h"

namespace distill::client {

// "distill-job-submit.1".
std::string ManPageName(const CommandInfo& command);

// `root` has the options, files and variables that every command shares; its page tells them.
std::string RenderManPage(const CommandInfo& command, const CommandInfo& root,
                          absl::string_view version);

}  // namespace distill::client
