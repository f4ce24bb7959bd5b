// top: fleet, jobs and queue, drawn anew every few seconds.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/top_view.h"

namespace distill::client {
namespace {

// More are a screen that nobody reads, and calls that the server need not answer.
constexpr size_t kMostActive = 50;
constexpr size_t kMostFinished = 5;
constexpr int kMostJobs = 500;

struct TopOptions {
  std::string project = "-";
  double interval_seconds = 2;
  bool once = false;
};

absl::StatusOr<TopSnapshot> Look(Session& session, Client& client, const std::string& project) {
  TopSnapshot snapshot;
  snapshot.server = client.server();
  snapshot.now = session.environment().clock->WallNow();
  DISTILL_ASSIGN_OR_RETURN(snapshot.workers, client.ListWorkers());
  DISTILL_ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, client.ListJobs(project, kMostJobs));
  for (v1::Job& job : jobs) {
    if (IsTerminal(job.state())) {
      if (snapshot.finished.size() < kMostFinished) snapshot.finished.push_back(std::move(job));
    } else if (snapshot.active.size() == kMostActive) {
      ++snapshot.jobs_left_out;
    } else {
      snapshot.active.push_back({std::move(job), {}});
    }
  }
  for (ActiveJob& active : snapshot.active) {
    absl::StatusOr<std::vector<v1::Task>> tasks = client.ListTasks(active.job.id());
    // It may have been deleted since.
    if (absl::IsNotFound(tasks.status())) continue;
    if (!tasks.ok()) return tasks.status();
    for (v1::Task& task : *tasks) {
      if (!IsTerminal(task.state())) active.tasks.push_back(std::move(task));
    }
  }
  return snapshot;
}

void Draw(Session& session, const TopSnapshot& snapshot, bool live) {
  if (session.json()) return session.PrintJsonLine(TopJson(snapshot));
  const Environment& environment = session.environment();
  TopStyle style;
  style.color = session.color(environment.data);
  style.fit = live;
  if (live) style.size = environment.terminal_size();
  std::string screen = live ? "\x1b[H\x1b[J" : "";
  for (const std::string& line : RenderTop(snapshot, style)) absl::StrAppend(&screen, line, "\n");
  session.out() << screen << std::flush;
}

absl::StatusOr<ExitCode> Top(Session& session, const TopOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  const Environment& environment = session.environment();
  const bool live = environment.data.is_terminal && !session.json() && !options.once;
  absl::Status status;
  bool drawn = false;
  do {
    const absl::StatusOr<TopSnapshot> snapshot = Look(session, *client, options.project);
    status = snapshot.status();
    if (!status.ok()) break;
    // A screen of its own, so that what stood there comes back at the end.
    if (live && !drawn) session.out() << "\x1b[?1049h";
    if (drawn && !live && !session.json()) session.out() << "\n";
    drawn = true;
    Draw(session, *snapshot, live);
  } while (!options.once &&
           !environment.interrupt->WaitFor(absl::Seconds(options.interval_seconds)));
  if (live && drawn) session.out() << "\x1b[?1049l" << std::flush;
  // Ctrl-C is how one leaves.
  if (environment.interrupt->requested()) return ExitCode::kOk;
  if (!status.ok()) return status;
  return ExitCode::kOk;
}

}  // namespace

void AddTopCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const top =
      parent.add_subcommand("top", "Show workers, jobs and the queue, live, until Ctrl-C");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<TopOptions>();
  top->add_option("--project", options->project, "Only jobs of this project; -: all")
      ->capture_default_str();
  top->add_option("--interval", options->interval_seconds, "Seconds between two looks")
      ->check(CLI::Range(0.5, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  top->add_flag("--once", options->once, "Print it once and end");
  top->footer(
      "Where standard output is no terminal, each look is printed below the one before.\n"
      "Example:\n  distill top\n  distill top --once\n  distill top --once -o json\n");
  top->callback([options, &chosen] {
    chosen = [options](Session& session) { return Top(session, *options); };
  });
}

}  // namespace distill::client
