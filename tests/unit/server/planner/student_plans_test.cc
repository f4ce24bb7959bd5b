// Plans of NAC students, few-shot episodes, quality gates and given parts; and of which settings a
// module's key is independent.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/planner.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Tasks = std::map<std::string, PlannedTask>;

Tasks PlanOf(const v1::JobSpec& spec) {
  const absl::StatusOr<JobPlan> plan = Plan(CompleteSpec(spec), "job-1");
  EXPECT_THAT(plan, IsOk());
  Tasks tasks;
  if (!plan.ok()) return tasks;
  for (const PlannedTask& task : plan->tasks) {
    for (const std::string& producer : task.depends_on) {
      EXPECT_EQ(tasks.count(producer), 1u) << producer << " comes after " << task.name;
    }
    tasks[task.name] = task;
  }
  return tasks;
}

std::vector<std::string> InputsOf(const PlannedTask& task) {
  std::vector<std::string> names;
  for (const v1::TaskInput& input : task.spec.inputs()) names.push_back(input.name());
  return names;
}

v1::JobSpec NacSpec() {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_student()->mutable_nac()->set_tokenizer_stem(2);
  spec.add_baselines(v1::BASELINE_KIND_FINETUNE_IMAGES);
  spec.add_baselines(v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION);
  return spec;
}

std::set<std::string> Changed(const v1::JobSpec& a, const v1::JobSpec& b) {
  const Tasks before = PlanOf(a);
  std::set<std::string> changed;
  for (const auto& [name, task] : PlanOf(b)) {
    if (before.at(name).key != task.key) changed.insert(name);
  }
  return changed;
}

TEST(NacPlanTest, SignaturesFeedAssemblyAndBaselines) {
  const Tasks tasks = PlanOf(NacSpec());
  EXPECT_THAT(tasks.at("fit-prior").spec.outputs(),
              ElementsAre("signatures", "connectivity", "affinity"));
  EXPECT_THAT(InputsOf(tasks.at("assemble-student")),
              ElementsAre("module.0", "module.1", "module.2", "module.3", "signatures"));
  EXPECT_THAT(InputsOf(tasks.at("baseline-b1")), ElementsAre("signatures"));
  EXPECT_THAT(InputsOf(tasks.at("baseline-b4")), ElementsAre("signatures", "teacher"));
  EXPECT_TRUE(tasks.at("baseline-b4").spec.has_teacher());
  EXPECT_TRUE(tasks.at("baseline-b4").spec.has_distillation());
  EXPECT_FALSE(tasks.at("baseline-b1").spec.has_teacher());
}

TEST(NacPlanTest, ModulesAreDistilledOnceForAllPriors) {
  for (const v1::GraphPriorKind kind :
       {v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION, v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES,
        v1::GRAPH_PRIOR_KIND_ERDOS_RENYI, v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ}) {
    v1::JobSpec other = NacSpec();
    other.mutable_student()->mutable_nac()->mutable_prior()->set_kind(kind);
    EXPECT_THAT(Changed(NacSpec(), other),
                ElementsAre("assemble-student", "baseline-b1", "baseline-b4",
                            "evaluate-baseline-b1", "evaluate-baseline-b4", "evaluate-student",
                            "evaluate-student-distilled", "finetune-student", "fit-prior"));
  }
}

