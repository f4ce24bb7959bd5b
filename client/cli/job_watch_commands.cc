// job watch, wait.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/job_actions.h"

namespace distill::client {
namespace {

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
  wait->add_option("jobs", *awaited, "Job ids, or latest")->required()->type_name("JOB");
  wait->footer("Example:\n  distill job wait job-1f2e3d4c && distill job report job-1f2e3d4c\n");
  wait->callback([awaited, &chosen] {
    chosen = [awaited](Session& session) { return Wait(session, *awaited); };
  });
}

}  // namespace distill::client
