#include "client/cli/job_actions.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/series_csv.h"
#include "client/cli/watch_view.h"

namespace distill::client {
namespace {

WatchView::Mode ModeOf(const Session& session, const Stream& stream, WatchOutput output,
                       bool json) {
  if (output == WatchOutput::kNone || json) return WatchView::Mode::kSilent;
  (void)session;
  return stream.is_terminal ? WatchView::Mode::kLive : WatchView::Mode::kPlain;
}

}  // namespace

absl::StatusOr<ExitCode> WatchToEnd(Session& session, Client& client, const std::string& job,
                                    WatchOutput output) {
  const Environment& environment = session.environment();
  const Stream& stream = output == WatchOutput::kData ? environment.data : environment.notes;
  const bool json = output == WatchOutput::kData && session.json();
  const bool quiet = output == WatchOutput::kNotes && session.options().quiet;
  WatchView view(ModeOf(session, stream, quiet ? WatchOutput::kNone : output, json),
                 session.color(stream), environment.clock, stream.out, environment.terminal_size);
  const absl::StatusOr<v1::Job> finished =
      client.WatchJob(job, /*after_revision=*/0,
                      output == WatchOutput::kNone ? WatchProgress::kNo : WatchProgress::kYes,
                      [&](const v1::JobEvent& event) {
                        view.OnEvent(event);
                        if (json) *stream.out << ToJson(event, JsonShape::kOneLine) << std::flush;
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

absl::Status SaveReport(Client& client, const v1::Report& report, const std::string& directory) {
  const std::string series_directory = JoinPath(directory, "series");
  DISTILL_RETURN_IF_ERROR(CreateDirectories(series_directory));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "report.json"),
                                              ToJson(report, JsonShape::kIndented)));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(directory, "report.md"), report.markdown()));
  const std::string& job = report.job().id();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client.ListTasks(job));
  for (const v1::Task& task : tasks) {
    const absl::StatusOr<v1::Series> series = client.ReadSeries(job, task.id());
    // Tasks that train nothing have none.
    if (absl::IsNotFound(series.status())) continue;
    if (!series.ok()) return series.status();
    if (series->points().empty()) continue;
    DISTILL_RETURN_IF_ERROR(
        WriteFileAtomically(JoinPath(series_directory, absl::StrCat(task.id(), ".csv")),
                            SeriesCsvHeader() + SeriesCsvRows(task.id(), *series)));
  }
  return absl::OkStatus();
}

}  // namespace distill::client