// What each setting of a NAC must leave alone.
TEST(NacPlanTest, ModuleKeysDependOnWhatAModuleIs) {
  using Change = std::function<void(v1::NacSpec&)>;
  const std::vector<Change> elsewhere = {
      [](v1::NacSpec& nac) { nac.set_signature_dim(32); },
      [](v1::NacSpec& nac) { nac.set_input_latents(8); },
      [](v1::NacSpec& nac) { nac.set_mediator_latents(32); },
      [](v1::NacSpec& nac) { nac.set_output_latents(4); },
      [](v1::NacSpec& nac) { nac.set_code_noise(0); },
      [](v1::NacSpec& nac) { nac.set_truncation(0.5); },
      [](v1::NacSpec& nac) { nac.set_reference_link_sampling(true); },
      [](v1::NacSpec& nac) { nac.set_reference_bandwidth(true); },
      [](v1::NacSpec& nac) { nac.set_stochastic_evaluation(true); },
      [](v1::NacSpec& nac) { nac.set_keep_stitches(true); },
      [](v1::NacSpec& nac) { nac.mutable_prior()->set_fit_steps(10); },
      [](v1::NacSpec& nac) { nac.mutable_regulariser()->set_weight(2); },
      [](v1::NacSpec& nac) { nac.mutable_regulariser()->set_schedule(v1::WEIGHT_SCHEDULE_LINEAR); },
      [](v1::NacSpec& nac) { nac.set_transfer(v1::NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER); },
      [](v1::NacSpec& nac) {
        nac.set_share_layers(true);
        nac.set_shared_layer(v1::NAC_SHARED_LAYER_FIRST);
      },
  };
  for (size_t i = 0; i < elsewhere.size(); ++i) {
    v1::JobSpec other = NacSpec();
    elsewhere[i](*other.mutable_student()->mutable_nac());
    const std::set<std::string> changed = Changed(NacSpec(), other);
    EXPECT_THAT(changed, Not(IsEmpty())) << i;
    EXPECT_THAT(changed, Not(Contains("distill-module-0"))) << i;
    EXPECT_THAT(changed, Not(Contains("distill-module-1"))) << i;
    EXPECT_THAT(changed, Not(Contains("evaluate-student-hybrid-3"))) << i;
  }
  v1::JobSpec tokenizer = NacSpec();
  tokenizer.mutable_student()->mutable_nac()->set_grid_channels(8);
  EXPECT_THAT(Changed(NacSpec(), tokenizer), Contains("distill-module-0"));
  EXPECT_THAT(Changed(NacSpec(), tokenizer), Not(Contains("distill-module-1")));
  v1::JobSpec wider = NacSpec();
  wider.mutable_student()->mutable_nac()->set_state_dim(32);
  EXPECT_THAT(Changed(NacSpec(), wider), Contains("distill-module-3"));
}

// What is averaged must start alike, so mediators of a student with one layer are others.
TEST(NacPlanTest, OneLayerIsMadeOfMediatorsThatStartAlike) {
  v1::JobSpec shared = NacSpec();
  shared.mutable_student()->mutable_nac()->set_share_layers(true);
  const std::set<std::string> changed = Changed(NacSpec(), shared);
  EXPECT_THAT(changed, Contains("distill-module-1"));
  EXPECT_THAT(changed, Contains("distill-module-2"));
  EXPECT_THAT(changed, Not(Contains("distill-module-0")));
  EXPECT_THAT(changed, Not(Contains("distill-module-3")));
  EXPECT_EQ(PlanOf(shared).at("assemble-student").spec.student().nac().shared_layer(),
            v1::NAC_SHARED_LAYER_MEAN);
}

TEST(NacPlanTest, OnlyTheReadInHasALayerScaleOfTheReference) {
  v1::JobSpec other = NacSpec();
  other.mutable_student()->mutable_nac()->set_reference_read_in_scale(true);
  const std::set<std::string> changed = Changed(NacSpec(), other);
  EXPECT_THAT(changed, Contains("distill-module-0"));
  EXPECT_THAT(changed, Not(Contains("distill-module-1")));
  EXPECT_THAT(changed, Not(Contains("baseline-b1")));
}

TEST(NacPlanTest, WeightSchedulesReachTheTasksThatTrainTheWhole) {
  v1::JobSpec spec = NacSpec();
  v1::SignatureRegulariserSpec& regulariser =
      *spec.mutable_student()->mutable_nac()->mutable_regulariser();
  regulariser.set_schedule(v1::WEIGHT_SCHEDULE_LINEAR);
  regulariser.set_final_weight(0.5);
  const Tasks tasks = PlanOf(spec);
  for (const char* const name : {"finetune-student", "baseline-b1"}) {
    const v1::SignatureRegulariserSpec& got = tasks.at(name).spec.student().nac().regulariser();
    EXPECT_EQ(got.schedule(), v1::WEIGHT_SCHEDULE_LINEAR) << name;
    EXPECT_EQ(got.final_weight(), 0.5) << name;
  }
  regulariser.clear_final_weight();
  EXPECT_THAT(Changed(NacSpec(), spec), Contains("finetune-student"));
}

TEST(NacPlanTest, TransferredCodesAreLearnedLikeOthers) {
  v1::JobSpec learned = NacSpec();
  learned.mutable_student()->mutable_nac()->set_codes(v1::NAC_CODES_LEARNED);
  v1::JobSpec transferred = NacSpec();
  transferred.mutable_student()->mutable_nac()->set_codes(v1::NAC_CODES_TRANSFERRED);
  const std::set<std::string> changed = Changed(learned, transferred);
  EXPECT_THAT(changed, Contains("assemble-student"));
  EXPECT_THAT(changed, Not(Contains("distill-module-0")));
  EXPECT_THAT(Changed(NacSpec(), learned), Contains("distill-module-0"));
}

