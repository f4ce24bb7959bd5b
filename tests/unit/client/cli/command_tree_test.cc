// Walks every command of `distill`: help, examples, manual and reference page.
#include "client/cli/command_tree.h"

#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "client/cli/command_line.h"
#include "client/cli/command_reference.h"
#include "client/cli/completion.h"
#include "client/cli/help_text.h"
#include "client/cli/man_page.h"
#include "client/cli/settings.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace distill::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The calls of `distill` in a line of shell: "distill dev & distill job list | jq ." has two.
std::vector<std::vector<std::string>> CallsIn(const std::string& example) {
  static const auto* const separators = new std::set<std::string>{"|", "&&", "||", "&", ";"};
  std::vector<std::vector<std::string>> pieces(1);
  bool is_target = false;
  for (const std::string& word : SplitLine(example)) {
    if (separators->count(word) > 0) {
      pieces.emplace_back();
    } else if (word == ">" || word == ">>" || word == "<") {
      is_target = true;
    } else if (!is_target && !word.empty()) {
      pieces.back().push_back(word);
    } else {
      is_target = false;
    }
  }
  std::vector<std::vector<std::string>> calls;
  for (const std::vector<std::string>& piece : pieces) {
    if (!piece.empty() && piece[0] == "distill") calls.emplace_back(piece.begin() + 1, piece.end());
  }
  return calls;
}

TEST(CommandTreeTest, EveryCommandHasASummaryAndAnExample) {
  int commands = 0;
  ForEachCommand(DescribeCommandLine(), [&commands](const CommandInfo& command) {
    ++commands;
    EXPECT_THAT(command.summary, Not(IsEmpty())) << command.path;
    EXPECT_THAT(command.examples, Not(IsEmpty())) << command.path;
    EXPECT_THAT(absl::StrJoin(command.examples, "\n"), HasSubstr(command.path)) << command.path;
    for (const ArgumentInfo& argument : command.arguments) {
      EXPECT_THAT(argument.description, Not(IsEmpty())) << command.path << " " << argument.name();
    }
  });
  EXPECT_GT(commands, 60);
}

TEST(CommandTreeTest, EveryExampleParses) {
  ForEachCommand(DescribeCommandLine(), [](const CommandInfo& command) {
    for (const std::string& example : command.examples) {
      const auto calls = CallsIn(example);
      EXPECT_THAT(calls, Not(IsEmpty())) << example;
      for (const std::vector<std::string>& call : calls) {
        EXPECT_THAT(CheckCommandLine(call), IsOk()) << example;
      }
    }
  });
}

TEST(CommandTreeTest, HelpFitsItsWidthAndNamesEverything) {
  const CommandInfo root = DescribeCommandLine();
  ForEachCommand(root, [&root](const CommandInfo& command) {
    const std::string page = RenderHelp(command, root, 80);
    EXPECT_THAT(page, HasSubstr("Usage: " + command.path));
    EXPECT_THAT(page, HasSubstr("Example:\n  distill "));
    for (const ArgumentInfo& argument : command.arguments) {
      EXPECT_THAT(page, HasSubstr(argument.name())) << command.path;
    }
    for (const CommandInfo& below : command.subcommands) EXPECT_THAT(page, HasSubstr(below.name));
  });
}

TEST(CommandTreeTest, EveryCommandHasAManPage) {
  const CommandInfo root = DescribeCommandLine();
  std::set<std::string> names;
  ForEachCommand(root, [&](const CommandInfo& command) {
    EXPECT_TRUE(names.insert(ManPageName(command)).second);
    const std::string page = RenderManPage(command, root, "1.2");
    EXPECT_THAT(page, HasSubstr(".SH NAME\ndistill"));
    EXPECT_THAT(page, HasSubstr(".SH EXAMPLES\n"));
    EXPECT_THAT(page, HasSubstr("Distillery 1.2"));
  });
  EXPECT_THAT(names, Contains("distill-job-submit.1"));
  const std::string top = RenderManPage(root, root, "1.2");
  for (const SettingInfo& setting : AllSettings()) {
    if (setting.variable != nullptr) {
      EXPECT_THAT(top, HasSubstr(setting.variable));
    }
  }
  EXPECT_THAT(top, HasSubstr(".SH EXIT STATUS\n.TP\n\\fB0\\fR\n"));
}

// Written anew by: distill help --markdown > docs/commands.md
TEST(CommandTreeTest, TheReferencePageIsThisCommandLine) {
  const char* const source = std::getenv("DISTILL_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(ReadFile(absl::StrCat(source, "/docs/commands.md")),
              IsOkAndHolds(RenderCommandReference(DescribeCommandLine())));
}

TEST(CommandTreeTest, UsageShowsWhatIsNeeded) {
  const CommandInfo root = DescribeCommandLine();
  EXPECT_EQ(UsageLine(*FindCommand(root, {"job", "wait"})), "distill job wait JOB...");
  EXPECT_EQ(UsageLine(*FindCommand(root, {"context", "show"})), "distill context show [CONTEXT]");
  EXPECT_EQ(UsageLine(*FindCommand(root, {"job"})), "distill job COMMAND");
  EXPECT_EQ(FindCommand(root, {"job", "nothing"}), nullptr);
  EXPECT_EQ(FindCommand(root, {"__complete"}), nullptr);
}

TEST(HelpTextTest, WrapsBetweenWords) {
  EXPECT_EQ(WrapText("one two three four five six", 20, 2), "one two three four\n  five six");
  EXPECT_EQ(WrapText("a\n  kept as it is, however long it may be\nb", 20, 0),
            "a\n  kept as it is, however long it may be\nb");
}

}  // namespace
}  // namespace distill::client
