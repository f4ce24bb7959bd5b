#include "client/cli/usage_error.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/command_tree.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

// Names of errors are names of commands in some of CLI11's errors.
bool Is(const CLI::ParseError& error, CLI::ExitCodes code) {
  return error.get_exit_code() == static_cast<int>(code);
}

const ArgumentInfo* FindByName(const CommandInfo& command, absl::string_view name) {
  for (const ArgumentInfo& argument : command.arguments) {
    if (argument.is_positional() ? argument.declared_name == name
                                 : std::find(argument.flags.begin(), argument.flags.end(), name) !=
                                       argument.flags.end()) {
      return &argument;
    }
  }
  return nullptr;
}

std::vector<std::string> CommandNames(const CommandInfo& command) {
  std::vector<std::string> names;
  for (const CommandInfo& below : command.subcommands) names.push_back(below.name);
  return names;
}

// The first word that names no command where one is due, which is most likely a slip.
std::optional<std::string> MistakenCommand(const CommandInfo& reached,
                                           const std::vector<std::string>& arguments) {
  const std::vector<std::string> names = CommandNames(reached);
  if (names.empty()) return std::nullopt;
  const auto start = std::find(arguments.begin(), arguments.end(), reached.name);
  for (auto word = start == arguments.end() ? arguments.begin() : start + 1;
       word != arguments.end(); ++word) {
    if (absl::StartsWith(*word, "-")) continue;
    // It is the value of a global option.
    if (word != arguments.begin() && absl::StartsWith(*(word - 1), "--")) continue;
    if (std::find(names.begin(), names.end(), *word) == names.end()) return *word;
    return std::nullopt;
  }
  return std::nullopt;
}

std::string UnknownOption(const std::string& word, const CommandInfo& reached,
                          const CommandInfo& root) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> flags;
  for (const CommandInfo* const owner : {&reached, &root}) {
    for (const ArgumentInfo& argument : owner->arguments) {
      for (const std::string& flag : argument.flags) {
        if (absl::StartsWith(flag, "--")) flags.push_back(flag);
      }
    }
  }
  const std::string nearest = NearestName(name, flags);
  return absl::StrCat("`", reached.path, "` has no option ", name,
                      nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"));
}

// "The following argument was not expected: x", with the command's own words and a suggestion.
std::string Unexpected(const std::string& message, const CommandInfo& reached,
                       const CommandInfo& root) {
  const size_t colon = message.rfind(": ");
  if (colon == std::string::npos) return message;
  const std::vector<std::string> words = absl::StrSplit(message.substr(colon + 2), ' ');
  for (const std::string& word : words) {
    if (absl::StartsWith(word, "-") && word.size() > 1) return UnknownOption(word, reached, root);
  }
  return absl::StrCat("`", reached.path,
                      "` takes no further argument; got=", absl::StrJoin(words, " "));
}

std::string Missing(const std::string& message, const CommandInfo& reached) {
  if (absl::StrContains(message, "ubcommand")) {
    return absl::StrCat("`", reached.path,
                        "` needs a command: ", absl::StrJoin(CommandNames(reached), ", "));
  }
  const std::string name = message.substr(0, message.find(' '));
  const ArgumentInfo* const argument = FindByName(reached, name);
  if (argument == nullptr) return message;
  return absl::StrCat(argument->is_positional() ? argument->value_name : argument->name(),
                      " is missing: ", argument->description);
}

// "Could not convert: --limit = abc", or a check of CLI11's.
std::string BadValue(const std::string& message, const CommandInfo& reached,
                     const CommandInfo& root) {
  const std::vector<std::string> words = absl::StrSplit(message, ' ');
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find(':'));
    const ArgumentInfo* argument = FindByName(reached, name);
    if (argument == nullptr) argument = FindByName(root, name);
    if (argument == nullptr) continue;
    const std::string shown = argument->is_positional() ? argument->value_name : name;
    if (absl::EndsWith(message, " missing") ||
        absl::StrContains(message, "required but received")) {
      return absl::StrCat(shown, " needs a value: ", argument->description);
    }
    if (!argument->choices.empty()) {
      const std::string got = message.substr(message.find(": ") + 2);
      const std::string value = got.substr(0, got.find(" not in"));
      return absl::StrCat(shown, " ", value, ": unknown value",
                          Suggestion(value, argument->choices, "values"));
    }
    if (!argument->range.empty()) {
      return absl::StrCat(shown, ": want a number, ", argument->range, "; got=",
                          absl::StrContains(message, " = ") ? words.back()
                          : words.size() > 2                ? words[2]
                                                            : "");
    }
    if (absl::StrContains(message, "Could not convert")) {
      return absl::StrCat(shown, ": want a number; got=", words.back());
    }
    return absl::StrCat(shown, " needs a value: ", argument->description);
  }
  return message;
}

}  // namespace

const CLI::App& Deepest(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : Deepest(*parsed.back());
}

std::string ExplainUsageError(const CLI::App& app, const CLI::ParseError& error,
                              const std::vector<std::string>& arguments) {
  const CommandInfo root = Describe(app);
  const CommandInfo reached = Describe(Deepest(app));
  const std::string hint = absl::StrCat("hint: see `", reached.path, " --help`\n");
  const std::optional<std::string> mistaken = MistakenCommand(reached, arguments);
  if (mistaken.has_value()) {
    return absl::StrCat("error: unknown command \"", *mistaken, "\"",
                        Suggestion(*mistaken, CommandNames(reached), "commands"), "\n", hint);
  }
  std::string message = error.what();
  if (Is(error, CLI::ExitCodes::ExtrasError)) {
    message = Unexpected(message, reached, root);
  } else if (Is(error, CLI::ExitCodes::RequiredError)) {
    message = Missing(message, reached);
  } else {
    message = BadValue(message, reached, root);
  }
  return absl::StrCat("error: ", message, "\nusage: ", UsageLine(reached), "\n", hint);
}

}  // namespace distill::client
