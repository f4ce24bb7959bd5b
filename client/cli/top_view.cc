#include "client/cli/top_view.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/output.h"

namespace distill::client {
namespace {

constexpr char kBold[] = "\x1b[1m";
constexpr char kPlain[] = "\x1b[0m";
constexpr int kMostReasons = 4;

// Columns as wide as their widest cell.
class Columns {
 public:
  explicit Columns(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  size_t rows() const { return rows_.size() - 1; }

  std::vector<std::string> Lines() const {
    std::vector<size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::vector<std::string> lines;
    for (const auto& row : rows_) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        absl::StrAppend(&line, i > 0 ? "  " : "", row[i]);
        if (i + 1 < row.size()) line.append(widths[i] - row[i].size(), ' ');
      }
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string Age(const google::protobuf::Timestamp& since, absl::Time now) {
  if (since.seconds() == 0) return "-";
  return FormatSeconds(std::max(0.0, absl::ToDoubleSeconds(now - ToTime(since))));
}

int CountTasks(const ActiveJob& job, v1::TaskState state) {
  return static_cast<int>(
      std::count_if(job.tasks.begin(), job.tasks.end(),
                    [state](const v1::Task& task) { return task.state() == state; }));
}

// What the fleet and the queue come to.
std::vector<std::string> Summary(const TopSnapshot& snapshot) {
  int live = 0;
  int slots = 0;
  int busy = 0;
  std::map<std::string, int> states;
  for (const v1::Worker& worker : snapshot.workers) {
    ++states[StateName(worker.state())];
    if (worker.state() == v1::WORKER_STATE_LOST) continue;
    ++live;
    slots += worker.info().slots();
    busy += worker.slots_in_use();
  }
  std::vector<std::string> state_texts;
  for (const auto& [state, count] : states) state_texts.push_back(absl::StrCat(count, " ", state));
  std::map<std::string, int> jobs;
  int queued = 0;
  int running = 0;
  int blocked = 0;
  std::map<std::string, int> reasons;
  for (const ActiveJob& job : snapshot.active) {
    ++jobs[StateName(job.job.state())];
    queued += CountTasks(job, v1::TASK_STATE_QUEUED);
    running += CountTasks(job, v1::TASK_STATE_RUNNING);
    blocked += CountTasks(job, v1::TASK_STATE_BLOCKED);
    for (const v1::Task& task : job.tasks) {
      if (task.state() == v1::TASK_STATE_QUEUED) ++reasons[task.waiting_reason()];
    }
  }
  std::vector<std::string> job_texts;
  for (const auto& [state, count] : jobs) job_texts.push_back(absl::StrCat(count, " ", state));
  std::vector<std::pair<int, std::string>> by_count;
  for (const auto& [reason, count] : reasons) {
    by_count.emplace_back(-count, reason.empty() ? "about to start" : reason);
  }
  std::sort(by_count.begin(), by_count.end());
  std::vector<std::string> reason_texts;
  for (const auto& [count, reason] : by_count) {
    if (reason_texts.size() < kMostReasons)
      reason_texts.push_back(absl::StrCat(-count, " ", reason));
  }
  const int percent = slots == 0 ? 0 : busy * 100 / slots;
  return {
      absl::StrCat("distill top  ", snapshot.server, "  ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", snapshot.now, absl::UTCTimeZone())),
      absl::StrCat("workers  ", live, " live", state_texts.empty() ? "" : ": ",
                   absl::StrJoin(state_texts, ", "), "   slots  ", busy, " of ", slots, " busy (",
                   percent, " %)"),
      absl::StrCat(
          "jobs     ", snapshot.active.size(), " active",
          job_texts.empty() ? "" : absl::StrCat(": ", absl::StrJoin(job_texts, ", ")),
          snapshot.jobs_left_out > 0 ? absl::StrCat(", and ", snapshot.jobs_left_out, " more") : "",
          "   tasks  ", running, " running, ", queued, " queued, ", blocked, " blocked"),
      absl::StrCat("queue    ",
                   reason_texts.empty() ? "empty" : absl::StrJoin(reason_texts, "; "))};
}

Columns Workers(const TopSnapshot& snapshot) {
  Columns columns({"WORKER", "STATE", "SLOTS", "DEVICE", "MEMORY/SLOT", "SEEN", "RUNS"});
  for (const v1::Worker& worker : snapshot.workers) {
    std::vector<std::string> tasks;
    for (const v1::LeaseRef& lease : worker.leases()) tasks.push_back(lease.task());
    columns.Add({worker.info().worker_id(), StateName(worker.state()),
                 absl::StrCat(worker.slots_in_use(), "/", worker.info().slots()),
                 worker.info().device_kind(), FormatBytes(worker.info().slot_memory_bytes()),
                 absl::StrCat(Age(worker.last_seen_time(), snapshot.now), " ago"),
                 tasks.empty() ? "-" : absl::StrJoin(tasks, ",")});
  }
  return columns;
}

Columns Jobs(const TopSnapshot& snapshot) {
  Columns columns(
      {"JOB", "STATE", "DONE", "RUN", "QUEUE", "REUSED", "PRIO", "AGE", "PROJECT", "NAME"});
  const auto add = [&](const v1::Job& job, const std::string& queued) {
    const bool over = job.has_finish_time();
    columns.Add({job.id(), StateName(job.state()),
                 absl::StrCat(job.tasks_succeeded(), "/", job.tasks_total()),
                 absl::StrCat(job.tasks_running()), queued, absl::StrCat(job.tasks_reused()),
                 absl::StrCat(job.spec().execution().priority()),
                 Age(over ? job.finish_time() : job.create_time(), snapshot.now),
                 job.spec().project(), job.spec().display_name()});
  };
  for (const ActiveJob& job : snapshot.active) {
    add(job.job, absl::StrCat(CountTasks(job, v1::TASK_STATE_QUEUED)));
  }
  for (const v1::Job& job : snapshot.finished) add(job, "-");
  return columns;
}

Columns Tasks(const TopSnapshot& snapshot, v1::TaskState state) {
  const bool running = state == v1::TASK_STATE_RUNNING;
  Columns columns(running ? std::vector<std::string>{"RUNNING", "JOB", "WORKER", "STEP", "LOSS",
                                                     "IMAGES/S", "LEFT"}
                          : std::vector<std::string>{"QUEUED", "JOB", "BECAUSE"});
  for (const ActiveJob& job : snapshot.active) {
    for (const v1::Task& task : job.tasks) {
      if (task.state() != state) continue;
      if (!running) {
        columns.Add({task.id(), job.job.id(),
                     task.waiting_reason().empty() ? "about to start" : task.waiting_reason()});
        continue;
      }
      const v1::Progress& progress = task.progress();
      columns.Add({task.id(), job.job.id(),
                   task.attempts().empty() ? "-" : task.attempts(task.attempts_size() - 1).worker(),
                   progress.total_steps() > 0
                       ? absl::StrCat(progress.step(), "/", progress.total_steps())
                       : "-",
                   progress.step() > 0 ? absl::StrFormat("%.3f", progress.loss()) : "-",
                   FormatCount(progress.images_per_second()),
                   FormatSeconds(progress.eta_seconds() > 0 ? progress.eta_seconds() : -1)});
    }
  }
  return columns;
}

// Appends a table, of which at most `room` lines are shown; says how many are not.
void Append(const Columns& columns, size_t room, bool bold, std::vector<std::string>& lines) {
  if (columns.rows() == 0 || room < 3) return;
  lines.emplace_back("");
  std::vector<std::string> table = columns.Lines();
  if (bold) table[0] = absl::StrCat(kBold, table[0], kPlain);
  const size_t shown = std::min(table.size(), room - 1);
  const bool cut = shown < table.size();
  for (size_t i = 0; i < (cut ? shown - 1 : shown); ++i) lines.push_back(table[i]);
  if (cut) lines.push_back(absl::StrCat("and ", table.size() - shown + 1, " more"));
}

// Cuts a line to the width of the terminal; colours take no room.
std::string Fit(std::string line, int columns) {
  const bool bold = line.rfind(kBold, 0) == 0;
  const auto room = static_cast<size_t>(std::max(columns, 1)) +
                    (bold ? sizeof(kBold) - 1 + sizeof(kPlain) - 1 : 0);
  if (line.size() <= room) return line;
  line.resize(room);
  return bold ? absl::StrCat(line, kPlain) : line;
}

}  // namespace

std::vector<std::string> RenderTop(const TopSnapshot& snapshot, const TopStyle& style) {
  std::vector<std::string> lines = Summary(snapshot);
  const std::vector<Columns> tables = {Workers(snapshot), Jobs(snapshot),
                                       Tasks(snapshot, v1::TASK_STATE_RUNNING),
                                       Tasks(snapshot, v1::TASK_STATE_QUEUED)};
  for (size_t i = 0; i < tables.size(); ++i) {
    size_t room = tables[i].rows() + 3;
    if (style.fit) {
      // What is left is shared by the tables that are still to come.
      const auto rows = static_cast<size_t>(std::max(style.size.rows - 1, 1));
      const size_t left = rows > lines.size() ? rows - lines.size() : 0;
      room = std::min(room, std::max<size_t>(left / (tables.size() - i), 3));
      if (room > left) room = 0;
    }
    Append(tables[i], room, style.color, lines);
  }
  if (!style.fit) return lines;
  for (std::string& line : lines) line = Fit(std::move(line), style.size.columns);
  return lines;
}

std::string TopJson(const TopSnapshot& snapshot) {
  const auto list = [](const auto& messages) {
    std::vector<std::string> texts;
    for (const auto& message : messages) {
      std::string text = ToJson(message, JsonShape::kOneLine);
      text.pop_back();  // The line ends after the outer brace.
      texts.push_back(std::move(text));
    }
    return absl::StrCat("[", absl::StrJoin(texts, ","), "]");
  };
  std::vector<v1::Job> jobs;
  std::vector<v1::Task> tasks;
  for (const ActiveJob& job : snapshot.active) {
    jobs.push_back(job.job);
    tasks.insert(tasks.end(), job.tasks.begin(), job.tasks.end());
  }
  jobs.insert(jobs.end(), snapshot.finished.begin(), snapshot.finished.end());
  return absl::StrCat(
      "{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", snapshot.now, absl::UTCTimeZone()),
      "\",\"server\":\"", snapshot.server, "\",\"workers\":", list(snapshot.workers),
      ",\"jobs\":", list(jobs), ",\"tasks\":", list(tasks), "}\n");
}

}  // namespace distill::client
