#include "client/cli/context_file.h"

#include <sys/stat.h>

#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Variables = std::map<std::string, std::string>;

auto Lookup(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Context Lab() {
  return {"lab", {{"server", "gpu:1"}, {"project", "vision"}, {"token_file", "/t"}}};
}

TEST(ContextFileTest, KeepsWhatWasWritten) {
  const TempDir directory;
  const std::string path = directory.Join("config/distillery/config.yaml");
  ContextFile file;
  file.current = "lab";
  file.contexts = {Lab(), {"x", {{"server", "o'hara:2"}}}};
  ASSERT_THAT(WriteContextFile(path, file), IsOk());
  const auto read = ReadContextFile(path);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->current, "lab");
  ASSERT_THAT(read->contexts, SizeIs(2));
  EXPECT_EQ(read->contexts[0].values, Lab().values);
  EXPECT_EQ(read->contexts[1].values.at("server"), "o'hara:2");
}

TEST(ContextFileTest, IsForItsOwnerAlone) {
  const TempDir directory;
  const std::string path = directory.Join("config.yaml");
  ASSERT_THAT(WriteContextFile(path, {}), IsOk());
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_THAT(ReadContextFile(path),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("run: chmod 600 " + path)));
}

TEST(ContextFileTest, NoFileHoldsNoContexts) {
  const TempDir directory;
  const auto read = ReadContextFile(directory.Join("none"));
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->contexts, IsEmpty());
  EXPECT_THAT(ReadContextFile(""), IsOk());
}

TEST(ContextFileTest, ComplaintsSayWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"curent: lab\n", "f:1:1: unknown key \"curent\"; did you mean \"current\"?"},
      {"current: lab\n", "f:1:1: current: there is no context \"lab\""},
      {"contexts:\n  lab:\n    sever: h:1\n",
       "f:3:5: unknown key \"sever\"; did you mean \"server\"?"},
      {"contexts:\n  lab:\n    server: [a]\n", "f:3:13: server: want a text"},
      {"contexts:\n  lab: {}\n  lab: {}\n", "f:3:3: context \"lab\" is there twice"},
      {"contexts: [a]\n", "f:1:11: contexts: want names, each with its settings"},
      {"contexts:\n  dev: {}\n",
       "f:2:3: context \"dev\": the name is taken, it means the `distill "
       "dev` of the directory"},
  };
  for (const auto& [text, complaint] : cases) {
    EXPECT_THAT(ParseContextFile(text, "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, complaint));
  }
}

TEST(ContextFileTest, LiesWhereTheEnvironmentSays) {
  EXPECT_EQ(ContextFilePath(Lookup({{"HOME", "/h"}})), "/h/.config/distillery/config.yaml");
  EXPECT_EQ(ContextFilePath(Lookup({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}})),
            "/x/distillery/config.yaml");
  EXPECT_EQ(ContextFilePath(Lookup({{"HOME", "/h"}, {"DISTILL_CONFIG", "/c"}})), "/c");
  EXPECT_EQ(ContextFilePath(Lookup({})), "");
}

TEST(ServerListTest, WantsHostAndPort) {
  EXPECT_THAT(CheckServerList("--server", "a:1,b:65535,[::1]:7070"), IsOk());
  for (const char* const bad : {"", "gpu-head", "a:0", "a:70000", ":1", "http://a:1", "a:1,,b:2"}) {
    EXPECT_THAT(CheckServerList("--server", bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want host:port")))
        << bad;
  }
}

// One step after the other is taken away, and the next takes its place.
TEST(SettingsTest, AFlagWinsOverTheEnvironmentOverTheContextOverTheDefault) {
  const Context lab = Lab();
  Variables variables = {{"DISTILL_PROJECT", "from-environment"}, {"DISTILL_SERVER", "gpu:1"}};
  SettingValues flags = {{"project", "from-flag"}};
  ResolvedSettings settings = ResolveSettings(flags, Lookup(variables), &lab);
  EXPECT_EQ(settings["project"].value, "from-flag");
  EXPECT_EQ(settings["project"].origin, "--project");
  flags.clear();
  settings = ResolveSettings(flags, Lookup(variables), &lab);
  EXPECT_EQ(settings["project"].value, "from-environment");
  EXPECT_EQ(settings["project"].origin, "DISTILL_PROJECT");
  variables.clear();
  settings = ResolveSettings(flags, Lookup(variables), &lab);
  EXPECT_EQ(settings["project"].value, "vision");
  EXPECT_EQ(settings["project"].origin, "context lab");
  EXPECT_EQ(settings["server"].origin, "context lab");
  settings = ResolveSettings(flags, Lookup(variables), nullptr);
  EXPECT_EQ(settings.count("project"), 0u);
  EXPECT_EQ(ValueOf(settings, "project"), "");
}

TEST(SettingsTest, AnEmptyValueIsGivenByNobody) {
  const Context lab = Lab();
  EXPECT_EQ(ValueOf(ResolveSettings({{"project", ""}}, Lookup({{"DISTILL_PROJECT", ""}}), &lab),
                    "project"),
            "vision");
}

// A token is for the server that it was made on.
TEST(SettingsTest, TheTokenOfAContextGoesToNoOtherServer) {
  const Context lab = Lab();
  EXPECT_EQ(ValueOf(ResolveSettings({}, Lookup({}), &lab), "token_file"), "/t");
  EXPECT_EQ(ValueOf(ResolveSettings({{"server", "gpu:1"}}, Lookup({}), &lab), "token_file"), "/t");
  EXPECT_EQ(ValueOf(ResolveSettings({{"server", "evil:1"}}, Lookup({}), &lab), "token_file"), "");
  EXPECT_EQ(ValueOf(ResolveSettings({{"server", "evil:1"}}, Lookup({}), &lab), "project"),
            "vision");
}

}  // namespace
}  // namespace distill::client
