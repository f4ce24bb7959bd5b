#include "server/app/project_gauges.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/prometheus_metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

QuotaView Using(const std::string& project, int slots) {
  QuotaView view;
  view.quota.project = ProjectId(project);
  view.slots_in_use = slots;
  view.running_tasks = slots;
  return view;
}

TEST(ProjectGaugesTest, ProjectsKeepTheirSeriesWhenTheyUseNothing) {
  PrometheusMetrics metrics;
  ProjectGauges gauges(metrics);
  EXPECT_THAT(metrics.Expose(), HasSubstr("distill_project_slots_in_use{project=\"default\"} 0\n"));
  gauges.Set({Using("birds", 3)});
  EXPECT_THAT(metrics.Expose(), HasSubstr("distill_project_slots_in_use{project=\"birds\"} 3\n"));
  gauges.Set({});
  EXPECT_THAT(metrics.Expose(), HasSubstr("distill_project_slots_in_use{project=\"birds\"} 0\n"));
}

TEST(ProjectGaugesTest, LateProjectsShareASeries) {
  PrometheusMetrics metrics;
  ProjectGauges gauges(metrics);
  for (int i = 0; i < 60; ++i) gauges.Set({Using(absl::StrCat("p", i), 1)});
  gauges.Set({Using("p58", 2), Using("p59", 5)});
  EXPECT_THAT(metrics.Expose(), HasSubstr("distill_project_slots_in_use{project=\"other\"} 7\n"));
  EXPECT_THAT(metrics.Expose(), Not(HasSubstr("\"p59\"")));
}

}  // namespace
}  // namespace distill::server