// Neither images nor the job's other settings matter to signatures.
TEST(NacPlanTest, PriorsAreSharedBetweenJobs) {
  v1::JobSpec other = NacSpec();
  other.mutable_dataset()->set_train_images(1000);
  other.mutable_student()->mutable_nac()->set_state_dim(32);
  EXPECT_EQ(PlanOf(NacSpec()).at("fit-prior").key, PlanOf(other).at("fit-prior").key);
  // A setting of another kind of graph.
  other.mutable_student()->mutable_nac()->mutable_prior()->set_communities(4);
  EXPECT_EQ(PlanOf(NacSpec()).at("fit-prior").key, PlanOf(other).at("fit-prior").key);
  other.mutable_student()->mutable_nac()->mutable_prior()->set_seed(7);
  EXPECT_NE(PlanOf(NacSpec()).at("fit-prior").key, PlanOf(other).at("fit-prior").key);
}

TEST(NacPlanTest, EvaluationModeLeavesTrainingAlone) {
  v1::JobSpec other = NacSpec();
  other.mutable_student()->mutable_nac()->set_stochastic_evaluation(true);
  EXPECT_THAT(Changed(NacSpec(), other),
              ElementsAre("evaluate-baseline-b1", "evaluate-baseline-b4", "evaluate-student",
                          "evaluate-student-distilled"));
}

TEST(QualityGatePlanTest, WithoutAGateNothingIsSelected) {
  EXPECT_EQ(PlanOf(MinimalSpec()).count("select-module-0"), 0u);
}

TEST(QualityGatePlanTest, RetriesSeeWhatWentBefore) {
  v1::JobSpec gated = MinimalSpec();
  gated.mutable_quality_gate()->set_candidates(3);
  gated.mutable_quality_gate()->set_largest_accuracy_gap(0.02);
  const Tasks tasks = PlanOf(gated);
  EXPECT_THAT(InputsOf(tasks.at("distill-module-1-candidate-2")),
              ElementsAre("meta", "teacher_stage", "previous_module", "previous_metrics",
                          "teacher_metrics"));
  EXPECT_THAT(tasks.at("distill-module-1-candidate-2").depends_on,
              ElementsAre("pretrain-meta", "split-teacher", "distill-module-1-candidate-1",
                          "evaluate-student-hybrid-1-candidate-1", "evaluate-teacher-hybrid-1"));
  EXPECT_EQ(tasks.at("distill-module-1-candidate-1").bundle_group, "");
  EXPECT_THAT(InputsOf(tasks.at("select-module-1")),
              ElementsAre("candidate.0", "metrics.0", "candidate.1", "metrics.1", "candidate.2",
                          "metrics.2", "teacher_metrics"));
  EXPECT_THAT(tasks.at("select-module-1").spec.outputs(), ElementsAre("module", "verdict"));
  EXPECT_EQ(tasks.at("assemble-student").spec.inputs(1).produced().task(), "select-module-1");
  // What was distilled without a gate is taken up by a job with one.
  EXPECT_EQ(tasks.at("distill-module-1").key, PlanOf(MinimalSpec()).at("distill-module-1").key);
  EXPECT_NE(tasks.at("distill-module-1").spec.seed(),
            tasks.at("distill-module-1-candidate-1").spec.seed());
}

TEST(QualityGatePlanTest, BestOfAllTrainsThemSideBySide) {
  v1::JobSpec gated = MinimalSpec();
  gated.mutable_quality_gate()->set_candidates(2);
  gated.mutable_quality_gate()->set_best_of_all(true);
  const Tasks tasks = PlanOf(gated);
  EXPECT_THAT(InputsOf(tasks.at("distill-module-0-candidate-1")),
              ElementsAre("meta", "teacher_stage"));
  EXPECT_FALSE(tasks.at("distill-module-0-candidate-1").spec.has_quality_gate());
  EXPECT_EQ(tasks.at("distill-module-0-candidate-1").bundle_group, "distill-module-candidate-1");
}

TEST(QualityGatePlanTest, AGapAloneGivesVerdicts) {
  v1::JobSpec gated = MinimalSpec();
  gated.mutable_quality_gate()->set_largest_accuracy_gap(0.1);
  EXPECT_THAT(InputsOf(PlanOf(gated).at("select-module-0")),
              ElementsAre("candidate.0", "metrics.0", "teacher_metrics"));
}

TEST(FewShotPlanTest, EpisodesStartFromTheFinishedStudent) {
  v1::JobSpec spec = MinimalSpec();
  v1::FewShotSpec& episode = *spec.add_few_shot();
  episode.set_name("fashion");
  episode.mutable_dataset()->set_path("/data/fashion");
  const Tasks tasks = PlanOf(spec);
  const v1::TaskSpec& task = tasks.at("few-shot-fashion").spec;
  EXPECT_THAT(tasks.at("few-shot-fashion").depends_on, ElementsAre("finetune-student"));
  EXPECT_THAT(task.outputs(), ElementsAre("model", "metrics"));
  EXPECT_EQ(task.recipe().batch_size(), 40);
  EXPECT_EQ(task.recipe().total_images(), 4000);
  EXPECT_EQ(task.few_shot().test_images(), 15);
  EXPECT_EQ(task.few_shot().dataset().digest(), FashionInfo().digest);
  EXPECT_EQ(task.dataset().digest(), FashionInfo().digest);
}

