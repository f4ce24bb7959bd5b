// Every complaint a job file can earn, in its exact words: they are the product here.
#include "client/jobfile/job_file.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr char kPath[] = "dataset: {path: /data}\n";

struct BadFile {
  const char* name;
  std::string text;
  std::string complaint;
};

void PrintTo(const BadFile& file, std::ostream* os) { *os << file.name; }

class BadJobFileTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadJobFileTest, IsRefusedInTheseWords) {
  const auto parsed = ParseJobFile(GetParam().text, "job.yaml", JobFileFormat::kYaml);
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument, GetParam().complaint));
}

std::string Nested(int levels) {
  return absl::StrCat(kPath, "meta: ", std::string(levels, '['), std::string(levels, ']'));
}

// Each line multiplies the one before by ten: the "billion laughs" attack.
std::string AliasBomb() {
  std::string text = absl::StrCat(kPath, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for (int i = 1; i < 9; ++i) {
    absl::StrAppend(&text, "a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) absl::StrAppend(&text, j == 0 ? "" : ", ", "*a", i - 1);
    absl::StrAppend(&text, "]\n");
  }
  return text;
}

// The preset or the registry says where the data are.
TEST(JobFileTest, APresetOrANameReplacesThePath) {
  for (const char* text : {"preset: fashion-mnist-nac\n", "dataset: {name: imagenet}\n"}) {
    EXPECT_THAT(ParseJobFile(text, "job.yaml", JobFileFormat::kYaml), IsOk()) << text;
  }
}

TEST(JobFileTest, APresetItselfMayLeaveTheDataSetOpen) {
  EXPECT_THAT(ParseJobFile("modules: 4\n", "p.yaml", JobFileFormat::kYaml, Completeness::kPreset),
              IsOk());
}

INSTANTIATE_TEST_SUITE_P(
    All, BadJobFileTest,
    ::testing::Values(
        BadFile{"UnknownKey", absl::StrCat(kPath, "distilation: {tau: 2}\n"),
                "job.yaml:2:1: unknown key \"distilation\" in the file; did you mean "
                "\"distillation\"?"},
        BadFile{"UnknownNestedKey", absl::StrCat(kPath, "distillation:\n  alpha: 0.5\n  tua: 2\n"),
                "job.yaml:4:3: unknown key \"tua\" in distillation; did you mean \"tau\"?"},
        BadFile{"UnknownKeyNearNothing", absl::StrCat(kPath, "distillation: {temperature: 2}\n"),
                "job.yaml:2:16: unknown key \"temperature\" in distillation; the keys are kind, "
                "alpha, tau, divisor"},
        BadFile{"CamelCaseKey", absl::StrCat(kPath, "patchSize: 7\n"),
                "job.yaml:2:1: unknown key \"patchSize\" in the file; did you mean "
                "\"patch_size\"?"},
        BadFile{"DuplicateKey", absl::StrCat(kPath, "seed: 1\nmodules: 4\nseed: 2\n"),
                "job.yaml:4:1: seed: given twice; first on line 2"},
        BadFile{"NoValue", absl::StrCat(kPath, "modules:\n"),
                "job.yaml:2:1: modules: has no value; give one or remove the key"},
        BadFile{"TextForNumber", absl::StrCat(kPath, "distillation: {tau: hot}\n"),
                "job.yaml:2:21: distillation.tau: expected a number, got \"hot\""},
        BadFile{"QuotedNumber", absl::StrCat(kPath, "distillation: {tau: \"2\"}\n"),
                "job.yaml:2:21: distillation.tau: expected a number, got the quoted text \"2\""},
        BadFile{"NotFinite", absl::StrCat(kPath, "distillation: {tau: inf}\n"),
                "job.yaml:2:21: distillation.tau: expected a number, got \"inf\""},
        BadFile{"FractionForWhole", absl::StrCat(kPath, "modules: 2.5\n"),
                "job.yaml:2:10: modules: expected a whole number from -2147483648 to 2147483647, "
                "got \"2.5\""},
        BadFile{"TooWideForField", absl::StrCat(kPath, "modules: 99999999999\n"),
                "job.yaml:2:10: modules: expected a whole number from -2147483648 to 2147483647, "
                "got \"99999999999\""},
        BadFile{"NegativeSeed", absl::StrCat(kPath, "seed: -1\n"),
                "job.yaml:2:7: seed: expected a whole number from 0 to 18446744073709551615, got "
                "\"-1\""},
        BadFile{"YesForTrue", absl::StrCat(kPath, "meta: {qkv_bias: yes}\n"),
                "job.yaml:2:18: meta.qkv_bias: expected true or false, got \"yes\""},
        BadFile{"ListForNumber", absl::StrCat(kPath, "modules: [4]\n"),
                "job.yaml:2:10: modules: expected a whole number from -2147483648 to 2147483647, "
                "got a list"},
        BadFile{"NumberForList", absl::StrCat(kPath, "teacher: {stage_depths: 2}\n"),
                "job.yaml:2:25: teacher.stage_depths: expected a list such as [a, b], got \"2\""},
        BadFile{"BadElement", absl::StrCat(kPath, "teacher: {stage_depths: [2, two]}\n"),
                "job.yaml:2:29: teacher.stage_depths[1]: expected a whole number from -2147483648 "
                "to 2147483647, got \"two\""},
        BadFile{"ScalarForMessage", absl::StrCat(kPath, "meta: small\n"),
                "job.yaml:2:7: meta: expected a mapping of keys to values, got \"small\""},
        BadFile{"MappingForText", "dataset: {path: {a: 1}}\n",
                "job.yaml:1:17: dataset.path: expected text, got a mapping"},
        BadFile{"UnknownEnumValue", absl::StrCat(kPath, "distillation: {divisor: batchmean}\n"),
                "job.yaml:2:25: distillation.divisor: unknown value \"batchmean\"; did you mean "
                "\"batch_mean\"?"},
        BadFile{"EnumNumber", absl::StrCat(kPath, "distillation: {kind: 1}\n"),
                "job.yaml:2:22: distillation.kind: unknown value \"1\"; the values are soft, "
                "hard"},
        BadFile{"BothArchitectures", absl::StrCat(kPath, "student:\n  vmoe: {}\n  vit: {}\n"),
                "job.yaml:4:3: student.vit: excludes student.vmoe on line 3; keep one of them"},
        BadFile{"MissingDataset", "modules: 4\n",
                "job.yaml:1:1: missing required key dataset.path, the folder that holds the data "
                "set; for example /usr/share/datasets/fashion-mnist; or dataset.name, or preset"},
        BadFile{"MissingPath", "modules: 4\ndataset: {format: idx}\n",
                "job.yaml:2:1: missing required key dataset.path, the folder that holds the data "
                "set; for example /usr/share/datasets/fashion-mnist; or dataset.name, or preset"},
        BadFile{"Empty", "",
                "job.yaml:1:1: the file: expected a mapping of keys to values, got nothing"},
        BadFile{"NotAMapping", "- a\n- b\n",
                "job.yaml:1:1: the file: expected a mapping of keys to values, got a list"},
        BadFile{"Syntax", absl::StrCat(kPath, "meta: {depth: 4\n"),
                "job.yaml:3:1: end of map flow not found"},
        BadFile{"SecondDocument", absl::StrCat(kPath, "---\nseed: 1\n"),
                "job.yaml:3:1: a second document; a file holds one"},
        BadFile{"MergeKey", absl::StrCat(kPath, "meta: &m {depth: 4}\nteacher: {<<: *m}\n"),
                "job.yaml:3:11: merge keys (<<) are not supported; write out the keys, or alias a "
                "whole value"},
        BadFile{"CompositeKey", absl::StrCat(kPath, "? [a]\n: 1\n"),
                "job.yaml:2:3: a key must be a name"},
        BadFile{"TooDeep", Nested(40), "job.yaml:2:38: nested deeper than 32 levels"},
        BadFile{"SelfReference", absl::StrCat(kPath, "meta: &m {depth: *m}\n"),
                "job.yaml:2:18: an alias stands inside the value that it names"}),
    [](const ::testing::TestParamInfo<BadFile>& info) { return std::string(info.param.name); });

TEST(JobFileTest, ReportsAllComplaintsOfAFileInItsOrder) {
  EXPECT_THAT(
      ParseJobFile("modules: x\nseeed: 1\n", "a.yaml", JobFileFormat::kYaml),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "a.yaml:1:10: modules: expected a whole number from -2147483648 to 2147483647, got "
               "\"x\"\na.yaml:2:1: unknown key \"seeed\" in the file; did you mean \"seed\"?"));
}

TEST(JobFileTest, ListsAtMostTwentyComplaints) {
  std::string text;
  for (int i = 0; i < 25; ++i) absl::StrAppend(&text, "wrong", i, ": 1\n");
  EXPECT_THAT(ParseJobFile(text, "a.yaml", JobFileFormat::kYaml),
              StatusIs(absl::StatusCode::kInvalidArgument, EndsWith("\na.yaml: and 5 more")));
}

TEST(JobFileTest, BoundsAliasExpansion) {
  EXPECT_THAT(ParseJobFile(AliasBomb(), "a.yaml", JobFileFormat::kYaml),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("more than 20000 values, aliases expanded")));
}

