// job submit, list, get, cancel, pause, resume, retry, delete.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/cli/job_actions.h"
#include "client/cli/job_file_options.h"
#include "client/jobfile/overrides.h"
#include "client/jobfile/yaml_writer.h"
#include "distill/v1/job_service.pb.h"

namespace distill::client {
namespace {

struct SubmitOptions {
  JobFileOptions job;
  std::vector<std::string> sweeps;
  std::string request_id;
  bool watch = false;
  bool dry_run = false;
  bool allow_unplaceable = false;
};

absl::StatusOr<ExitCode> DryRun(Session& session, Client& client, const JobFile& file,
                                const std::vector<SweepPoint>& points) {
  v1::ListJobsResponse jobs;
  for (const SweepPoint& point : points) {
    absl::StatusOr<v1::Job> job = client.ValidateJob(point.spec);
    if (!job.ok()) return Located(file, job.status());
    *jobs.add_jobs() = *std::move(job);
  }
  session.Note("nothing was submitted; this is the job with every default filled in");
  if (session.json()) {
    points[0].label.empty() ? session.PrintJson(jobs.jobs(0)) : session.PrintJson(jobs);
    return ExitCode::kOk;
  }
  for (int i = 0; i < jobs.jobs_size(); ++i) {
    if (i > 0) session.out() << "---\n";
    session.out() << RenderYaml(jobs.jobs(i).spec());
    session.Note(absl::StrCat("tasks: ", jobs.jobs(i).tasks_total()));
  }
  return ExitCode::kOk;
}

// The least welcome of two outcomes: an interrupt, then failure, then cancellation.
ExitCode Worse(ExitCode a, ExitCode b) {
  const auto rank = [](ExitCode code) {
    return code == ExitCode::kInterrupted ? 3
           : code == ExitCode::kFailed    ? 2
           : code == ExitCode::kOk        ? 0
                                          : 1;
  };
  return rank(a) >= rank(b) ? a : b;
}

absl::StatusOr<ExitCode> SubmitAll(Session& session, Client& client, const SubmitOptions& options,
                                   const JobFile& file, const std::vector<SweepPoint>& points) {
  const std::string request_id =
      options.request_id.empty() ? session.environment().ids->RandomHex(16) : options.request_id;
  v1::ListJobsResponse jobs;
  for (size_t i = 0; i < points.size(); ++i) {
    absl::StatusOr<v1::Job> job = client.CreateJob(
        points[i].spec, points.size() == 1 ? request_id : absl::StrCat(request_id, "-", i),
        options.allow_unplaceable ? Unplaceable::kAccept : Unplaceable::kRefuse);
    if (!job.ok()) {
      if (i > 0) {
        session.Note(absl::StrCat(i, " of ", points.size(), " jobs are submitted; repeat with ",
                                  "--request-id ", request_id, " to submit only the rest"));
      }
      return Located(file, job.status());
    }
    if (!session.json()) {
      const bool bare = points[i].label.empty() || session.names_only();
      session.out() << job->id() << (bare ? "" : absl::StrCat("  ", points[i].label)) << std::endl;
    }
    *jobs.add_jobs() = *std::move(job);
  }
  // A sweep is a list, of whatever length.
  if (session.json()) {
    points[0].label.empty() ? session.PrintJson(jobs.jobs(0)) : session.PrintJson(jobs);
  }
  if (!options.watch) {
    session.Note(absl::StrCat("follow with: distill job watch ", jobs.jobs(0).id()));
    return ExitCode::kOk;
  }
  ExitCode worst = ExitCode::kOk;
  for (const v1::Job& job : jobs.jobs()) {
    DISTILL_ASSIGN_OR_RETURN(const ExitCode code,
                             WatchToEnd(session, client, job.id(), WatchOutput::kNotes));
    worst = Worse(worst, code);
    if (code == ExitCode::kInterrupted) break;
  }
  return worst;
}

absl::StatusOr<ExitCode> Submit(Session& session, const SubmitOptions& options) {
  if (!options.request_id.empty() && !IsValidIdText(options.request_id)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--request-id ", options.request_id, ": expected 1 to 128 of letters, digits, . _ and -"));
  }
  DISTILL_ASSIGN_OR_RETURN(const JobFile file, ReadJob(session, options.job));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<SweepPoint> points,
                           ExpandSweeps(file.spec, options.sweeps));
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  if (options.dry_run) return DryRun(session, *client, file, points);
  return SubmitAll(session, *client, options, file, points);
}

void PrintJob(Session& session, const v1::Job& job) {
  if (session.json()) return session.PrintJson(job);
  if (session.names_only()) return session.PrintNames({job.id()});
  PrintFields(
      {{"job", job.id()},
       {"display name", job.spec().display_name()},
       {"project", job.spec().project()},
       {"state", StateName(job.state())},
       {"failure", job.failure_message()},
       {"tasks", absl::StrCat(job.tasks_succeeded(), " of ", job.tasks_total(), " done, ",
                              job.tasks_running(), " running, ", job.tasks_reused(), " reused")},
       {"created", FormatTime(job.create_time())},
       {"finished", job.has_finish_time() ? FormatTime(job.finish_time()) : ""},
       {"seed", absl::StrCat(job.spec().seed())},
       {"numeric class", job.spec().execution().numeric_class()},
       {"priority", absl::StrCat(job.spec().execution().priority())}},
      session.out());
}

absl::StatusOr<ExitCode> List(Session& session, const std::string& project, int limit) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  const std::string wanted = project.empty() ? session.DefaultProject() : project;
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client->ListJobs(wanted, limit));
  if (session.json()) {
    v1::ListJobsResponse response;
    for (const v1::Job& job : jobs) *response.add_jobs() = job;
    session.PrintJson(response);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Job& job : jobs) names.push_back(job.id());
    session.PrintNames(names);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Job& job : jobs) {
    rows.push_back({job.id(), StateName(job.state()),
                    absl::StrCat(job.tasks_succeeded(), "/", job.tasks_total()),
                    absl::StrCat(job.tasks_reused()), FormatTime(job.create_time()),
                    job.spec().project(), job.spec().display_name()});
  }
  PrintTable({"JOB", "STATE", "TASKS", "REUSED", "CREATED", "PROJECT", "NAME"}, rows,
             session.out());
  if (jobs.empty() && wanted != "-") {
    session.Note(absl::StrCat("no job in project ", wanted, "; of all projects: --project -"));
  }
  return ExitCode::kOk;
}

