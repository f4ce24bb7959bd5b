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

TEST(ReportMarkdownTest, TextOfPeopleCannotBreakThePage) {
  v1::Report report;
  report.mutable_job()->mutable_spec()->set_display_name("a|b\n# c <script>");
  const std::string page = RenderMarkdown(report);
  EXPECT_THAT(page, AllOf(HasSubstr("a\\|b # c \\<script>"), Not(HasSubstr("\n# c"))));
}

}  // namespace
}  // namespace distill::server
