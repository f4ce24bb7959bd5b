// The graph of a job, and which keys a change of the spec leaves alone.
#include "server/planner/planner.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::map<std::string, PlannedTask> ByName(const JobPlan& plan) {
  std::map<std::string, PlannedTask> tasks;
  for (const PlannedTask& task : plan.tasks) tasks[task.name] = task;
  return tasks;
}

std::map<std::string, PlannedTask> PlanOf(const v1::JobSpec& spec) {
  absl::StatusOr<JobPlan> plan = Plan(CompleteSpec(spec), "job-1");
  EXPECT_THAT(plan, IsOk());
  return plan.ok() ? ByName(*plan) : std::map<std::string, PlannedTask>();
}

std::set<std::string> Names(const std::map<std::string, PlannedTask>& tasks) {
  std::set<std::string> names;
  for (const auto& [name, task] : tasks) names.insert(name);
  return names;
}

// Names of tasks whose keys differ between two plans of equal shape.
std::set<std::string> Changed(const v1::JobSpec& a, const v1::JobSpec& b) {
  const auto before = PlanOf(a);
  std::set<std::string> changed;
  for (const auto& [name, task] : PlanOf(b)) {
    if (before.at(name).key != task.key) changed.insert(name);
  }
  return changed;
}

v1::JobSpec FullSpec() {
  v1::JobSpec spec = MinimalSpec();
  spec.set_modules(2);
  spec.add_baselines(v1::BASELINE_KIND_EQUAL_COMPUTE);
  spec.add_baselines(v1::BASELINE_KIND_FINETUNE_IMAGES);
  spec.add_baselines(v1::BASELINE_KIND_ALL_IMAGES);
  return spec;
}

TEST(PlannerTest, PlansEveryPhase) {
  EXPECT_THAT(
      Names(PlanOf(FullSpec())),
      ElementsAre("assemble-student", "assemble-teacher", "baseline-b1", "baseline-b2",
                  "baseline-b3", "distill-module-0", "distill-module-1", "evaluate-baseline-b1",
                  "evaluate-baseline-b2", "evaluate-baseline-b3", "evaluate-meta",
                  "evaluate-student", "evaluate-student-distilled", "evaluate-student-hybrid-0",
                  "evaluate-student-hybrid-1", "evaluate-teacher", "evaluate-teacher-hybrid-0",
                  "evaluate-teacher-hybrid-1", "finetune-student", "finetune-teacher",
                  "incubate-teacher-0", "incubate-teacher-1", "pretrain-meta", "split-teacher"));
}

TEST(PlannerTest, ProducersComeBeforeConsumersAndHaveTheOutput) {
  const absl::StatusOr<JobPlan> plan = Plan(CompleteSpec(FullSpec()), "job-1");
  ASSERT_THAT(plan, IsOk());
  std::map<std::string, v1::TaskSpec> seen;
  for (const PlannedTask& task : plan->tasks) {
    std::set<std::string> producers;
    for (const v1::TaskInput& input : task.spec.inputs()) {
      ASSERT_TRUE(input.has_produced());
      const auto producer = seen.find(input.produced().task());
      ASSERT_NE(producer, seen.end()) << task.name;
      const auto& outputs = producer->second.outputs();
      EXPECT_NE(std::find(outputs.begin(), outputs.end(), input.produced().output()),
                outputs.end());
      producers.insert(input.produced().task());
    }
    EXPECT_EQ(producers, std::set<std::string>(task.depends_on.begin(), task.depends_on.end()));
    seen[task.name] = task.spec;
  }
}