void AddRetry(CLI::App& job, Command& chosen) {
  CLI::App* const retry = job.add_subcommand(
      "retry", "Submit a failed or cancelled job again; what had succeeded is reused");
  // Co-owned, here and below, by the callback, which outlives this function.
  const auto text = std::make_shared<std::string>();
  const auto request_id = std::make_shared<std::string>();
  retry->add_option("job", *text, "Job id, or latest")->required();
  retry->add_option("--request-id", *request_id,
                    "Makes repeating this command harmless: the same id is the same job");
  retry->footer("Example:\n  distill job retry job-1f2e3d4c\n");
  retry->callback([text, request_id, &chosen] {
    chosen = [text, request_id](Session& session) -> absl::StatusOr<ExitCode> {
      if (!request_id->empty() && !IsValidIdText(*request_id)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--request-id ", *request_id, ": expected 1 to 128 of letters, digits, . _ and -"));
      }
      DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
      DISTILL_ASSIGN_OR_RETURN(const std::string id, session.ResolveJob(*text));
      DISTILL_ASSIGN_OR_RETURN(
          const v1::Job again,
          client->RetryJob(
              id, request_id->empty() ? session.environment().ids->RandomHex(16) : *request_id));
      if (session.json()) {
        session.PrintJson(again);
        return ExitCode::kOk;
      }
      session.out() << again.id() << std::endl;
      session.Note(absl::StrCat("follow with: distill job watch ", again.id()));
      return ExitCode::kOk;
    };
  });
}

