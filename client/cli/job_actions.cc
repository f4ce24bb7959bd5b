#include "client/cli/job_actions.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/series_csv.h"
#include "client/cli/watch_view.h"

namespace distill::client {
namespace {

WatchView::Mode ModeOf(const Stream& stream, WatchOutput output, bool json) {
  if (output == WatchOutput::kNone || json) return WatchView::Mode::kSilent;
  return stream.is_terminal ? WatchView::Mode::kLive : WatchView::Mode::kPlain;
}

}  // namespace

absl::StatusOr<ExitCode> WatchToEnd(Session& session, Client& client, const std::string& job,
                                    WatchOutput output) {
  const Environment& environment = session.environment();
  const Stream& stream = output == WatchOutput::kData ? environment.data : environment.notes;
  const bool json = output == WatchOutput::kData && session.json();
  const bool quiet = output == WatchOutput::kNotes && session.options().quiet;
  WatchView view(ModeOf(stream, quiet ? WatchOutput::kNone : output, json), session.color(stream),
                 environment.clock, stream.out, environment.terminal_size);
  const absl::StatusOr<v1::Job> finished =
      client.WatchJob(job, /*after_revision=*/0,
                      output == WatchOutput::kNone ? WatchProgress::kNo : WatchProgress::kYes,
                      [&](const v1::JobEvent& event) {
                        view.OnEvent(event);
                        if (json) session.PrintJsonLine(event);
                      });
  view.Close();
  if (environment.interrupt->requested()) {
    session.Note(absl::StrCat("detached; the job goes on. Re-attach with: distill job watch ", job,
                              " --server ", client.server()));
    return ExitCode::kInterrupted;
  }
  if (!finished.ok()) return finished.status();
  return ExitCodeOf(finished->state());
}

absl::StatusOr<v1::Series> ReadCurve(Client& client, const v1::Task& task) {
  absl::StatusOr<v1::Series> series = client.ReadSeries(task.job(), task.id());
  if (absl::IsNotFound(series.status())) series = v1::Series();
  if (!series.ok() || !series->points().empty() || task.reused_from().empty()) return series;
  // "projects/{project}/jobs/{job}/tasks/{id}"
  const std::vector<std::string> parts = absl::StrSplit(task.reused_from(), '/');
  if (parts.size() != 6) return series;
  absl::StatusOr<v1::Series> original = client.ReadSeries(parts[3], parts[5]);
  // The job that ran it may be gone by now.
  if (absl::IsNotFound(original.status())) return series;
  return original;
}

absl::Status SaveReport(Client& client, const v1::Report& report, const std::string& directory) {
  const std::string series_directory = JoinPath(directory, "series");
  DISTILL_RETURN_IF_ERROR(CreateDirectories(series_directory));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "report.json"),
                                              ToJson(report, JsonShape::kIndented)));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "report.md"), report.markdown()));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client.ListTasks(report.job().id()));
  for (const v1::Task& task : tasks) {
    DISTILL_ASSIGN_OR_RETURN(const v1::Series series, ReadCurve(client, task));
    if (series.points().empty()) continue;
    const std::set<std::string> terms = TermNames(series);
    DISTILL_RETURN_IF_ERROR(
        WriteFileAtomically(JoinPath(series_directory, absl::StrCat(task.id(), ".csv")),
                            SeriesCsvHeader(terms) + SeriesCsvRows(task.id(), series, terms)));
  }
  return absl::OkStatus();
}

}  // namespace distill::client
