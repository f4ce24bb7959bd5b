// help: any command's page, and all of them as man pages or Markdown.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/command_reference.h"
#include "client/cli/command_tree.h"
#include "client/cli/commands.h"
#include "client/cli/help_text.h"
#include "client/cli/man_page.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

struct HelpOptions {
  std::vector<std::string> words;
  std::string man_folder;
  bool markdown = false;
};

absl::Status NoSuchCommand(const CommandInfo& root, std::vector<std::string> words) {
  const std::string wrong = words.back();
  words.pop_back();
  const CommandInfo* const parent = FindCommand(root, words);
  if (parent == nullptr) return NoSuchCommand(root, words);
  std::vector<std::string> names;
  for (const CommandInfo& below : parent->subcommands) names.push_back(below.name);
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat("cannot find command: `", parent->path,
                                            "` has no commands below it; got=", wrong));
  }
  return absl::NotFoundError(
      absl::StrCat("unknown command \"", wrong, "\"", Suggestion(wrong, names, "commands")));
}

absl::StatusOr<ExitCode> Help(Session& session, const CommandInfo& root,
                              const HelpOptions& options) {
  if (options.markdown) {
    session.out() << RenderCommandReference(root);
    return ExitCode::kOk;
  }
  if (!options.man_folder.empty()) {
    DISTILL_RETURN_IF_ERROR(CreateDirectories(options.man_folder));
    absl::Status status;
    ForEachCommand(root, [&](const CommandInfo& command) {
      status.Update(WriteFileAtomically(JoinPath(options.man_folder, ManPageName(command)),
                                        RenderManPage(command, root, DISTILL_VERSION)));
    });
    if (!status.ok()) return status;
    return ExitCode::kOk;
  }
  const CommandInfo* const command = FindCommand(root, options.words);
  if (command == nullptr) return NoSuchCommand(root, options.words);
  session.out() << RenderHelp(*command, root, session.columns());
  return ExitCode::kOk;
}

}  // namespace

void AddHelpCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const help = parent.add_subcommand("help", "Print the help of a command");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<HelpOptions>();
  help->add_option("command", options->words, "Command, such as: job submit");
  help->add_option("--man", options->man_folder,
                   "Write the man pages of all commands into this folder instead")
      ->type_name("DIR");
  help->add_flag("--markdown", options->markdown, "Print the reference of all commands instead");
  help->footer(
      "Example:\n  distill help job submit\n"
      "  distill help --man ~/.local/share/man/man1\n");
  help->callback([options, &parent, &chosen] {
    chosen = [options, &parent](Session& session) {
      return Help(session, Describe(parent), *options);
    };
  });
}

}  // namespace distill::client