TEST(GivenPartsPlanTest, GivenModulesNeedNeitherMetaNorTeacher) {
  v1::JobSpec spec = NacSpec();
  spec.clear_baselines();
  for (int i = 0; i < 4; ++i) {
    spec.mutable_given()->add_student_modules("sha256:" + std::string(64, 'd'));
  }
  std::set<std::string> names;
  for (const auto& [name, task] : PlanOf(spec)) names.insert(name);
  EXPECT_THAT(names, ElementsAre("assemble-student", "evaluate-student",
                                 "evaluate-student-distilled", "finetune-student", "fit-prior"));
  spec.add_baselines(v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION);
  EXPECT_EQ(PlanOf(spec).count("finetune-teacher"), 1u);
}

TEST(GivenPartsPlanTest, AGivenStudentIsOnlyMeasured) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_given()->set_student("sha256:" + std::string(64, 'd'));
  std::set<std::string> names;
  for (const auto& [name, task] : PlanOf(spec)) names.insert(name);
  EXPECT_THAT(names, ElementsAre("evaluate-student"));
}

TEST(OutOfDistributionPlanTest, WholeModelsAreMeasuredAndHybridsAreNot) {
  v1::JobSpec spec = MinimalSpec();
  v1::OutOfDistributionSet& set = *spec.mutable_evaluation()->add_out_of_distribution();
  set.set_name("shifted");
  set.mutable_dataset()->set_path("/data/shifted");
  const Tasks tasks = PlanOf(spec);
  const auto& sets = tasks.at("evaluate-teacher").spec.evaluation().out_of_distribution();
  ASSERT_EQ(sets.size(), 1);
  EXPECT_EQ(sets.Get(0).classes_size(), 10);
  EXPECT_EQ(tasks.at("evaluate-student-hybrid-0").spec.evaluation().out_of_distribution_size(), 0);
}

TEST(FewShotPlanTest, EpisodesThatKeepFeaturesShareATrainer) {
  v1::JobSpec spec = NacSpec();
  for (const char* const name : {"one", "five"}) {
    v1::FewShotSpec& episode = *spec.add_few_shot();
    episode.set_name(name);
    episode.mutable_dataset()->set_path("/data/fashion");
  }
  const Tasks tasks = PlanOf(spec);
  const PlannedTask& kept = tasks.at("few-shot-one");
  EXPECT_EQ(kept.bundle_group, "few-shot");
  EXPECT_EQ(tasks.at("few-shot-five").bundle_group, "few-shot");
  EXPECT_FALSE(kept.spec.student().nac().has_code_noise());
  spec.mutable_few_shot(0)->set_features(v1::FEW_SHOT_FEATURES_LIVE);
  const Tasks others = PlanOf(spec);
  const PlannedTask& live = others.at("few-shot-one");
  EXPECT_EQ(live.bundle_group, "");
  EXPECT_TRUE(live.spec.student().nac().has_code_noise());
  EXPECT_NE(live.key, kept.key);
}

TEST(PrecisionPlanTest, HalfPrecisionNeedsCudaInEpisodesToo) {
  v1::JobSpec spec = MinimalSpec();
  v1::FewShotSpec& episode = *spec.add_few_shot();
  episode.set_name("cub");
  episode.mutable_dataset()->set_path("/data/fashion");
  episode.mutable_recipe()->set_precision(v1::PRECISION_FLOAT16);
  EXPECT_THAT(Plan(CompleteSpec(spec), ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("few_shot[0].recipe.precision: got float16, want float32 or "
                                 "bfloat16; loss scaling needs CUDA; "
                                 "execution.numeric_class is cpu-")));
}

TEST(PrecisionPlanTest, HalfPrecisionNeedsCuda) {
  v1::JobSpec spec = MinimalSpec();
  spec.mutable_distill_modules()->set_precision(v1::PRECISION_FLOAT16);
  EXPECT_THAT(Plan(CompleteSpec(spec), ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("distill_modules.precision")));
  spec.mutable_execution()->set_numeric_class("cuda-sm90");
  EXPECT_THAT(Plan(CompleteSpec(spec), ""), IsOk());
}

}  // namespace
}  // namespace distill::server
