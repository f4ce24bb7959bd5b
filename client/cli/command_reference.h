// The reference page of all commands, in Markdown: docs/commands.md is this text.
#pragma once

#include <string>

#include "client/cli/command_tree.h"

namespace distill::client {

std::string RenderCommandReference(const CommandInfo& root);

}  // namespace distill::client
