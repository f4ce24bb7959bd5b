#include "client/cli/watch_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/format.h"
#include "client/client.h"

namespace distill::client {
namespace {

constexpr absl::Duration kShortestRedraw = absl::Milliseconds(100);
constexpr int kBarCells = 16;

const char* ColorOf(v1::TaskState state) {
  switch (state) {
    case v1::TASK_STATE_RUNNING:
      return "\x1b[36m";
    case v1::TASK_STATE_SUCCEEDED:
      return "\x1b[32m";
    case v1::TASK_STATE_FAILED:
      return "\x1b[31m";
    default:
      return "\x1b[2m";
  }
}

double SecondsBetween(const google::protobuf::Timestamp& start,
                      const google::protobuf::Timestamp& finish) {
  if (start.seconds() == 0 || finish.seconds() == 0) return -1;
  return absl::ToDoubleSeconds(ToTime(finish) - ToTime(start));
}

std::string Bar(const v1::Progress& progress) {
  const double share = progress.total_steps() > 0
                           ? std::clamp(static_cast<double>(progress.step()) /
                                            static_cast<double>(progress.total_steps()),
                                        0.0, 1.0)
                           : 0.0;
  const auto full = static_cast<size_t>(share * kBarCells);
  return absl::StrFormat("[%s%s] %3d%%", std::string(full, '#'), std::string(kBarCells - full, '-'),
                         static_cast<int>(share * 100));
}

// "step 183/300  loss 0.412  5.1k images/s  ETA 0:12": what is known of it.
std::string ProgressText(const v1::Progress& progress) {
  std::string text = Bar(progress);
  if (progress.total_steps() > 0) {
    absl::StrAppend(&text, "  step ", progress.step(), "/", progress.total_steps());
  }
  if (progress.step() > 0 && std::isfinite(progress.loss()) && progress.loss() != 0) {
    absl::StrAppendFormat(&text, "  loss %.3f", progress.loss());
  }
  if (progress.images_per_second() > 0) {
    absl::StrAppend(&text, "  ", FormatCount(progress.images_per_second()), " images/s");
  }
  if (progress.eta_seconds() > 0) {
    absl::StrAppend(&text, "  ETA ", FormatSeconds(progress.eta_seconds()));
  }
  if (progress.phase() != "training") absl::StrAppend(&text, "  ", progress.phase());
  return text;
}

std::string WorkerOf(const v1::Task& task) {
  return task.attempts().empty() ? "" : task.attempts(task.attempts_size() - 1).worker();
}

bool SameAttempt(const v1::Task& a, const v1::Task& b) {
  return !a.attempts().empty() && !b.attempts().empty() &&
         a.attempts(a.attempts_size() - 1).number() == b.attempts(b.attempts_size() - 1).number();
}

// What happened to a task, beside its state: the same words on live and on plain lines.
std::string Outcome(const v1::Task& task) {
  switch (task.state()) {
    case v1::TASK_STATE_SUCCEEDED:
      if (!task.reused_from().empty()) {
        return absl::StrCat("reused from ", ShortTaskName(task.reused_from()));
      }
      return FormatSeconds(SecondsBetween(task.start_time(), task.finish_time()));
    case v1::TASK_STATE_FAILED:
      return task.failure_message();
    case v1::TASK_STATE_BLOCKED:
    case v1::TASK_STATE_QUEUED:
      return task.waiting_reason();
    default:
      return "";
  }
}

// "again, after attempt 2: EXPIRED lease expired", with as much of it as is known.
std::string RequeueText(const v1::Task& task) {
  const v1::Attempt& last = task.attempts(task.attempts_size() - 1);
  std::string cause = last.state() == "RUNNING" ? "" : last.state();
  for (const std::string& more : {last.message(), task.failure_message()}) {
    if (!more.empty()) absl::StrAppend(&cause, cause.empty() ? "" : " ", more);
  }
  return absl::StrCat("again, after attempt ", last.number(), cause.empty() ? "" : ": ", cause);
}

std::string LiveTaskLine(const v1::Task& task, size_t name_width) {
  std::string line = absl::StrFormat("  %-*s  %-9s  ", static_cast<int>(name_width), task.id(),
                                     StateName(task.state()));
  if (task.state() == v1::TASK_STATE_RUNNING) {
    absl::StrAppend(&line, ProgressText(task.progress()), "  ", WorkerOf(task));
    if (task.attempts_size() > 1) absl::StrAppend(&line, "  attempt ", task.attempts_size());
  } else {
    absl::StrAppend(&line, Outcome(task));
  }
  return line;
}

// Lower is shown first when not all tasks fit.
int Urgency(v1::TaskState state) {
  switch (state) {
    case v1::TASK_STATE_RUNNING:
      return 0;
    case v1::TASK_STATE_FAILED:
      return 1;
    case v1::TASK_STATE_QUEUED:
      return 2;
    case v1::TASK_STATE_BLOCKED:
      return 3;
    default:
      return 4;
  }
}

// Picks `room` tasks, the most urgent, and keeps them in plan order.
std::vector<const v1::Task*> Choose(const std::vector<v1::Task>& tasks, size_t room) {
  std::vector<const v1::Task*> chosen;
  for (const v1::Task& task : tasks) chosen.push_back(&task);
  if (chosen.size() <= room) return chosen;
  std::stable_sort(chosen.begin(), chosen.end(), [](const v1::Task* a, const v1::Task* b) {
    return Urgency(a->state()) < Urgency(b->state());
  });
  chosen.resize(room);
  std::sort(chosen.begin(), chosen.end());  // All point into `tasks`.
  return chosen;
}

std::string Fit(std::string line, int columns) {
  const auto most = static_cast<size_t>(std::max(columns - 1, 10));
  if (line.size() > most) line.resize(most);
  std::replace(line.begin(), line.end(), '\n', ' ');
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string JobLine(const v1::Job& job, absl::Time now) {
  const absl::Time end = job.has_finish_time() ? ToTime(job.finish_time()) : now;
  std::string line = absl::StrCat("job ", job.id(), "  ", StateName(job.state()), "  ",
                                  job.tasks_succeeded(), "/", job.tasks_total(), " tasks");
  if (job.tasks_reused() > 0) absl::StrAppend(&line, ", ", job.tasks_reused(), " reused");
  if (job.has_create_time()) {
    absl::StrAppend(&line, "  ",
                    FormatSeconds(absl::ToDoubleSeconds(end - ToTime(job.create_time()))));
  }
  if (!job.failure_message().empty()) absl::StrAppend(&line, "  ", job.failure_message());
  return line;
}

}  // namespace

v1::JobEvent WatchModel::Apply(const v1::JobEvent& event) {
  v1::JobEvent full = event;
  if (event.has_job()) {
    job_ = event.job();
  } else if (event.has_task()) {
    const auto [entry, is_new] = index_.emplace(event.task().id(), tasks_.size());
    if (is_new) tasks_.emplace_back();
    v1::Task& known = tasks_[entry->second];
    v1::Task& told = *full.mutable_task();
    if (told.attempts().empty()) *told.mutable_attempts() = known.attempts();
    if (WorkerOf(told).empty() && SameAttempt(told, known)) {
      told.mutable_attempts(told.attempts_size() - 1)->set_worker(WorkerOf(known));
    }
    if (!told.has_start_time() && known.has_start_time()) {
      *told.mutable_start_time() = known.start_time();
    }
    known = told;
  } else if (const auto found = index_.find(event.progress().task()); found != index_.end()) {
    // Progress of a task that ended meanwhile is stale.
    v1::Task& known = tasks_[found->second];
    if (known.state() == v1::TASK_STATE_RUNNING) {
      *known.mutable_progress() = event.progress().progress();
    }
  }
  return full;
}

std::vector<std::string> RenderLive(const WatchModel& model, const WatchStyle& style,
                                    absl::Time now) {
  const std::vector<v1::Task>& tasks = model.tasks();
  // The job's line, a line for those left out, and the cursor's.
  const auto room = static_cast<size_t>(std::max(style.size.rows - 3, 1));
  const std::vector<const v1::Task*> chosen = Choose(tasks, room);
  size_t name_width = 0;
  for (const v1::Task* const task : chosen) name_width = std::max(name_width, task->id().size());
  std::vector<std::string> lines = {Fit(JobLine(model.job(), now), style.size.columns)};
  for (const v1::Task* const task : chosen) {
    std::string line = Fit(LiveTaskLine(*task, name_width), style.size.columns);
    if (style.color) line = absl::StrCat(ColorOf(task->state()), line, "\x1b[0m");
    lines.push_back(std::move(line));
  }
  if (chosen.size() < tasks.size()) {
    lines.push_back(Fit(absl::StrCat("  and ", tasks.size() - chosen.size(), " more tasks"),
                        style.size.columns));
  }
  return lines;
}

std::string RenderPlain(const v1::JobEvent& event, absl::Time now) {
  const auto line = [](absl::Time time, absl::string_view subject, absl::string_view state,
                       absl::string_view rest) {
    std::string text = absl::StrFormat("%s  %-28s  %-9s  %s",
                                       absl::FormatTime("%H:%M:%SZ", time, absl::UTCTimeZone()),
                                       subject, state, rest);
    std::replace(text.begin(), text.end(), '\n', ' ');
    while (text.back() == ' ') text.pop_back();
    return text;
  };
  if (event.has_job()) {
    const v1::Job& job = event.job();
    std::string rest = absl::StrCat(job.tasks_succeeded(), "/", job.tasks_total(), " tasks");
    if (job.tasks_reused() > 0) absl::StrAppend(&rest, ", ", job.tasks_reused(), " reused");
    if (!job.failure_message().empty()) absl::StrAppend(&rest, "  ", job.failure_message());
    return line(job.has_finish_time() ? ToTime(job.finish_time()) : now, job.id(),
                StateName(job.state()), rest);
  }
  if (!event.has_task()) return "";
  const v1::Task& task = event.task();
  switch (task.state()) {
    case v1::TASK_STATE_RUNNING: {
      const int number =
          task.attempts().empty() ? 1 : task.attempts(task.attempts_size() - 1).number();
      return line(task.has_start_time() ? ToTime(task.start_time()) : now, task.id(), "running",
                  absl::StrCat("worker=", WorkerOf(task), " attempt=", number));
    }
    case v1::TASK_STATE_QUEUED:
      // Waiting for the first time is no news; waiting again is.
      if (task.attempts().empty()) return "";
      return line(now, task.id(), "queued", RequeueText(task));
    case v1::TASK_STATE_SUCCEEDED:
    case v1::TASK_STATE_FAILED:
    case v1::TASK_STATE_CANCELLED:
      return line(task.has_finish_time() ? ToTime(task.finish_time()) : now, task.id(),
                  StateName(task.state()), Outcome(task));
    default:
      return "";
  }
}

WatchView::WatchView(Mode mode, bool color, const Clock* clock, std::ostream* out,
                     std::function<TerminalSize()> terminal_size)
    : mode_(mode),
      color_(color),
      clock_(clock),
      out_(out),
      terminal_size_(std::move(terminal_size)),
      last_draw_{-absl::InfiniteDuration()} {}

void WatchView::OnEvent(const v1::JobEvent& event) {
  if (mode_ == Mode::kSilent) return;
  if (mode_ == Mode::kPlain) {
    // A job's event also tells of counts; only its own state is a change of its own.
    const bool same_state = event.has_job() && model_.job().state() == event.job().state();
    const v1::JobEvent full = model_.Apply(event);
    const std::string line = same_state ? "" : RenderPlain(full, clock_->WallNow());
    if (!line.empty()) *out_ << line << std::endl;
    return;
  }
  model_.Apply(event);
  if (clock_->Now() - last_draw_ >= kShortestRedraw) Draw();
}

void WatchView::Close() {
  if (mode_ == Mode::kLive) Draw();
}

void WatchView::Draw() {
  last_draw_ = clock_->Now();
  std::string screen;
  // Back to the first line of the last drawing, and clear from there to the end.
  if (lines_drawn_ > 0) absl::StrAppendFormat(&screen, "\x1b[%dA\r\x1b[J", lines_drawn_);
  const std::vector<std::string> lines =
      RenderLive(model_, {terminal_size_(), color_}, clock_->WallNow());
  for (const std::string& line : lines) absl::StrAppend(&screen, line, "\n");
  lines_drawn_ = lines.size();
  *out_ << screen << std::flush;
}

}  // namespace distill::client
