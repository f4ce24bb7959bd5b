#include "client/cli/man_page.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/exit_code.h"
#include "client/cli/settings.h"

namespace distill::client {
namespace {

// Text that roff takes as it is.
std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\e"},
                                    {"-", "\\-"},
                                    {"'", "\\(aq"},
                                    {"`", "\\(ga"},
                                    {"~", "\\(ti"},
                                    {"^", "\\(ha"}});
}

// Lines that begin with a dot would be requests.
std::string Paragraphs(absl::string_view text) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::string escaped = Escape(absl::StripAsciiWhitespace(line));
    lines.push_back(absl::StrCat(absl::StartsWith(escaped, ".") ? "\\&" : "", escaped));
  }
  return absl::StrCat(absl::StrJoin(lines, "\n.br\n"), "\n");
}

std::string Dashed(const CommandInfo& command) {
  return absl::StrReplaceAll(command.path, {{" ", "-"}});
}

std::string Bold(absl::string_view text) { return absl::StrCat("\\fB", Escape(text), "\\fR"); }
std::string Italic(absl::string_view text) { return absl::StrCat("\\fI", Escape(text), "\\fR"); }

void AppendTerm(const std::string& term, absl::string_view text, std::string* page) {
  absl::StrAppend(page, ".TP\n", term, "\n", Paragraphs(text));
}

void AppendArgument(const ArgumentInfo& argument, std::string* page) {
  std::string term;
  if (argument.is_positional()) {
    term = absl::StrCat(Italic(argument.value_name), argument.repeated ? "..." : "");
  } else {
    std::vector<std::string> flags;
    for (const std::string& flag : argument.flags) flags.push_back(Bold(flag));
    term = absl::StrJoin(flags, ", ");
    const std::string value = argument.ValueText();
    if (!value.empty()) absl::StrAppend(&term, " ", Italic(value));
  }
  AppendTerm(term, FullDescription(argument), page);
}

void AppendArguments(absl::string_view title, const CommandInfo& command, bool positional,
                     std::string* page) {
  bool first = true;
  for (const ArgumentInfo& argument : command.arguments) {
    if (argument.is_positional() != positional) continue;
    if (first) absl::StrAppend(page, ".SH ", title, "\n");
    first = false;
    AppendArgument(argument, page);
  }
}

void AppendShared(std::string* page) {
  absl::StrAppend(page, ".SH ENVIRONMENT\n");
  for (const SettingInfo& setting : AllSettings()) {
    if (setting.variable != nullptr) {
      AppendTerm(Bold(setting.variable), setting.description, page);
    }
  }
  AppendTerm(Bold("DISTILL_CONTEXT"), "Context to use, where no --context is given.", page);
  AppendTerm(Bold("DISTILL_CONFIG"), "File of the contexts, instead of the one below.", page);
  AppendTerm(Bold("DISTILL_DATA_DIR"), "Folder of `distill dev` and `distill demo`.", page);
  AppendTerm(Bold("NO_COLOR"), "Not empty: no colours.", page);
  absl::StrAppend(page, ".SH FILES\n");
  AppendTerm(Italic("~/.config/distillery/config.yaml"),
             "Contexts; below $XDG_CONFIG_HOME where that is set. For its owner alone (mode 0600).",
             page);
  AppendTerm(Italic(".distill/addresses"),
             "Where the `distill dev` of this directory listens, for commands that are told no "
             "other server.",
             page);
  absl::StrAppend(page, ".SH EXIT STATUS\n");
  for (const ExitCodeInfo& code : ExitCodes()) {
    AppendTerm(Bold(absl::StrCat(static_cast<int>(code.code))), code.meaning, page);
  }
}

void AppendSeeAlso(const CommandInfo& command, const CommandInfo& root, std::string* page) {
  std::vector<std::string> pages;
  const std::vector<std::string> words = absl::StrSplit(command.path, ' ');
  for (size_t i = 1; i < words.size(); ++i) {
    pages.push_back(
        absl::StrJoin(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i), "-"));
  }
  for (const CommandInfo& below : command.subcommands) pages.push_back(Dashed(below));
  if (pages.empty()) pages.push_back(Dashed(root));
  absl::StrAppend(page, ".SH SEE ALSO\n");
  for (size_t i = 0; i < pages.size(); ++i) {
    absl::StrAppend(page, ".BR ", Escape(pages[i]), " (1)", i + 1 < pages.size() ? "," : "", "\n");
  }
}

}  // namespace

std::string ManPageName(const CommandInfo& command) { return absl::StrCat(Dashed(command), ".1"); }

std::string RenderManPage(const CommandInfo& command, const CommandInfo& root,
                          absl::string_view version) {
  std::string page = absl::StrCat(
      ".\\\" Made by `distill help --man`.\n.TH ", absl::AsciiStrToUpper(Dashed(command)),
      " 1 \"\" \"Distillery ", version, "\" \"User Commands\"\n.nh\n.SH NAME\n",
      Escape(Dashed(command)), " \\- ", Escape(command.summary), "\n.SH SYNOPSIS\n",
      Bold(command.path), Escape(UsageLine(command).substr(command.path.size())), "\n");
  if (!command.notes.empty()) {
    absl::StrAppend(&page, ".SH DESCRIPTION\n", Paragraphs(command.notes));
  }
  if (!command.subcommands.empty()) absl::StrAppend(&page, ".SH COMMANDS\n");
  for (const CommandInfo& below : command.subcommands) {
    AppendTerm(Bold(below.name), below.summary, &page);
  }
  AppendArguments("ARGUMENTS", command, /*positional=*/true, &page);
  AppendArguments("OPTIONS", command, /*positional=*/false, &page);
  const bool is_root = command.path == root.path;
  if (is_root) AppendShared(&page);
  if (!command.examples.empty()) absl::StrAppend(&page, ".SH EXAMPLES\n.nf\n");
  for (const std::string& example : command.examples) {
    absl::StrAppend(&page, Escape(example), "\n");
  }
  if (!command.examples.empty()) absl::StrAppend(&page, ".fi\n");
  AppendSeeAlso(command, root, &page);
  return page;
}

}  // namespace distill::client
