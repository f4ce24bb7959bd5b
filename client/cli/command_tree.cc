#include "client/cli/command_tree.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace distill::client {
namespace {

// More choices than this make a usage line unreadable.
constexpr size_t kMostChoicesShown = 6;
constexpr char kExampleHeading[] = "Example:\n";

std::string FullName(const CLI::App& app) {
  if (app.get_parent() == nullptr) return app.get_name();
  return absl::StrCat(FullName(*app.get_parent()), " ", app.get_name());
}

// CLI11 describes checks within the type: "TEXT:{table,json}", "INT:INT in [1 - 64]".
void ReadType(const std::string& type, ArgumentInfo& info) {
  const std::vector<std::string> parts = absl::StrSplit(type, absl::MaxSplits(':', 1));
  info.value_name = parts[0];
  if (parts.size() < 2) return;
  if (absl::StartsWith(parts[1], "{") && absl::EndsWith(parts[1], "}")) {
    info.choices = absl::StrSplit(parts[1].substr(1, parts[1].size() - 2), ',');
  }
  const size_t open = parts[1].find(" in [");
  const size_t close = parts[1].rfind(']');
  if (open != std::string::npos && close != std::string::npos) {
    info.range =
        absl::StrReplaceAll(parts[1].substr(open + 5, close - open - 5), {{" - ", " to "}});
  }
}

// CLI11's names of types say less than the option's own name does.
bool IsPlainType(absl::string_view name) {
  return name.empty() || name == "TEXT" || name == "INT" || name == "UINT" || name == "FLOAT" ||
         name == "BOOLEAN";
}

std::string ValueNameOf(const CLI::Option& option, absl::string_view type) {
  if (!IsPlainType(type)) return std::string(type);
  if (option.get_positional()) return absl::AsciiStrToUpper(option.get_name());
  if (type == "INT" || type == "UINT" || type == "FLOAT") return "N";
  const std::vector<std::string>& names = option.get_lnames();
  if (names.empty()) return "VALUE";
  // "--data-dir DIR", "--request-id ID".
  const std::vector<std::string> words = absl::StrSplit(names.front(), '-');
  return absl::AsciiStrToUpper(words.back());
}

ArgumentInfo DescribeOption(const CLI::Option& option) {
  ArgumentInfo info;
  if (!option.get_positional()) {
    for (const std::string& name : option.get_snames()) info.flags.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) info.flags.push_back("--" + name);
  }
  info.declared_name = option.get_single_name();
  info.description = option.get_description();
  info.required = option.get_required();
  info.default_value = option.get_default_str();
  ReadType(option.get_type_name(), info);
  const bool is_switch = !option.get_positional() && option.get_items_expected_max() == 0;
  info.value_name = is_switch ? "" : ValueNameOf(option, info.value_name);
  info.repeated = !is_switch && option.get_items_expected_max() > 1;
  return info;
}

// Footers are "notes", then "Example:" and indented lines, then the epilogue.
void ReadFooter(const std::string& footer, CommandInfo& info) {
  const size_t heading = footer.find(kExampleHeading);
  info.notes = std::string(absl::StripAsciiWhitespace(footer.substr(0, heading)));
  if (heading == std::string::npos) return;
  const std::vector<std::string> lines =
      absl::StrSplit(footer.substr(heading + sizeof(kExampleHeading) - 1), '\n');
  size_t i = 0;
  for (; i < lines.size() && absl::StartsWith(lines[i], "  "); ++i) {
    info.examples.emplace_back(absl::StripAsciiWhitespace(lines[i]));
  }
  info.epilogue = std::string(absl::StripAsciiWhitespace(
      absl::StrJoin(lines.begin() + static_cast<std::ptrdiff_t>(i), lines.end(), "\n")));
}

}  // namespace

const std::string& ArgumentInfo::name() const {
  if (is_positional()) return value_name;
  const auto is_long = [](const std::string& flag) { return absl::StartsWith(flag, "--"); };
  const auto found = std::find_if(flags.begin(), flags.end(), is_long);
  return found == flags.end() ? flags.back() : *found;
}

std::string ArgumentInfo::ValueText() const {
  if (choices.empty() || choices.size() > kMostChoicesShown) return value_name;
  return absl::StrJoin(choices, "|");
}

CommandInfo Describe(const CLI::App& app) {
  CommandInfo info;
  info.name = app.get_name();
  info.path = FullName(app);
  info.summary = app.get_description();
  ReadFooter(app.get_footer(), info);
  for (const CLI::Option* const option : app.get_options()) {
    if (!option->get_group().empty()) info.arguments.push_back(DescribeOption(*option));
  }
  std::stable_partition(info.arguments.begin(), info.arguments.end(),
                        [](const ArgumentInfo& argument) { return argument.is_positional(); });
  for (const CLI::App* const below : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!below->get_group().empty()) info.subcommands.push_back(Describe(*below));
  }
  return info;
}

const CommandInfo* FindCommand(const CommandInfo& root, const std::vector<std::string>& words) {
  const CommandInfo* found = &root;
  for (const std::string& word : words) {
    const auto next =
        std::find_if(found->subcommands.begin(), found->subcommands.end(),
                     [&word](const CommandInfo& below) { return below.name == word; });
    if (next == found->subcommands.end()) return nullptr;
    found = &*next;
  }
  return found;
}

std::string UsageLine(const CommandInfo& command) {
  std::string line = command.path;
  bool has_options = false;
  if (!command.subcommands.empty()) absl::StrAppend(&line, " COMMAND");
  for (const ArgumentInfo& argument : command.arguments) {
    if (argument.is_positional()) {
      const std::string name = absl::StrCat(argument.value_name, argument.repeated ? "..." : "");
      absl::StrAppend(&line, argument.required ? " " : " [", name, argument.required ? "" : "]");
    } else if (argument.required) {
      absl::StrAppend(&line, " ", argument.name(), " ", argument.ValueText());
    } else if (argument.name() != "--help") {
      has_options = true;
    }
  }
  if (has_options) absl::StrAppend(&line, " [OPTIONS]");
  return line;
}

std::string FullDescription(const ArgumentInfo& argument) {
  std::vector<std::string> remarks;
  if (argument.choices.size() > kMostChoicesShown) {
    remarks.push_back(absl::StrCat("one of ", absl::StrJoin(argument.choices, ", ")));
  }
  if (!argument.range.empty()) remarks.push_back(argument.range);
  if (!argument.default_value.empty()) {
    remarks.push_back(absl::StrCat("default ", argument.default_value));
  }
  // Where it is not said in words already.
  if (argument.repeated && !absl::StrContains(argument.description, "repeatable") &&
      !argument.is_positional()) {
    remarks.push_back("repeatable");
  }
  if (remarks.empty()) return argument.description;
  return absl::StrCat(argument.description, " (", absl::StrJoin(remarks, "; "), ")");
}

}  // namespace distill::client