TEST(JobFileTest, BoundsTheSize) {
  EXPECT_THAT(ParseJobFile(std::string(kMaxDocumentBytes + 1, ' '), "a.yaml", JobFileFormat::kYaml),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "a.yaml:1:1: larger than 1048576 bytes; got 1048577"));
}

TEST(JobFileTest, ReadsEveryKindOfValue) {
  const auto file = ParseJobFile(R"(
display_name: a name with spaces
seed: 18446744073709551615
dataset: {path: /data, format: idx}
modules: 2
teacher: {stage_depths: [3, 1], qkv_bias: false, mlp_ratio: 2.5}
student:
  vmoe: {experts: 8}
distill_modules: &recipe {epochs: 1.5, learning_rate: 1e-3}
finetune_student: *recipe
distillation: {divisor: numel, alpha: 1}
baselines: [finetune_images, BASELINE_KIND_ALL_IMAGES]
evaluation: {corruptions: [none]}
)",
                                 "job.yaml", JobFileFormat::kYaml);
  ASSERT_THAT(file, IsOk());
  const v1::JobSpec& spec = file->spec;
  EXPECT_EQ(spec.display_name(), "a name with spaces");
  EXPECT_EQ(spec.seed(), 18446744073709551615u);
  EXPECT_EQ(spec.dataset().format(), v1::DATASET_FORMAT_IDX);
  EXPECT_THAT(spec.teacher().stage_depths(), ElementsAre(3, 1));
  EXPECT_TRUE(spec.teacher().has_qkv_bias());
  EXPECT_FALSE(spec.teacher().qkv_bias());
  EXPECT_EQ(spec.student().vmoe().experts(), 8);
  EXPECT_EQ(spec.finetune_student().epochs(), 1.5);
  EXPECT_EQ(spec.finetune_student().learning_rate(), 1e-3);
  EXPECT_EQ(spec.distillation().divisor(), v1::KD_DIVISOR_NUMEL);
  EXPECT_EQ(spec.distillation().alpha(), 1.0);
  EXPECT_THAT(spec.baselines(),
              ElementsAre(v1::BASELINE_KIND_FINETUNE_IMAGES, v1::BASELINE_KIND_ALL_IMAGES));
  EXPECT_FALSE(spec.has_meta());
  EXPECT_EQ(file->positions.at("distillation.divisor"), (Position{11, 16}));
}

