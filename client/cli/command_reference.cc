#include "client/cli/command_reference.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace distill::client {
namespace {

// In a table cell a bar would end the cell.
std::string Cell(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}, {"<", "&lt;"}});
}

std::string NameCell(const ArgumentInfo& argument) {
  if (argument.is_positional()) {
    return absl::StrCat("`", argument.value_name, argument.repeated ? "..." : "", "`");
  }
  std::string text = absl::StrJoin(argument.flags, ", ");
  const std::string value = argument.ValueText();
  if (!value.empty()) absl::StrAppend(&text, " ", value);
  return absl::StrCat("`", Cell(text), "`");
}

void AppendCommand(const CommandInfo& command, std::string* page) {
  absl::StrAppend(page, "\n## ", command.path, "\n\n", command.summary, ".\n");
  if (!command.notes.empty()) absl::StrAppend(page, "\n", command.notes, "\n");
  absl::StrAppend(page, "\n```\n", UsageLine(command), "\n```\n");
  if (!command.subcommands.empty()) {
    absl::StrAppend(page, "\n| command | does |\n|---|---|\n");
  }
  for (const CommandInfo& below : command.subcommands) {
    const std::string anchor = absl::StrReplaceAll(below.path, {{" ", "-"}});
    absl::StrAppend(page, "| [`", below.name, "`](#", anchor, ") | ", Cell(below.summary), " |\n");
  }
  std::string rows;
  for (const ArgumentInfo& argument : command.arguments) {
    if (!argument.is_positional() && argument.name() == "--help") continue;
    absl::StrAppend(&rows, "| ", NameCell(argument), " | ", Cell(FullDescription(argument)),
                    " |\n");
  }
  if (!rows.empty()) absl::StrAppend(page, "\n| argument | means |\n|---|---|\n", rows);
  if (!command.examples.empty()) {
    absl::StrAppend(page, "\n```\n", absl::StrJoin(command.examples, "\n"), "\n```\n");
  }
}

}  // namespace

std::string RenderCommandReference(const CommandInfo& root) {
  std::string page =
      "# All commands\n\n"
      "Made by `distill help --markdown > docs/commands.md`; a test compares the two. What the "
      "commands have in common is in\n[cli.md](cli.md).\n";
  ForEachCommand(root, [&page](const CommandInfo& command) { AppendCommand(command, &page); });
  return page;
}

}  // namespace distill::client
