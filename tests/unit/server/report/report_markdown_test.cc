// What people read: grouping, percentages, comparisons, and text that cannot break out of a table.
#include "server/report/report_markdown.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

void AddModel(const std::string& label, double accuracy, double corrupted, v1::Report& report) {
  v1::Report::Model& model = *report.add_models();
  model.set_label(label);
  model.set_state("SUCCEEDED");
  model.set_task("evaluate-x");
  model.mutable_result()->set_accuracy(accuracy);
  model.mutable_result()->set_corruption_accuracy_mean(corrupted);
  model.mutable_result()->set_parameters(1'234'567);
  for (int severity = 1; severity <= 2; ++severity) {
    auto& corruption = *model.mutable_result()->add_corruptions();
    corruption.set_name("contrast");
    corruption.set_severity(severity);
    corruption.set_accuracy(severity == 1 ? 0.6 : 0.4);
  }
}

TEST(ReportMarkdownTest, ShowsModelsAndWhatTheMethodGains) {
  v1::Report report;
  AddModel("student", 0.8312, 0.7, report);
  AddModel("baseline B1", 0.82, 0.71, report);
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| student | 1,234,567 | 83.12 % | 70.00 % | 50.00 % |"),
                    HasSubstr("| student minus baseline B1 | +1.12 | -1.00 |")));
}

TEST(ReportMarkdownTest, ShowsTheStateOfWhatIsMissing) {
  v1::Report report;
  v1::Report::Model& model = *report.add_models();
  model.set_label("teacher");
  model.set_state("QUEUED");
  EXPECT_THAT(RenderMarkdown(report), HasSubstr("| teacher | (queued) |"));
}

TEST(ReportMarkdownTest, SetsTeacherPreparationBesideTheRest) {
  v1::Report report;
  for (const char* label : {"pretrain meta", "incubate teacher", "distill module"}) {
    v1::Report::Phase& phase = *report.add_phases();
    phase.set_label(label);
    phase.set_tasks(2);
    phase.set_cpu_seconds(10);
    phase.set_images_seen(1000);
  }
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| **teacher preparation** | 4 | 0 | 2,000 | - | 20.0 |"),
                    HasSubstr("| **the rest** | 2 | 0 | 1,000 | - | 10.0 |")));
}

TEST(ReportMarkdownTest, ShowsTheFittedPrior) {
  v1::Report report;
  report.mutable_prior()->set_kind("scale free");
  report.mutable_prior()->set_affinity_digest("sha256:ab");
  v1::PriorConnectivity& fitted = *report.mutable_prior()->mutable_connectivity();
  fitted.set_nodes(4);
  fitted.set_edges(3);
  fitted.set_density(0.5);
  fitted.set_edges_kept(1.0);
  fitted.set_non_edges_within_truncation(0.2034);
  fitted.set_links(0.6);
  for (const int count : {0, 3, 0, 1}) fitted.add_graph_degrees(count);
  for (const int count : {0, 2, 2}) fitted.add_link_degrees(count);
  EXPECT_THAT(
      RenderMarkdown(report),
      AllOf(HasSubstr("## Graph prior: scale free"), HasSubstr("| edges of the graph | 50.00 % |"),
            HasSubstr("| links | 60.00 % |"), HasSubstr("| edges that are links | 100.00 % |"),
            HasSubstr("| other pairs that are links | 20.34 % |"), HasSubstr("| 3 | 1 | 0 |"),
            HasSubstr("from black, alike, to white, no link): `sha256:ab`"),
            HasSubstr("`distill artifact get DIGEST --file PATH`")));
  fitted.set_density(1.0);
  EXPECT_THAT(RenderMarkdown(report), HasSubstr("| other pairs that are links | - |"));
}

TEST(ReportMarkdownTest, ShowsExpertLoadsOfTheStudent) {
  v1::Report report;
  AddModel("student", 0.8, 0.7, report);
  v1::EvaluationResult& result = *report.mutable_models(0)->mutable_result();
  result.set_experts(2);
  for (const double load : {0.25, 0.75, 0.5, 0.5}) result.add_expert_load(load);
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| 0 | 25.00 % | 75.00 % | 0.250 0.750 |"),
                    HasSubstr("even would be 50.00 %"), Not(HasSubstr("ropped"))));
}

TEST(ReportMarkdownTest, NamesTheBlocksOfMixturesAndWhatTheyDropped) {
  v1::Report report;
  AddModel("student", 0.8, 0.7, report);
  v1::EvaluationResult& result = *report.mutable_models(0)->mutable_result();
  result.set_images(10'000);
  result.set_experts(2);
  for (const double load : {0.25, 0.75, 0.5, 0.5}) result.add_expert_load(load);
  for (const double dropped : {0.125, 0.0}) result.add_expert_dropped(dropped);
  v1::VmoeSpec& vmoe = *report.mutable_job()->mutable_spec()->mutable_student()->mutable_vmoe();
  for (const int block : {1, 3}) vmoe.add_moe_blocks(block);
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| 1 | 25.00 % | 75.00 % | 12.50 % | 0.250 0.750 |"),
                    HasSubstr("| 3 | 50.00 % | 50.00 % | 0.00 % | 0.500 0.500 |"),
                    HasSubstr("assignments that found their expert full"),
                    HasSubstr("Top-1 accuracy on 10,000 test images; ")));
}

