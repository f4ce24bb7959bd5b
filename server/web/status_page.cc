#include "server/web/status_page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace distill::server {
namespace {

constexpr absl::string_view kHead =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Distillery</title>"
    "<style>body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2em .8em;"
    "border-bottom:1px solid #ddd}</style></head><body><h1>Distillery</h1>";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Row(const std::vector<std::string>& cells, absl::string_view tag = "td") {
  std::string row = "<tr>";
  for (const std::string& cell : cells) {
    absl::StrAppend(&row, "<", tag, ">", Escaped(cell), "</", tag, ">");
  }
  return absl::StrCat(row, "</tr>");
}

std::string WorkerState(const WorkerView& worker) {
  if (!worker.live) return "lost";
  if (worker.quarantine != storage::Quarantine::kNone) return "quarantined";
  return worker.draining ? "draining" : "live";
}

}  // namespace

std::string RenderStatusPage(const StatusFacts& facts) {
  std::string page(kHead);
  absl::StrAppend(&page, "<p>",
                  absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", facts.now, absl::UTCTimeZone()), ". ",
                  facts.totals.workers_live, " workers, ", facts.totals.slots_in_use, " of ",
                  facts.totals.slots, " slots in use, ", facts.totals.ready_tasks,
                  " tasks ready.</p><h2>Jobs</h2><table>",
                  Row({"job", "name", "project", "state", "created"}, "th"));
  for (const storage::JobRecord& job : facts.jobs) {
    absl::StrAppend(
        &page,
        Row({job.id.str(), job.display_name, job.project.str(), storage::Name(job.status.state),
             absl::FormatTime("%Y-%m-%d %H:%M:%S", job.create_time, absl::UTCTimeZone())}));
  }
  absl::StrAppend(&page, "</table><h2>Workers</h2><table>",
                  Row({"worker", "host", "state", "slots in use", "classes", "leases"}, "th"));
  for (const WorkerView& worker : facts.workers) {
    std::vector<std::string> leases;
    for (const LeaseRef& lease : worker.leases) {
      leases.push_back(absl::StrCat(lease.job.str(), "/", lease.task));
    }
    absl::StrAppend(
        &page, Row({worker.info.id.str(), worker.info.hostname, WorkerState(worker),
                    absl::StrCat(worker.slots_in_use, " of ", worker.info.slots),
                    absl::StrJoin(worker.info.numeric_classes, " "), absl::StrJoin(leases, " ")}));
  }
  absl::StrAppend(&page,
                  "</table><p><a href=\"/metrics\">metrics</a> <a href=\"/healthz\">health</a> "
                  "<a href=\"/readyz\">readiness</a></p></body></html>\n");
  return page;
}

}  // namespace distill::server
