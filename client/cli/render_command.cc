// job render: what a job file comes to, before a device-second is spent.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/job_file_options.h"
#include "client/cli/plan_view.h"
#include "client/jobfile/yaml_writer.h"

namespace distill::client {
namespace {

struct RenderOptions {
  JobFileOptions job;
  bool full_keys = false;
  bool spec = false;
};

absl::StatusOr<ExitCode> Render(Session& session, const RenderOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(const JobFile file, ReadJob(session, options.job));
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  const absl::StatusOr<v1::JobPlan> plan = client->PlanJob(file.spec);
  if (!plan.ok()) return Located(file, plan.status());
  if (session.json()) {
    session.PrintJson(*plan);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::PlannedTask& task : plan->tasks()) names.push_back(task.id());
    session.PrintNames(names);
    return ExitCode::kOk;
  }
  if (options.spec) {
    session.out() << RenderYaml(plan->job().spec());
  } else {
    session.out() << RenderPlan(*plan, options.full_keys ? KeyLength::kFull : KeyLength::kShort);
  }
  session.Note("nothing was submitted");
  return ExitCode::kOk;
}

}  // namespace

void AddJobRenderCommand(CLI::App& job, Command& chosen) {
  CLI::App* const render = job.add_subcommand(
      "render", "Show what a job file would do: tasks, keys, what is reused, memory and time");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<RenderOptions>();
  AddJobFileOptions(*render, options->job);
  render->add_flag("--full-keys", options->full_keys, "Print task keys in full");
  render->add_flag("--spec", options->spec,
                   "Print the job itself instead, as YAML with all defaults filled in");
  render->footer(
      "Times go by what tasks of the same kind took per image of late, on the same project's "
      "workers; memory is what placement goes by. Nothing is submitted.\n"
      "Example:\n  distill job render deploy/jobs/tiny.yaml\n"
      "  distill job render job.yaml --override distillation.tau=2 -o json\n");
  render->callback([options, &chosen] {
    chosen = [options](Session& session) { return Render(session, *options); };
  });
}

}  // namespace distill::client