TEST(PlannerTest, InputsHaveTheNamesThatTheProtocolStates) {
  const auto tasks = PlanOf(FullSpec());
  const auto input_names = [&](const std::string& task) {
    std::vector<std::string> names;
    for (const v1::TaskInput& input : tasks.at(task).spec.inputs()) names.push_back(input.name());
    return names;
  };
  EXPECT_THAT(input_names("pretrain-meta"), IsEmpty());
  EXPECT_THAT(input_names("incubate-teacher-1"), ElementsAre("meta"));
  EXPECT_THAT(input_names("assemble-teacher"), ElementsAre("stage.0", "stage.1"));
  EXPECT_THAT(input_names("split-teacher"), ElementsAre("model"));
  EXPECT_THAT(tasks.at("split-teacher").spec.outputs(), ElementsAre("stage.0", "stage.1"));
  EXPECT_THAT(input_names("distill-module-1"), ElementsAre("meta", "teacher_stage"));
  EXPECT_THAT(input_names("assemble-student"), ElementsAre("module.0", "module.1"));
  EXPECT_THAT(input_names("evaluate-teacher-hybrid-0"), ElementsAre("meta", "teacher_stage"));
  EXPECT_THAT(input_names("evaluate-student-hybrid-0"), ElementsAre("meta", "module"));
  EXPECT_THAT(input_names("evaluate-student"), ElementsAre("model"));
}

TEST(PlannerTest, OnlyTheFieldsThatAKindNeedsAreSet) {
  const auto tasks = PlanOf(FullSpec());
  const v1::TaskSpec& meta = tasks.at("pretrain-meta").spec;
  EXPECT_TRUE(meta.has_meta() && meta.has_recipe());
  EXPECT_FALSE(meta.has_teacher() || meta.has_student() || meta.has_distillation() ||
               meta.has_evaluation());
  const v1::TaskSpec& distill = tasks.at("distill-module-1").spec;
  EXPECT_EQ(distill.module_index(), 1);
  EXPECT_TRUE(distill.has_meta() && distill.has_teacher() && distill.has_student() &&
              distill.has_recipe() && distill.has_distillation());
  const v1::TaskSpec& evaluate = tasks.at("evaluate-student").spec;
  EXPECT_TRUE(evaluate.has_student() && evaluate.has_evaluation());
  EXPECT_FALSE(evaluate.has_meta() || evaluate.has_teacher() || evaluate.has_recipe());
  EXPECT_EQ(evaluate.seed(), 0u);
}

TEST(PlannerTest, BudgetsAreImages) {
  v1::JobSpec spec = FullSpec();
  spec.mutable_dataset()->set_train_images(20000);
  spec.mutable_finetune_student()->set_epochs(1.5);
  spec.mutable_distill_modules()->set_epochs(3);
  const auto tasks = PlanOf(spec);
  EXPECT_EQ(tasks.at("finetune-student").spec.recipe().total_images(), 30000);
  EXPECT_EQ(tasks.at("distill-module-0").spec.recipe().total_images(), 60000);
  EXPECT_EQ(tasks.at("baseline-b1").spec.recipe().total_images(), 30000);
  EXPECT_EQ(tasks.at("baseline-b2").spec.recipe().total_images(), 90000);
  EXPECT_EQ(tasks.at("baseline-b3").spec.recipe().total_images(), 150000);
  EXPECT_EQ(tasks.at("baseline-b2").spec.recipe().epochs(), 4.5);
}

TEST(PlannerTest, EqualBudgetsHaveEqualKeysHoweverTheyAreWritten) {
  v1::JobSpec by_epochs = FullSpec();
  by_epochs.mutable_pretrain_meta()->set_epochs(2);
  v1::JobSpec by_images = FullSpec();
  by_images.mutable_pretrain_meta()->set_total_images(120000);
  EXPECT_THAT(Changed(by_epochs, by_images), IsEmpty());
}

TEST(PlannerTest, DistillationSettingsLeaveMetaAndTeacherAlone) {
  v1::JobSpec other = FullSpec();
  other.mutable_distillation()->set_tau(4.0);
  EXPECT_THAT(
      Changed(FullSpec(), other),
      ElementsAre("assemble-student", "distill-module-0", "distill-module-1", "evaluate-student",
                  "evaluate-student-distilled", "evaluate-student-hybrid-0",
                  "evaluate-student-hybrid-1", "finetune-student"));
}

