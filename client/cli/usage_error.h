// What is wrong with a command line, in words that say how to mend it.
#pragma once

#include <string>
#include <vector>

#include "CLI/App.hpp"

namespace distill::client {

// Explains why `arguments` do not parse: "error: ...", the usage, and where to read more.
std::string ExplainUsageError(const CLI::App& app, const CLI::ParseError& error,
                              const std::vector<std::string>& arguments);

// The command that parsing reached, such as the one of "distill job".
const CLI::App& Deepest(const CLI::App& app);

}  // namespace distill::client
