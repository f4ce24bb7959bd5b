#include "client/cli/plan_view.h"

#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/output.h"

namespace distill::client {
namespace {

// "sha256:" and enough digits to tell the keys of a job apart.
constexpr size_t kShortKey = 7 + 12;
constexpr int kMostProducers = 2;

std::string Execution(const v1::PlannedTask& task) {
  switch (task.execution()) {
    case v1::PLANNED_EXECUTION_REUSES:
      return absl::StrCat("reuses ", task.equal_task());
    case v1::PLANNED_EXECUTION_JOINS:
      return absl::StrCat("joins ", task.equal_task());
    default:
      return "runs";
  }
}

std::string After(const v1::PlannedTask& task) {
  if (task.depends_on().empty()) return "-";
  std::vector<std::string> names;
  for (const std::string& name : task.depends_on()) {
    if (names.size() < kMostProducers) names.push_back(name);
  }
  const int more = task.depends_on_size() - static_cast<int>(names.size());
  return absl::StrCat(absl::StrJoin(names, ","), more > 0 ? absl::StrCat(",+", more) : "");
}

std::string Seconds(const v1::PlannedTask& task) {
  if (!task.has_predicted_seconds()) return "?";
  const std::string text = FormatSeconds(task.predicted_seconds());
  return task.execution() == v1::PLANNED_EXECUTION_RUNS ? text : absl::StrCat("saves ", text);
}

std::string Sums(const v1::JobPlan& plan) {
  int runs = 0;
  for (const v1::PlannedTask& task : plan.tasks()) {
    if (task.execution() == v1::PLANNED_EXECUTION_RUNS) ++runs;
  }
  std::string text =
      absl::StrCat("\n", plan.tasks_size(), " tasks: ", runs, " run, ", plan.tasks_size() - runs,
                   " take the result of an equal task; numeric class ",
                   plan.job().spec().execution().numeric_class(), "\n");
  absl::StrAppend(&text, "memory  at most ", FormatBytes(plan.largest_memory_bytes()),
                  " for one task\n");
  const bool unknown = plan.unpredicted_tasks() == runs && runs > 0;
  if (unknown) {
    absl::StrAppend(&text, "cost    unknown: no task of these kinds has run here of late\n");
    return text;
  }
  absl::StrAppend(&text, "cost    about ", FormatSeconds(plan.predicted_seconds()),
                  " of one slot; with slots enough, ", FormatSeconds(plan.critical_path_seconds()),
                  "\n");
  if (plan.unpredicted_tasks() > 0) {
    absl::StrAppend(&text, "        and more for ", plan.unpredicted_tasks(),
                    " tasks of kinds that have not run here of late (?)\n");
  }
  if (plan.saved_seconds() > 0) {
    absl::StrAppend(&text, "saved   about ", FormatSeconds(plan.saved_seconds()),
                    " of one slot by reuse\n");
  }
  return text;
}

}  // namespace

std::string RenderPlan(const v1::JobPlan& plan, KeyLength keys) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::PlannedTask& task : plan.tasks()) {
    rows.push_back(
        {task.id(), task.key().substr(0, keys == KeyLength::kFull ? std::string::npos : kShortKey),
         FormatBytes(task.predicted_memory_bytes()), Seconds(task),
         task.training_images() > 0 ? FormatCount(static_cast<double>(task.training_images()))
                                    : "-",
         Execution(task), After(task)});
  }
  std::ostringstream text;
  PrintTable({"TASK", "KEY", "MEMORY", "TIME", "IMAGES", "DOES", "AFTER"}, rows, text);
  return absl::StrCat(text.str(), Sums(plan));
}

}  // namespace distill::client
