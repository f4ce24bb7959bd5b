#include "client/cli/help_text.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace distill::client {
namespace {

// Left columns wider than this have their description below them.
constexpr size_t kWidestName = 26;
constexpr int kNarrowest = 60;
constexpr int kWidest = 100;

using Rows = std::vector<std::pair<std::string, std::string>>;

// "-o, --output table|json".
std::string NameColumn(const ArgumentInfo& argument) {
  if (argument.is_positional()) {
    return absl::StrCat(argument.value_name, argument.repeated ? "..." : "");
  }
  std::string text = absl::StrJoin(argument.flags, ", ");
  const std::string value = argument.ValueText();
  if (!value.empty()) absl::StrAppend(&text, " ", value);
  return text;
}

void AppendSection(absl::string_view title, const Rows& rows, int columns, std::string* page) {
  if (rows.empty()) return;
  absl::StrAppend(page, "\n", title, ":\n");
  size_t width = 0;
  for (const auto& [name, text] : rows) {
    if (name.size() <= kWidestName) width = std::max(width, name.size());
  }
  const int indent = static_cast<int>(width) + 4;
  for (const auto& [name, text] : rows) {
    absl::StrAppend(page, "  ", name);
    if (name.size() > width) {
      absl::StrAppend(page, "\n", std::string(static_cast<size_t>(indent), ' '));
    } else {
      absl::StrAppend(page, std::string(width - name.size() + 2, ' '));
    }
    absl::StrAppend(page, WrapText(text, columns - indent, indent), "\n");
  }
}

Rows OptionRows(const CommandInfo& command) {
  Rows rows;
  for (const ArgumentInfo& argument : command.arguments) {
    if (!argument.is_positional()) {
      rows.emplace_back(NameColumn(argument), FullDescription(argument));
    }
  }
  return rows;
}

// One line that reminds of the options that every command takes.
std::string GlobalReminder(const CommandInfo& root) {
  std::vector<std::string> names;
  for (const ArgumentInfo& argument : root.arguments) {
    if (!argument.is_positional() && argument.name() != "--help") {
      names.push_back(argument.flags.front());
    }
  }
  return absl::StrCat("Every command also takes ", absl::StrJoin(names, ", "), ": see `", root.path,
                      " --help`.");
}

}  // namespace

std::string WrapText(absl::string_view text, int columns, int indent) {
  const auto room = static_cast<size_t>(std::max(columns, 20));
  std::vector<std::string> lines;
  for (const absl::string_view paragraph : absl::StrSplit(text, '\n')) {
    if (!paragraph.empty() && paragraph[0] == ' ') {
      lines.emplace_back(paragraph);
      continue;
    }
    std::string line;
    for (const absl::string_view word : absl::StrSplit(paragraph, ' ')) {
      if (!line.empty() && line.size() + 1 + word.size() > room) {
        lines.push_back(std::move(line));
        line.clear();
      }
      absl::StrAppend(&line, line.empty() ? "" : " ", word);
    }
    lines.push_back(std::move(line));
  }
  return absl::StrJoin(lines, absl::StrCat("\n", std::string(static_cast<size_t>(indent), ' ')));
}

std::string RenderHelp(const CommandInfo& command, const CommandInfo& root, int columns) {
  columns = std::clamp(columns, kNarrowest, kWidest);
  std::string page = absl::StrCat(WrapText(command.summary, columns, 0), "\n");
  if (!command.notes.empty())
    absl::StrAppend(&page, "\n", WrapText(command.notes, columns, 0), "\n");
  absl::StrAppend(&page, "\nUsage: ", UsageLine(command), "\n");
  Rows commands;
  for (const CommandInfo& below : command.subcommands) {
    commands.emplace_back(below.name, below.summary);
  }
  AppendSection("Commands", commands, columns, &page);
  Rows arguments;
  for (const ArgumentInfo& argument : command.arguments) {
    if (argument.is_positional()) {
      arguments.emplace_back(NameColumn(argument), FullDescription(argument));
    }
  }
  AppendSection("Arguments", arguments, columns, &page);
  AppendSection("Options", OptionRows(command), columns, &page);
  if (command.path != root.path) {
    absl::StrAppend(&page, "\n", WrapText(GlobalReminder(root), columns, 0), "\n");
  }
  if (!command.examples.empty()) {
    absl::StrAppend(&page, "\nExample:\n  ", absl::StrJoin(command.examples, "\n  "), "\n");
  }
  if (!command.epilogue.empty()) absl::StrAppend(&page, "\n", command.epilogue, "\n");
  return page;
}

}  // namespace distill::client
