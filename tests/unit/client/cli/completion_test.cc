#include "client/cli/completion.h"

#include "client/cli/command_line.h"
#include "gmock/gmock.h"

namespace distill::client {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Kind = CompletionRequest::Kind;

std::vector<std::string> Texts(const std::vector<Candidate>& candidates) {
  std::vector<std::string> texts;
  for (const Candidate& candidate : candidates) texts.push_back(candidate.text);
  return texts;
}

CompletionRequest At(const std::vector<std::string>& words) {
  static const auto* const root = new CommandInfo(DescribeCommandLine());
  return WhatFits(*root, words);
}

TEST(SplitLineTest, SplitsAsShellsDo) {
  EXPECT_THAT(SplitLine("distill job  get 'a b' c\\ d"),
              ElementsAre("distill", "job", "get", "a b", "c d"));
  EXPECT_THAT(SplitLine("distill job "), ElementsAre("distill", "job", ""));
  EXPECT_THAT(SplitLine(""), ElementsAre(""));
}

TEST(CompletionTest, OffersCommands) {
  EXPECT_THAT(Texts(At({""}).candidates), Contains("job"));
  EXPECT_THAT(Texts(At({""}).candidates), Not(Contains("__complete")));
  EXPECT_THAT(Texts(At({"job", "su"}).candidates), Contains("submit"));
  EXPECT_EQ(At({"job", "su"}).typed, "su");
}

TEST(CompletionTest, OffersOptionsAndTheirValues) {
  EXPECT_THAT(Texts(At({"job", "submit", "--"}).candidates), Contains("--override"));
  EXPECT_THAT(Texts(At({"job", "submit", "--"}).candidates), Contains("--server"));
  EXPECT_THAT(Texts(At({"job", "list", "-o", ""}).candidates),
              ElementsAre("table", "json", "yaml", "name"));
  const CompletionRequest joined = At({"job", "list", "--output=j"});
  EXPECT_EQ(joined.prefix, "--output=");
  EXPECT_EQ(joined.typed, "j");
  EXPECT_THAT(Texts(joined.candidates), Contains("json"));
}

TEST(CompletionTest, KnowsWhatAPositionalArgumentIs) {
  EXPECT_EQ(At({"job", "get", ""}).kind, Kind::kJob);
  EXPECT_EQ(At({"job", "wait", "job-1", ""}).kind, Kind::kJob);
  EXPECT_EQ(At({"job", "submit", ""}).kind, Kind::kFile);
  EXPECT_EQ(At({"job", "submit", "a.yaml", "--override", "d"}).kind, Kind::kJobField);
  EXPECT_EQ(At({"task", "get", "job-1", ""}).kind, Kind::kTask);
  EXPECT_EQ(At({"task", "get", "job-1", ""}).job, "job-1");
  EXPECT_EQ(At({"worker", "drain", ""}).kind, Kind::kWorker);
  EXPECT_EQ(At({"dataset", "get", ""}).kind, Kind::kDataset);
  EXPECT_EQ(At({"context", "use", ""}).kind, Kind::kContext);
  EXPECT_EQ(At({"quota", "set", ""}).kind, Kind::kProject);
  EXPECT_EQ(At({"job", "presets", ""}).kind, Kind::kPreset);
  EXPECT_EQ(At({"job", "get", "job-1", ""}).kind, Kind::kWords);
  EXPECT_THAT(At({"job", "get", "job-1", ""}).candidates, IsEmpty());
}

TEST(CompletionTest, RemembersWhichServerIsMeant) {
  const CompletionRequest request =
      At({"--context", "lab", "job", "--server=h:1", "get", "--project", "p", ""});
  EXPECT_EQ(request.kind, Kind::kJob);
  EXPECT_EQ(request.context, "lab");
  EXPECT_EQ(request.flags.at("server"), "h:1");
  EXPECT_EQ(request.flags.at("project"), "p");
}

TEST(CompletionTest, OffersFieldsOfJobsLevelByLevel) {
  EXPECT_THAT(Texts(JobFieldCandidates("dist")), ElementsAre("distill_modules.", "distillation."));
  EXPECT_THAT(Texts(JobFieldCandidates("distillation.ta")), ElementsAre("distillation.tau="));
  EXPECT_THAT(Texts(JobFieldCandidates("dataset.format=")), Contains("dataset.format=idx"));
  EXPECT_THAT(Texts(JobFieldCandidates("dataset.format=")), Each(StartsWith("dataset.format=")));
  EXPECT_THAT(JobFieldCandidates("nothing"), IsEmpty());
}

TEST(CompletionTest, EachShellHasAScriptThatAsksTheProgram) {
  for (const char* const shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(CompletionScript(shell), ::testing::HasSubstr("__complete --line"));
  }
}

}  // namespace
}  // namespace distill::client