TEST(ReportMarkdownTest, ListsNoSharesOfVeryManyExperts) {
  v1::Report report;
  AddModel("student", 0.8, 0.7, report);
  v1::EvaluationResult& result = *report.mutable_models(0)->mutable_result();
  result.set_experts(64);
  for (int expert = 0; expert < 64; ++expert) result.add_expert_load(1.0 / 64);
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| 0 | 1.56 % | 1.56 % |\n"), HasSubstr("is in report.json")));
}

TEST(ReportMarkdownTest, LeavesOutCandidatesThatWereNotNeeded) {
  v1::Report report;
  for (const char* label : {"student hybrid 2", "student hybrid 2 candidate 1"}) {
    AddModel(label, 0.8, 0.7, report);
  }
  v1::ModuleVerdict& verdict = *report.add_verdicts();
  verdict.set_module_index(2);
  verdict.set_accepted(true);
  verdict.set_largest_accuracy_gap(0.02);
  verdict.add_candidates()->set_accuracy(0.8);
  verdict.add_candidates()->set_handed_on(true);
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| student hybrid 2 |"), Not(HasSubstr("hybrid 2 candidate 1")),
                    HasSubstr("80.00 %, not needed"), HasSubstr("by at most 2.00 points")));
}

TEST(ReportMarkdownTest, NamesARegisteredDataSet) {
  v1::Report report;
  v1::DatasetSpec& dataset = *report.mutable_job()->mutable_spec()->mutable_dataset();
  dataset.set_path("/data/imagenet");
  dataset.set_digest("sha256:ab");
  EXPECT_THAT(RenderMarkdown(report), HasSubstr("Data set `/data/imagenet` (`sha256:ab`)."));
  dataset.set_name("imagenet");
  EXPECT_THAT(RenderMarkdown(report), HasSubstr("Data set **imagenet**, `/data/imagenet` "));
}

TEST(ReportMarkdownTest, ShowsVerdictsEpisodesAndOtherSets) {
  v1::Report report;
  AddModel("teacher", 0.9, 0.8, report);
  auto& set = *report.mutable_models(0)->mutable_result()->add_out_of_distribution();
  set.set_name("imagenet-r");
  set.set_accuracy(0.4);
  set.set_images(30'000);
  set.set_classes(200);
  v1::ModuleVerdict& verdict = *report.add_verdicts();
  verdict.set_module_index(2);
  verdict.set_teacher_accuracy(0.9);
  verdict.add_candidates()->set_accuracy(0.7);
  verdict.add_candidates()->set_accuracy(0.85);
  verdict.set_chosen(1);
  v1::Report::FewShot& episode = *report.add_few_shot();
  episode.set_name("cub");
  episode.set_ways(8);
  episode.set_shots(5);
  episode.set_accuracy(0.625);
  episode.set_images(120);
  v1::FewShotSpec& few_shot = *report.mutable_job()->mutable_spec()->add_few_shot();
  few_shot.set_name("cub");
  few_shot.mutable_dataset()->set_path("/data/cub");
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("| teacher | imagenet-r | 40.00 % | 30,000 | 200 |"),
                    HasSubstr("| 2 | 90.00 % | 70.00 %, 85.00 % | 1 | **not passed** |"),
                    HasSubstr("| cub | /data/cub | 8 | 5 | 62.50 % | 12.50 % | 120 |")));
}

TEST(ReportMarkdownTest, SaysWhatWasAddedToTheLoss) {
  v1::Report report;
  v1::Report::TrainingEnd& end = *report.add_training_ends();
  end.set_task("finetune-student");
  end.mutable_point()->set_loss(1.5);
  EXPECT_THAT(RenderMarkdown(report), Not(HasSubstr("Other terms of the loss")));
  v1::Series::Term& term = *end.mutable_point()->add_terms();
  term.set_name("signature_regulariser");
  term.set_value(-12.5);
  term.set_weight(0.1);
  EXPECT_THAT(
      RenderMarkdown(report),
      HasSubstr("| finetune-student | signature regulariser | -12.5 | 0.1 | -1.25 | 1.5 |"));
}

TEST(ReportMarkdownTest, SaysWhatReuseSavedAndHowMuchMemoryWasNeeded) {
  v1::Report report;
  for (const char* label : {"distill module", "fit prior"}) {
    v1::Report::Phase& phase = *report.add_phases();
    phase.set_label(label);
    phase.set_tasks(4);
    phase.set_tasks_reused(4);
    phase.set_saved_wall_seconds(30.25);
    phase.set_saved_cpu_seconds(20);
    phase.set_peak_memory_bytes(400 << 20);
    phase.set_predicted_memory_bytes(500 << 20);
  }
  EXPECT_THAT(RenderMarkdown(report),
              AllOf(HasSubstr("Reused results saved **60.5 seconds** of running tasks (40.0 CPU"),
                    HasSubstr("| distill module | 4 | 30.2 | 20.0 |"),
                    HasSubstr("| fit prior | 400 MiB | 500 MiB | 1.25 |")));
}

TEST(ReportMarkdownTest, TextOfPeopleCannotBreakThePage) {
  v1::Report report;
  report.mutable_job()->mutable_spec()->set_display_name("a|b\n# c <script>");
  const std::string page = RenderMarkdown(report);
  EXPECT_THAT(page, AllOf(HasSubstr("a\\|b # c \\<script>"), Not(HasSubstr("\n# c"))));
}

}  // namespace
}  // namespace distill::server