TEST(PlannerTest, FinetuneSettingsLeaveModulesAlone) {
  v1::JobSpec other = FullSpec();
  other.mutable_finetune_student()->set_learning_rate(5e-4);
  EXPECT_THAT(Changed(FullSpec(), other),
              ElementsAre("baseline-b1", "baseline-b2", "baseline-b3", "evaluate-baseline-b1",
                          "evaluate-baseline-b2", "evaluate-baseline-b3", "evaluate-student",
                          "finetune-student"));
}

// Gradients that are summed in another order have other bits; those of one trainer have not.
TEST(PlannerTest, SizeOfAGangIsPartOfTheKey) {
  v1::JobSpec alone = FullSpec();
  alone.mutable_finetune_student()->set_gang_size(1);
  EXPECT_THAT(Changed(FullSpec(), alone), IsEmpty());
  v1::JobSpec shared = FullSpec();
  shared.mutable_finetune_student()->set_gang_size(2);
  EXPECT_THAT(Changed(FullSpec(), shared),
              testing::IsSupersetOf({"baseline-b1", "finetune-student"}));
}

TEST(PlannerTest, TheSeedChangesEverything) {
  v1::JobSpec other = FullSpec();
  other.set_seed(1);
  EXPECT_EQ(Changed(FullSpec(), other).size(), 24u);
}

TEST(PlannerTest, NamesPathsAndPacingChangeNoKey) {
  v1::JobSpec other = FullSpec();
  other.set_display_name("another");
  other.set_project("elsewhere");
  other.mutable_dataset()->set_path("/mnt/fashion");
  other.mutable_execution()->set_checkpoint_interval_seconds(30);
  other.mutable_execution()->set_max_bundle(1);
  EXPECT_THAT(Changed(FullSpec(), other), IsEmpty());
}

// Modules of a phase must draw the same batches, or a bundle could not share them.
TEST(PlannerTest, PhasesHaveSeedsOfTheirOwnAndModulesShareTheirPhasesSeed) {
  const auto tasks = PlanOf(FullSpec());
  const auto seed = [&tasks](const char* name) { return tasks.at(name).spec.seed(); };
  const std::set<uint64_t> phases = {seed("pretrain-meta"), seed("incubate-teacher-0"),
                                     seed("distill-module-0"), seed("finetune-student")};
  EXPECT_EQ(phases.size(), 4u);
  EXPECT_EQ(seed("incubate-teacher-0"), seed("incubate-teacher-1"));
  EXPECT_EQ(seed("distill-module-0"), seed("distill-module-1"));
}

TEST(PlannerTest, TasksOfOneJobHaveDistinctKeys) {
  std::set<Digest> keys;
  const auto tasks = PlanOf(FullSpec());
  for (const auto& [name, task] : tasks) keys.insert(task.key);
  EXPECT_EQ(keys.size(), tasks.size());
}

TEST(PlannerTest, ClassAnySharesNothingBetweenJobs) {
  v1::JobSpec spec = FullSpec();
  spec.mutable_execution()->set_numeric_class("any");
  const absl::StatusOr<JobPlan> first = Plan(CompleteSpec(spec), "job-1");
  const absl::StatusOr<JobPlan> second = Plan(CompleteSpec(spec), "job-2");
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  const auto one = ByName(*first);
  const auto two = ByName(*second);
  for (const auto& [name, task] : one) EXPECT_NE(task.key, two.at(name).key) << name;
}

TEST(PlannerTest, GivenMetaReplacesPretraining) {
  v1::JobSpec spec = FullSpec();
  const std::string digest = "sha256:" + std::string(64, 'd');
  spec.mutable_given()->set_meta(digest);
  const auto tasks = PlanOf(spec);
  EXPECT_EQ(tasks.count("pretrain-meta"), 0u);
  EXPECT_EQ(tasks.at("distill-module-0").spec.inputs(0).given_digest(), digest);
  EXPECT_THAT(tasks.at("evaluate-meta").depends_on, IsEmpty());
}

