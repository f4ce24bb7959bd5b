#include "client/jobfile/overrides.h"

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace distill::client {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST(OverridesTest, ReplacesOneField) {
  v1::JobSpec spec;
  spec.mutable_distillation()->set_alpha(0.25);
  EXPECT_THAT(ApplyOverride("--set", "distillation.tau=2", &spec), IsOk());
  EXPECT_THAT(ApplyOverride("--set", "evaluation.severities=[1, 3]", &spec), IsOk());
  EXPECT_THAT(ApplyOverride("--set", "evaluation.severities=[5]", &spec), IsOk());
  EXPECT_THAT(ApplyOverride("--set", "display_name=a=b", &spec), IsOk());
  EXPECT_EQ(spec.distillation().tau(), 2);
  EXPECT_EQ(spec.distillation().alpha(), 0.25);
  EXPECT_THAT(spec.evaluation().severities(), ElementsAre(5));
  EXPECT_EQ(spec.display_name(), "a=b");
}

TEST(OverridesTest, SwitchesTheArchitecture) {
  v1::JobSpec spec;
  spec.mutable_student()->mutable_vmoe()->set_experts(4);
  EXPECT_THAT(ApplyOverride("--set", "student.vit={depth: 4}", &spec), IsOk());
  EXPECT_FALSE(spec.student().has_vmoe());
  EXPECT_EQ(spec.student().vit().depth(), 4);
}

TEST(OverridesTest, ReplacesOneElementOfAList) {
  v1::JobSpec spec;
  spec.mutable_evaluation()->add_severities(1);
  spec.mutable_evaluation()->add_severities(3);
  spec.add_few_shot()->set_name("a");
  spec.add_few_shot()->set_name("b");
  EXPECT_THAT(ApplyOverride("--override", "evaluation.severities[0]=5", &spec), IsOk());
  EXPECT_THAT(ApplyOverride("--override", "few_shot[1].seed=7", &spec), IsOk());
  EXPECT_THAT(spec.evaluation().severities(), ElementsAre(5, 3));
  EXPECT_EQ(spec.few_shot(1).seed(), 7u);
  EXPECT_EQ(spec.few_shot(1).name(), "b");
  EXPECT_FALSE(spec.few_shot(0).has_seed());
}

struct BadOverride {
  const char* assignment;
  const char* complaint;
};

TEST(OverridesTest, RefusesWhatItDoesNotUnderstandAndChangesNothing) {
  const BadOverride cases[] = {
      {"distillation.tua=2",
       "--set distillation.tua=2: unknown key \"tua\" in distillation; did you mean \"tau\"?"},
      {"distilation.tau=2",
       "--set distilation.tau=2: unknown key \"distilation\" in the job; did you mean "
       "\"distillation\"?"},
      {"distillation.tau=warm",
       "--set distillation.tau=warm: distillation.tau: expected a number, got \"warm\""},
      {"tau=2", "--set tau=2: unknown key \"tau\" in the job; did you mean distillation.tau?"},
      {"modules[0]=2", "--set modules[0]=2: modules[0]: modules is no list"},
      {"evaluation.severities[0]=2",
       "--set evaluation.severities[0]=2: evaluation.severities[0]: the list has 0 elements, "
       "counted "
       "from 0"},
      {"few_shot.seed=2",
       "--set few_shot.seed=2: few_shot is a list; say which, as in few_shot[0]"},
      {"evaluation.severities[x]=2",
       "--set evaluation.severities[x]=2: \"severities[x]\": want a name, or name[0]"},
      {"modules=", "--set modules=: modules: has no value; give one or remove the key"},
      {"modules.count=2", "--set modules.count=2: modules holds a value, not keys"},
      {"modules", "--set modules: expected KEY=VALUE, such as distillation.tau=2"},
      {"=4", "--set =4: expected KEY=VALUE, such as distillation.tau=2"},
      {"meta={depth: 4", "--set meta={depth: 4: end of map flow not found"},
  };
  for (const BadOverride& bad : cases) {
    v1::JobSpec spec;
    spec.set_modules(4);
    EXPECT_THAT(ApplyOverride("--set", bad.assignment, &spec),
                StatusIs(absl::StatusCode::kInvalidArgument, bad.complaint));
    EXPECT_EQ(spec.modules(), 4);
    EXPECT_FALSE(spec.has_distillation());
  }
}

TEST(SweepTest, MultipliesSweepsWithTheLastFastest) {
  v1::JobSpec spec;
  spec.set_display_name("demo");
  const auto points = ExpandSweeps(spec, {"seed=1,2", "distillation.tau=1,4"});
  ASSERT_THAT(points, IsOkAndHolds(SizeIs(4)));
  EXPECT_EQ((*points)[0].label, "seed=1 distillation.tau=1");
  EXPECT_EQ((*points)[1].label, "seed=1 distillation.tau=4");
  EXPECT_EQ((*points)[2].spec.seed(), 2u);
  EXPECT_EQ((*points)[3].spec.display_name(), "demo seed=2 distillation.tau=4");
}

TEST(SweepTest, KeepsTheJobWhenNothingIsSwept) {
  v1::JobSpec spec;
  spec.set_display_name("demo");
  const auto points = ExpandSweeps(spec, {});
  ASSERT_THAT(points, IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ((*points)[0].label, "");
  EXPECT_EQ((*points)[0].spec.display_name(), "demo");
}

TEST(SweepTest, LeavesCommasInBracketsAlone) {
  const auto points = ExpandSweeps({}, {"evaluation.severities=[1,2],[5]"});
  ASSERT_THAT(points, IsOkAndHolds(SizeIs(2)));
  EXPECT_THAT((*points)[0].spec.evaluation().severities(), ElementsAre(1, 2));
}

TEST(SweepTest, BoundsTheNumberOfJobs) {
  std::string many = "seed=0";
  for (int i = 1; i < 40; ++i) many += "," + std::to_string(i);
  EXPECT_THAT(ExpandSweeps({}, {many, many}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "--sweep " + many + ": makes more than 1000 jobs; sweep fewer values"));
}

}  // namespace
}  // namespace distill::client
