// The commands of `distill` as plain data. Help, man pages, the reference page, completion and the
// tests that walk all commands read this, so that none of them can miss one.
#pragma once

#include <string>
#include <vector>

#include "CLI/App.hpp"

namespace distill::client {

// A positional argument or an option.
struct ArgumentInfo {
  // "-o", "--output"; empty for positional arguments.
  std::vector<std::string> flags;
  // As the code declares it: "job", "output".
  std::string declared_name;
  // What stands for its value, such as "FILE"; empty for switches. Completion goes by it: JOB,
  // TASK, WORKER, DATASET, DIGEST, PROJECT, PRESET, CONTEXT, COMMAND, FILE, DIR and KEY=VALUE are
  // known.
  std::string value_name;
  std::string description;
  // The only values that there are; empty: any.
  std::vector<std::string> choices;
  // "1 to 64"; empty: no bounds that are known here.
  std::string range;
  std::string default_value;
  bool required = false;
  bool repeated = false;

  bool is_positional() const { return flags.empty(); }
  // "FILE", "a|b|c", or "" for switches.
  std::string ValueText() const;
  // The first long flag, or what stands for the value of a positional argument.
  const std::string& name() const;
};

struct CommandInfo {
  // "submit".
  std::string name;
  // "distill job submit".
  std::string path;
  std::string summary;
  // Paragraphs that go before the examples; may be empty.
  std::string notes;
  // "distill job submit job.yaml --watch".
  std::vector<std::string> examples;
  // What goes after the examples; may be empty.
  std::string epilogue;
  // Positional ones first.
  std::vector<ArgumentInfo> arguments;
  std::vector<CommandInfo> subcommands;
};

// Hidden commands and options are left out.
CommandInfo Describe(const CLI::App& app);

// Calls `visit` with `command` and everything below it, parents first.
template <typename Visit>
void ForEachCommand(const CommandInfo& command, const Visit& visit) {
  visit(command);
  for (const CommandInfo& below : command.subcommands) ForEachCommand(below, visit);
}

// The command that `words` name below `root`, such as {"job", "submit"}; null when there is none.
const CommandInfo* FindCommand(const CommandInfo& root, const std::vector<std::string>& words);

// "distill job submit FILE [OPTIONS]".
std::string UsageLine(const CommandInfo& command);

// The description with bounds, default and repeatability.
std::string FullDescription(const ArgumentInfo& argument);

}  // namespace distill::client
