// job watch, wait, logs.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/job_actions.h"

namespace distill::client {
namespace {

// How often a log that is followed is asked for more.
constexpr absl::Duration kFollowInterval = absl::Seconds(1);

absl::StatusOr<ExitCode> Watch(Session& session, const std::string& text, WatchOutput output) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string id, session.ResolveJob(text));
  return WatchToEnd(session, *client, id, output);
}

absl::StatusOr<ExitCode> Wait(Session& session, const std::vector<std::string>& jobs) {
  ExitCode worst = ExitCode::kOk;
  for (const std::string& job : jobs) {
    DISTILL_ASSIGN_OR_RETURN(const ExitCode code, Watch(session, job, WatchOutput::kNone));
    if (code == ExitCode::kInterrupted) return code;
    if (worst != ExitCode::kFailed && code != ExitCode::kOk) worst = code;
  }
  return worst;
}

struct LogOptions {
  std::string job;
  std::string task;
  int attempt = 0;
  bool follow = false;
};

// Prints the log of one task; goes on until the task ends when asked to follow.
absl::Status PrintLog(Session& session, Client& client, const std::string& job,
                      const std::string& task, const LogOptions& options) {
  int64_t offset = 0;
  while (true) {
    // Asked first, so that what a task wrote last is read after it was seen to have ended.
    DISTILL_ASSIGN_OR_RETURN(const v1::Task now, client.GetTask(job, task));
    const absl::StatusOr<int64_t> next =
        client.ReadLog(job, task, options.attempt, offset, [&session](absl::string_view bytes) {
          session.out().write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        });
    session.out().flush();
    // A task that has not started has no log yet.
    if (!next.ok() && !(options.follow && absl::IsNotFound(next.status()))) return next.status();
    if (next.ok()) offset = *next;
    if (!options.follow || IsTerminal(now.state())) return absl::OkStatus();
    if (session.environment().interrupt->WaitFor(kFollowInterval)) return absl::OkStatus();
  }
}

absl::StatusOr<ExitCode> Logs(Session& session, const LogOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(options.job));
  if (!options.task.empty()) {
    DISTILL_RETURN_IF_ERROR(PrintLog(session, *client, job, options.task, options));
  } else {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client->ListTasks(job));
    for (const v1::Task& task : tasks) {
      session.Note(absl::StrCat("==> ", task.id(), " <=="));
      const absl::Status status = PrintLog(session, *client, job, task.id(), options);
      if (absl::IsNotFound(status)) {
        session.Note("(no log)");
      } else if (!status.ok()) {
        return status;
      }
      if (session.environment().interrupt->requested()) break;
    }
  }
  return session.environment().interrupt->requested() ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace

void AddJobWatchCommands(CLI::App& job, Command& chosen) {
  CLI::App* const watch =
      job.add_subcommand("watch", "Follow a job live; Ctrl-C detaches and leaves the job running");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto watched = std::make_shared<std::string>();
  watch->add_option("job", *watched, "Job id, or latest")->required();
  watch->footer(
      "Example:\n  distill job watch latest\n  distill job watch latest -o json | jq .\n");
  watch->callback([watched, &chosen] {
    chosen = [watched](Session& session) { return Watch(session, *watched, WatchOutput::kData); };
  });

  CLI::App* const wait = job.add_subcommand("wait", "Wait for jobs; exit with the worst result");
  const auto awaited = std::make_shared<std::vector<std::string>>();
  wait->add_option("jobs", *awaited, "Job ids, or latest")->required();
  wait->footer("Example:\n  distill job wait job-1f2e3d4c && distill job report job-1f2e3d4c\n");
  wait->callback([awaited, &chosen] {
    chosen = [awaited](Session& session) { return Wait(session, *awaited); };
  });

  CLI::App* const logs = job.add_subcommand("logs", "Print what trainers logged");
  const auto options = std::make_shared<LogOptions>();
  logs->add_option("job", options->job, "Job id, or latest")->required();
  logs->add_option("--task", options->task, "Task id; default: all tasks in plan order");
  logs->add_option("--attempt", options->attempt, "Attempt number; default: the newest")
      ->check(CLI::Range(0, 1'000'000));
  logs->add_flag("--follow,-f", options->follow, "Go on until the task ends");
  logs->footer("Example:\n  distill job logs latest --task distill-module-0 -f\n");
  logs->callback([options, &chosen] {
    chosen = [options](Session& session) { return Logs(session, *options); };
  });
}

}  // namespace distill::client
