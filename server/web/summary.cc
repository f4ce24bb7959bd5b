#include "server/web/summary.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace distill::server {
namespace {

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Row(const std::vector<std::string>& cells, absl::string_view tag = "td") {
  std::string row = "<tr>";
  for (const std::string& cell : cells) {
    absl::StrAppend(&row, "<", tag, ">", Escaped(cell), "</", tag, ">");
  }
  return absl::StrCat(row, "</tr>\n");
}

// "JOB_STATE_RUNNING" becomes "running".
std::string Word(const std::string& name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

}  // namespace

std::string SummaryOf(const v1::ListJobsResponse& jobs, const v1::ListWorkersResponse& workers) {
  std::string html =
      absl::StrCat("<h2>Jobs</h2>\n<table>\n",
                   Row({"job", "name", "project", "state", "tasks", "created"}, "th"));
  for (const v1::Job& job : jobs.jobs()) {
    absl::StrAppend(&html, Row({job.id(), job.spec().display_name(), job.spec().project(),
                                Word(v1::JobState_Name(job.state()), "JOB_STATE_"),
                                absl::StrCat(job.tasks_succeeded(), " of ", job.tasks_total()),
                                absl::FormatTime("%Y-%m-%d %H:%M:%S UTC",
                                                 absl::FromUnixSeconds(job.create_time().seconds()),
                                                 absl::UTCTimeZone())}));
  }
  absl::StrAppend(&html, "</table>\n<h2>Workers</h2>\n<table>\n",
                  Row({"worker", "host", "state", "slots", "classes", "runs"}, "th"));
  for (const v1::Worker& worker : workers.workers()) {
    std::vector<std::string> leases;
    for (const v1::LeaseRef& lease : worker.leases()) {
      leases.push_back(absl::StrCat(lease.job(), "/", lease.task()));
    }
    absl::StrAppend(&html, Row({worker.info().worker_id(), worker.info().hostname(),
                                Word(v1::WorkerState_Name(worker.state()), "WORKER_STATE_"),
                                absl::StrCat(worker.info().slots()),
                                absl::StrJoin(worker.info().numeric_classes(), " "),
                                absl::StrJoin(leases, " ")}));
  }
  return absl::StrCat(html, "</table>\n");
}

std::string SummaryOfError(const absl::Status& status) {
  return absl::StrCat("<p>Jobs and workers are not shown: ", Escaped(status.message()), "</p>\n");
}

}  // namespace distill::server