void AddDelete(CLI::App& job, Command& chosen) {
  CLI::App* const remove = job.add_subcommand(
      "delete", "Forget a job that is over, and what only it holds in the blob store");
  const auto text = std::make_shared<std::string>();
  remove->add_option("job", *text, "Job id, or latest")->required();
  remove->footer("Example:\n  distill job delete job-1f2e3d4c\n");
  remove->callback([text, &chosen] {
    chosen = [text](Session& session) -> absl::StatusOr<ExitCode> {
      DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
      DISTILL_ASSIGN_OR_RETURN(const std::string id, session.ResolveJob(*text));
      DISTILL_RETURN_IF_ERROR(client->DeleteJob(id));
      session.Note(absl::StrCat("deleted ", id));
      return ExitCode::kOk;
    };
  });
}

}  // namespace

void AddJobCommands(CLI::App& job, Command& chosen) {
  CLI::App* const submit = job.add_subcommand("submit", "Submit a job file");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<SubmitOptions>();
  AddJobFileOptions(*submit, options->job);
  submit->add_flag("--watch,-w", options->watch, "Watch to the end; exit with the job's result");
  submit->add_flag("--dry-run", options->dry_run,
                   "Let the server check and plan the job, print it with all defaults, and stop");
  submit
      ->add_option("--sweep", options->sweeps,
                   "Submit one job for each value; several sweeps multiply")
      ->type_name("KEY=V1,V2")
      ->allow_extra_args(false);
  submit->add_option("--request-id", options->request_id,
                     "Makes repeating this command harmless: the same id is the same job");
  submit->add_flag("--allow-unplaceable", options->allow_unplaceable,
                   "Accept it though no worker that is known could run it: one is still to come");
  submit->footer(
      "Example:\n  distill job submit deploy/jobs/fashion-mnist-vmoe.yaml --watch\n"
      "  distill job submit job.yaml --override modules=2 --project vision\n"
      "  distill job submit job.yaml --sweep distillation.tau=1,2,4 --sweep seed=0,1,2\n");
  submit->callback([options, &chosen] {
    chosen = [options](Session& session) { return Submit(session, *options); };
  });

  CLI::App* const list = job.add_subcommand("list", "List jobs, newest first");
  const auto project = std::make_shared<std::string>();
  const auto limit = std::make_shared<int>(100);
  list->add_option("--project", *project,
                   "Project, or - for all; default: as the settings say, or \"default\"");
  list->add_option("--limit", *limit, "Most jobs to list")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  list->footer("Example:\n  distill job list --project - --limit 20\n");
  list->callback([project, limit, &chosen] {
    chosen = [project, limit](Session& session) { return List(session, *project, *limit); };
  });

  using Action = absl::StatusOr<v1::Job> (Client::*)(const std::string&);
  const auto add_single = [&](const char* name, const char* description, const char* example,
                              Action action) {
    CLI::App* const command = job.add_subcommand(name, description);
    const auto text = std::make_shared<std::string>();
    command->add_option("job", *text, "Job id, or latest")->required();
    command->footer(example);
    command->callback([text, action, &chosen] {
      chosen = [text, action](Session& session) -> absl::StatusOr<ExitCode> {
        DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
        DISTILL_ASSIGN_OR_RETURN(const std::string id, session.ResolveJob(*text));
        DISTILL_ASSIGN_OR_RETURN(const v1::Job found, (client->*action)(id));
        PrintJob(session, found);
        return ExitCode::kOk;
      };
    });
  };
  add_single("get", "Show one job", "Example:\n  distill job get latest\n", &Client::GetJob);
  add_single("cancel", "Cancel a job; its running tasks stop within seconds",
             "Example:\n  distill job cancel job-1f2e3d4c\n", &Client::CancelJob);
  add_single("pause", "Start nothing more of a job; what runs is checkpointed and handed back",
             "Example:\n  distill job pause latest\n", &Client::PauseJob);
  add_single("resume", "Let a paused job go on, from its checkpoints",
             "Example:\n  distill job resume latest\n", &Client::ResumeJob);
  AddRetry(job, chosen);
  AddDelete(job, chosen);
}

}  // namespace distill::client
