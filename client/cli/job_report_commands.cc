// job report, compare, series.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/comparison.h"
#include "client/cli/job_actions.h"
#include "client/cli/series_csv.h"

namespace distill::client {
namespace {

absl::StatusOr<v1::Report> Fetch(Session& session, const std::string& text) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string id, session.ResolveJob(text));
  return client->GetReport(id);
}

absl::StatusOr<ExitCode> PrintReport(Session& session, const std::string& job,
                                     const std::string& directory) {
  DISTILL_ASSIGN_OR_RETURN(const v1::Report report, Fetch(session, job));
  if (!IsTerminal(report.job().state())) {
    session.Note("the job is not finished; this is the report as it stands");
  }
  if (session.json()) {
    session.PrintJson(report);
  } else {
    session.out() << report.markdown();
  }
  if (directory.empty()) return ExitCode::kOk;
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_RETURN_IF_ERROR(SaveReport(*client, report, directory));
  session.Note(absl::StrCat("saved report.json, report.md and series/*.csv in ", directory));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Compare(Session& session, const std::vector<std::string>& jobs) {
  std::vector<v1::Report> reports;
  for (const std::string& job : jobs) {
    DISTILL_ASSIGN_OR_RETURN(v1::Report report, Fetch(session, job));
    reports.push_back(std::move(report));
  }
  const Comparison comparison = CompareReports(reports);
  if (session.json()) {
    session.PrintJson(RenderJson(comparison));
  } else {
    session.out() << RenderMarkdown(comparison);
  }
  return ExitCode::kOk;
}

// One table for all tasks, so that its columns are those of all of them.
absl::StatusOr<ExitCode> PrintCsv(Session& session, Client& client,
                                  const std::vector<v1::Task>& tasks) {
  std::vector<v1::Series> curves;
  std::set<std::string> terms;
  for (const v1::Task& task : tasks) {
    DISTILL_ASSIGN_OR_RETURN(curves.emplace_back(), ReadCurve(client, task));
    terms.merge(TermNames(curves.back()));
  }
  session.out() << SeriesCsvHeader(terms);
  for (size_t i = 0; i < tasks.size(); ++i) {
    session.out() << SeriesCsvRows(tasks[i].id(), curves[i], terms);
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> PrintSeries(Session& session, const std::string& text,
                                     const std::string& only) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  std::vector<v1::Task> tasks;
  if (only.empty()) {
    DISTILL_ASSIGN_OR_RETURN(tasks, client->ListTasks(job));
  } else {
    DISTILL_ASSIGN_OR_RETURN(tasks.emplace_back(), client->GetTask(job, only));
  }
  if (!session.json()) return PrintCsv(session, *client, tasks);
  for (const v1::Task& task : tasks) {
    DISTILL_ASSIGN_OR_RETURN(const v1::Series series, ReadCurve(*client, task));
    if (!only.empty()) {
      session.PrintJson(series);
    } else if (!series.points().empty()) {
      std::string json = ToJson(series, JsonShape::kOneLine);
      json.pop_back();  // The line ends after the outer brace.
      session.PrintJsonLine(absl::StrCat("{\"task\":\"", task.id(), "\",\"series\":", json, "}\n"));
    }
  }
  return ExitCode::kOk;
}

}  // namespace

void AddJobReportCommands(CLI::App& job, Command& chosen) {
  CLI::App* const report = job.add_subcommand(
      "report", "Print a job's report: every model's accuracy, and what each phase cost");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto reported = std::make_shared<std::string>();
  const auto directory = std::make_shared<std::string>();
  report->add_option("job", *reported, "Job id, or latest")->required();
  report->add_option("--save", *directory,
                     "Also write report.json, report.md and series/*.csv into this folder");
  report->footer(
      "Prints Markdown, or JSON with -o json.\n"
      "Example:\n  distill job report latest --save results/\n");
  report->callback([reported, directory, &chosen] {
    chosen = [reported, directory](Session& session) {
      return PrintReport(session, *reported, *directory);
    };
  });

  CLI::App* const compare = job.add_subcommand(
      "compare", "Set jobs side by side; over seeds, the mean difference to the baselines");
  const auto compared = std::make_shared<std::vector<std::string>>();
  compare->add_option("jobs", *compared, "Job ids, or latest")->required()->type_name("JOB");
  compare->footer("Example:\n  distill job compare job-1f2e3d4c job-5a6b7c8d\n");
  compare->callback([compared, &chosen] {
    chosen = [compared](Session& session) { return Compare(session, *compared); };
  });

  CLI::App* const series = job.add_subcommand("series", "Export training curves as CSV");
  const auto of = std::make_shared<std::string>();
  const auto task = std::make_shared<std::string>();
  series->add_option("job", *of, "Job id, or latest")->required();
  series->add_option("--task", *task, "Task id; default: all tasks");
  series->footer("Example:\n  distill job series latest --task pretrain-meta > meta.csv\n");
  series->callback([of, task, &chosen] {
    chosen = [of, task](Session& session) { return PrintSeries(session, *of, *task); };
  });
}

}  // namespace distill::client