TEST(JobFileTest, ReadsJsonInBothSpellings) {
  const auto file = ParseJobFile(
      R"({"displayName": "j", "seed": "7", "patch_size": 7, "dataset": {"path": "/data"}})",
      "job.json", FormatOfName("job.json"));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->spec.display_name(), "j");
  EXPECT_EQ(file->spec.seed(), 7u);
  EXPECT_EQ(file->spec.patch_size(), 7);
}

TEST(JobFileTest, ReadsTextProto) {
  const auto file = ParseJobFile("seed: 7\ndataset { path: \"/data\" classes: 10 }\n",
                                 "job.textproto", FormatOfName("job.textproto"));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->spec.seed(), 7u);
  EXPECT_EQ(file->positions.at("dataset.classes"), (Position{2, 25}));
  EXPECT_THAT(ParseJobFile("sede: 7\n", "job.textproto", JobFileFormat::kTextProto),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "job.textproto:1:5: Message type \"distill.v1.JobSpec\" has no field named "
                       "\"sede\"."));
}

TEST(JobFileTest, NamesTheMissingFile) {
  EXPECT_THAT(ReadJobFile("/nowhere/job.yaml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/job.yaml")));
}

TEST(JobFileTest, ReadsFromDisk) {
  const TempDir directory;
  const std::string path = directory.Join("job.yaml");
  ASSERT_THAT(WriteFileAtomically(path, kPath), IsOk());
  EXPECT_THAT(ReadJobFile(path), IsOk());
}

// A server's answer speaks of fields; people look for lines.
TEST(JobFileTest, FindsTheFieldThatAMessageNames) {
  const auto file = ParseJobFile(absl::StrCat(kPath, "teacher: {depth: 7}\nmodules: 4\n"),
                                 "job.yaml", JobFileFormat::kYaml);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(FindMentionedField(*file, "cannot accept job: teacher.depth must be a multiple of 4"),
            (Position{2, 11}));
  EXPECT_EQ(FindMentionedField(*file, "modules: 0 is not in 1 to 1000"), (Position{3, 1}));
  EXPECT_EQ(FindMentionedField(*file, "distill_modules.epochs is negative"), std::nullopt);
}

}  // namespace
}  // namespace distill::client
