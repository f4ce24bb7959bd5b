// Experiment files: what they expand to, what is wrong with them, and those that are delivered.
#include "client/experiment/experiment_file.h"

#include <set>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExperimentFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<Experiment> Read(const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(dir_.Join("base.yaml"),
                                    "dataset: {path: /data}\ndistillation: {alpha: 0.3}\n"),
                IsOk());
    EXPECT_THAT(WriteFileAtomically(dir_.Join("e.yaml"), text), IsOk());
    return ReadExperiment(dir_.Join("e.yaml"));
  }
  TempDir dir_;
};

TEST_F(ExperimentFileTest, ExpandsArmsTimesGridTimesSeeds) {
  const absl::StatusOr<Experiment> experiment = Read(
      "name: e\n"
      "base: base.yaml\n"
      "seeds: [3, 5]\n"
      "set: {modules: 2, evaluation.severities: [1, 3]}\n"
      "arms:\n"
      "  - {name: short, set: {distill_modules.epochs: 1}}\n"
      "  - {name: long, set: {distill_modules.epochs: 10}}\n"
      "grid: {distillation.alpha: [0.5, 0.9], distillation.tau: [1]}\n"
      "compare:\n"
      "  - {model: student, against: baseline B1, claim: higher}\n"
      "  - {model: student, across: arm}\n");
  ASSERT_THAT(experiment, IsOk());
  ASSERT_EQ(experiment->runs.size(), 8u);
  const ExperimentRun& run = experiment->runs[3];
  EXPECT_EQ(SettingsLabel(run.settings), "short distillation.alpha=0.9 distillation.tau=1");
  EXPECT_EQ(run.seed, 5u);
  EXPECT_EQ(run.spec.seed(), 5u);
  EXPECT_EQ(run.spec.modules(), 2);
  EXPECT_EQ(run.spec.evaluation().severities_size(), 2);
  EXPECT_EQ(run.spec.distill_modules().epochs(), 1);
  EXPECT_EQ(run.spec.distillation().alpha(), 0.9);
  EXPECT_EQ(experiment->runs[7].spec.distill_modules().epochs(), 10);
  EXPECT_EQ(experiment->comparisons[0].claim, Claim::kHigher);
  std::set<std::string> names;
  for (const ExperimentRun& each : experiment->runs) names.insert(each.spec.display_name());
  EXPECT_EQ(names.size(), 8u);
}

TEST_F(ExperimentFileTest, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(Read("name: e\nbase: base.yaml\nsedes: [1]\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("e.yaml:3:1"), HasSubstr("did you mean \"seeds\""))));
  EXPECT_THAT(Read("name: e\nbase: base.yaml\nseeds: [1, 1]\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("each once")));
  EXPECT_THAT(Read("name: a b\n"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            AllOf(HasSubstr("name:"), HasSubstr("base:"))));
  EXPECT_THAT(Read("name: e\nbase: base.yaml\ngrid: {distilation.tau: [1]}\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("distillation")));
  EXPECT_THAT(Read("name: e\nbase: base.yaml\ncompare: [{model: student, across: arm}]\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nothing varies along")));
  EXPECT_THAT(Read("name: e\nbase: base.yaml\ncompare: [{model: student}]\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("against or across")));
  EXPECT_THAT(Read("name: e\nbase: nowhere.yaml\n"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Read("- a\n"), StatusIs(absl::StatusCode::kInvalidArgument));
  std::string many = "name: e\nbase: base.yaml\ngrid:\n";
  for (const char* key : {"distillation.tau", "distillation.alpha", "distill_modules.epochs"}) {
    many += std::string("  ") + key + ": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n";
  }
  EXPECT_THAT(Read(many), StatusIs(absl::StatusCode::kResourceExhausted));
}

// Each delivered experiment can be read, and has the seeds that paired differences need.
TEST(DeliveredExperimentsTest, CanBeRead) {
  const std::string folder = std::string(DISTILL_SOURCE_DIR) + "/deploy/experiments";
  const std::vector<std::string> names = ListDirectory(folder).value();
  EXPECT_GE(names.size(), 6u);
  for (const std::string& name : names) {
    if (name.size() < 5 || name.substr(name.size() - 5) != ".yaml") continue;
    const absl::StatusOr<Experiment> experiment = ReadExperiment(JoinPath(folder, name));
    ASSERT_THAT(experiment, IsOk()) << name;
    std::set<uint64_t> seeds;
    for (const ExperimentRun& run : experiment->runs) seeds.insert(run.seed);
    EXPECT_GE(seeds.size(), name == "tiny.yaml" ? 2u : 3u) << name;
    EXPECT_FALSE(experiment->comparisons.empty()) << name;
  }
}

}  // namespace
}  // namespace distill::client