TEST(PlannerTest, GivenTeacherIsSplit) {
  v1::JobSpec spec = FullSpec();
  spec.mutable_given()->set_teacher("sha256:" + std::string(64, 'd'));
  const auto tasks = PlanOf(spec);
  for (const char* name : {"incubate-teacher-0", "assemble-teacher", "finetune-teacher"}) {
    EXPECT_EQ(tasks.count(name), 0u) << name;
  }
  EXPECT_THAT(tasks.at("split-teacher").depends_on, IsEmpty());
  EXPECT_THAT(tasks.at("distill-module-1").depends_on,
              ElementsAre("pretrain-meta", "split-teacher"));
}

TEST(PlannerTest, GivenStagesAreNeitherTrainedNorSplit) {
  v1::JobSpec spec = FullSpec();
  for (int i = 0; i < 2; ++i) {
    spec.mutable_given()->add_teacher_stages("sha256:" + std::string(64, i == 0 ? 'd' : 'e'));
  }
  const auto tasks = PlanOf(spec);
  EXPECT_EQ(tasks.count("split-teacher"), 0u);
  EXPECT_EQ(tasks.count("finetune-teacher"), 0u);
  EXPECT_EQ(tasks.at("distill-module-1").spec.inputs(1).given_digest(),
            "sha256:" + std::string(64, 'e'));
  EXPECT_THAT(tasks.at("evaluate-teacher").depends_on, ElementsAre("assemble-teacher"));
}

// Otherwise a job of thousands of modules would carry the square of that.
TEST(PlannerTest, TasksOfModulesDoNotListAllModules) {
  v1::JobSpec spec = MinimalSpec();
  spec.set_modules(4);
  spec.mutable_student()->mutable_vmoe()->set_moe_placement("all");
  const auto even = PlanOf(spec);
  const v1::TaskSpec& module = even.at("distill-module-2").spec;
  EXPECT_TRUE(module.meta().stage_depths().empty());
  EXPECT_TRUE(module.teacher().stage_depths().empty());
  EXPECT_TRUE(module.student().vmoe().backbone().stage_depths().empty());
  EXPECT_THAT(module.student().vmoe().moe_blocks(), ElementsAre(2));
  EXPECT_EQ(even.at("finetune-student").spec.student().vmoe().moe_blocks_size(), 4);

  for (const int depth : {1, 2, 1, 1}) spec.mutable_teacher()->add_stage_depths(depth);
  EXPECT_THAT(PlanOf(spec).at("distill-module-2").spec.teacher().stage_depths(),
              ElementsAre(1, 2, 1, 1));
}

TEST(PlannerTest, BundlesAreGroupedByPhaseUnlessSwitchedOff) {
  v1::JobSpec spec = FullSpec();
  EXPECT_EQ(PlanOf(spec).at("distill-module-0").bundle_group, "distill-module");
  EXPECT_EQ(PlanOf(spec).at("incubate-teacher-1").bundle_group, "incubate-teacher");
  EXPECT_EQ(PlanOf(spec).at("pretrain-meta").bundle_group, "");
  spec.mutable_execution()->set_max_bundle(1);
  EXPECT_EQ(PlanOf(spec).at("distill-module-0").bundle_group, "");
}

TEST(PlannerTest, RefusesToPlanWithoutADataSet) {
  v1::JobSpec spec = ResolveDefaults(MinimalSpec());
  spec.mutable_execution()->set_numeric_class("cpu-x86-avx2");
  EXPECT_THAT(Plan(spec, "job-1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dataset")));
}

TEST(PlannerTest, PhasesHaveReadableNames) {
  v1::TaskSpec spec;
  spec.set_kind(v1::TASK_KIND_DISTILL_MODULE);
  EXPECT_EQ(PhaseLabel(spec), "distill module");
}

}  // namespace
}  // namespace distill::server
