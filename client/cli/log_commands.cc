// job logs, task logs.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/log_printer.h"

namespace distill::client {
namespace {

// Logs that are followed at a time; further ones wait for one of these to end.
constexpr int kMostFollowed = 64;

struct LogOptions {
  std::string job;
  std::string task;
  std::string since;
  int attempt = 0;
  bool follow = false;
};

// Reads "10m" as so long ago, and "2026-11-23T10:00:00Z" as it is.
absl::StatusOr<absl::Time> ParseSince(const std::string& text, absl::Time now) {
  if (text.empty()) return absl::InfinitePast();
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago) && ago >= absl::ZeroDuration()) return now - ago;
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot read --since: want a duration such as 10m, or a time such as 2026-11-23T10:00:00Z; "
      "got=",
      text));
}

// Follows one task: its newest attempt, and those that come after it; or only the one asked for.
absl::Status FollowTask(Client& client, const std::string& job, const std::string& task,
                        int only_attempt, LogSink& sink) {
  int attempt = only_attempt;
  while (true) {
    const absl::StatusOr<LogEnd> end = client.FollowLog(
        job, task, attempt, [&sink](absl::string_view bytes) { sink.Write(bytes); });
    sink.Finish();
    if (!end.ok() && !(absl::IsNotFound(end.status()) && attempt != only_attempt)) {
      return end.status();
    }
    if (only_attempt != 0) return absl::OkStatus();
    DISTILL_ASSIGN_OR_RETURN(const v1::Task now, client.GetTask(job, task));
    // The log of an attempt whose worker was lost is empty, and does not say whose it is.
    const int seen = end.ok() && end->attempt != 0 ? end->attempt : now.attempts_size();
    if (IsTerminal(now.state()) && now.attempts_size() <= seen) return absl::OkStatus();
    if (!end.ok()) return end.status();
    attempt = seen + 1;
  }
}

// Follows the attempts of a whole job, each on a thread of its own, as they start.
class JobFollower {
 public:
  JobFollower(Client& client, std::string job, LogPrinter& printer)
      : client_(&client), job_(std::move(job)), printer_(&printer) {}
  ~JobFollower() { Join(); }

  absl::Status Run() {
    const absl::Status watched = client_
                                     ->WatchJob(job_, /*after_revision=*/0, WatchProgress::kNo,
                                                [this](const v1::JobEvent& event) {
                                                  if (event.has_task()) OnTask(event.task());
                                                })
                                     .status();
    Join();
    return watched;
  }

 private:
  void OnTask(const v1::Task& task) ABSL_LOCKS_EXCLUDED(mu_) {
    if (task.state() != v1::TASK_STATE_RUNNING || task.attempts().empty()) return;
    const int attempt = task.attempts(task.attempts_size() - 1).number();
    if (!begun_.insert({task.id(), attempt}).second) return;
    {
      MutexLock lock(mu_);
      while (running_ >= kMostFollowed) changed_.Wait(mu_);
      ++running_;
    }
    threads_.emplace_back([this, id = task.id(), attempt] {
      LogSink sink(*printer_, id);
      // A log that cannot be read is missed by nobody: its attempt was lost with its worker.
      FollowTask(*client_, job_, id, attempt, sink).IgnoreError();
      MutexLock lock(mu_);
      --running_;
      changed_.NotifyAll();
    });
  }

  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  Client* const client_;
  const std::string job_;
  LogPrinter* const printer_;
  std::set<std::pair<std::string, int>> begun_;
  std::vector<std::thread> threads_;
  Mutex mu_;
  CondVar changed_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
};

// Prints what there is of one log.
absl::Status PrintTask(Client& client, const std::string& job, const std::string& task, int attempt,
                       LogSink& sink) {
  const absl::Status status = client
                                  .ReadLog(job, task, attempt, /*offset=*/0,
                                           [&sink](absl::string_view bytes) { sink.Write(bytes); })
                                  .status();
  sink.Finish();
  return status;
}

// Prints the logs of all tasks that have one, in plan order.
absl::Status PrintJob(Session& session, Client& client, const std::string& job,
                      LogPrinter& printer) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client.ListTasks(job));
  for (const v1::Task& task : tasks) {
    session.Note(absl::StrCat("==> ", task.id(), " <=="));
    LogSink sink(printer, task.id());
    const absl::Status status = PrintTask(client, job, task.id(), /*attempt=*/0, sink);
    if (absl::IsNotFound(status)) {
      session.Note("(no log)");
    } else if (!status.ok()) {
      return status;
    }
    if (session.environment().interrupt->requested()) break;
  }
  return absl::OkStatus();
}

LineFormat FormatFor(const Session& session, bool several_at_once) {
  if (session.options().output == OutputFormat::kYaml) {
    return [](absl::string_view task, absl::string_view line) {
      return absl::StrCat("---\n", JsonToYaml(JsonLine(task, line)));
    };
  }
  if (session.json()) return JsonLine;
  return several_at_once ? NamedLine : BareLine;
}

absl::StatusOr<ExitCode> Logs(Session& session, const LogOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(const absl::Time since,
                           ParseSince(options.since, session.environment().clock->WallNow()));
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(options.job));
  const bool several_at_once = options.task.empty() && options.follow;
  LogPrinter printer(session.out(), since, FormatFor(session, several_at_once));
  LogSink sink(printer, options.task);
  absl::Status status;
  if (several_at_once) {
    status = JobFollower(*client, job, printer).Run();
  } else if (options.task.empty()) {
    status = PrintJob(session, *client, job, printer);
  } else if (options.follow) {
    status = FollowTask(*client, job, options.task, options.attempt, sink);
  } else {
    status = PrintTask(*client, job, options.task, options.attempt, sink);
  }
  if (session.environment().interrupt->requested()) return ExitCode::kInterrupted;
  if (!status.ok()) return status;
  return ExitCode::kOk;
}

void Declare(CLI::App& logs, const std::shared_ptr<LogOptions>& options, Command& chosen) {
  logs.add_option("--attempt", options->attempt, "Attempt number; default: the newest")
      ->check(CLI::Range(0, 1'000'000));
  logs.add_option("--since", options->since,
                  "Only lines from then on: a duration such as 10m, or a time");
  logs.add_flag("--follow,-f", options->follow, "Go on, live, until the task or the job ends");
  logs.callback([options, &chosen] {
    chosen = [options](Session& session) { return Logs(session, *options); };
  });
}

}  // namespace

void AddJobLogsCommand(CLI::App& job, Command& chosen) {
  CLI::App* const logs = job.add_subcommand("logs", "Print what trainers logged");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto options = std::make_shared<LogOptions>();
  logs->add_option("job", options->job, "Job id, or latest")->required();
  logs->add_option("--task", options->task,
                   "Task id; default: all tasks in plan order, or with -f all as they run");
  Declare(*logs, options, chosen);
  logs->footer(
      "Example:\n  distill job logs latest -f\n"
      "  distill job logs latest --task distill-module-0 -f --since 10m\n");
}

void AddTaskLogsCommand(CLI::App& task, Command& chosen) {
  CLI::App* const logs = task.add_subcommand("logs", "Print what a task's trainer logged");
  const auto options = std::make_shared<LogOptions>();
  logs->add_option("job", options->job, "Job id, or latest")->required();
  logs->add_option("task", options->task, "Task id")->required();
  Declare(*logs, options, chosen);
  logs->footer("Example:\n  distill task logs latest distill-module-0 -f\n");
}

}  // namespace distill::client
