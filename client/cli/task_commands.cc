// task list, get, explain; logs are in log_commands.cc.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/explanation_text.h"
#include "client/cli/format.h"
#include "client/jobfile/yaml_writer.h"
#include "distill/v1/job_service.pb.h"

namespace distill::client {
namespace {

// The last word on a task, for the end of its line.
std::string Remark(const v1::Task& task) {
  if (!task.failure_message().empty()) return task.failure_message();
  if (!task.reused_from().empty()) {
    return absl::StrCat("reused from ", ShortTaskName(task.reused_from()));
  }
  return task.waiting_reason();
}

std::string StepOf(const v1::Task& task) {
  if (task.state() != v1::TASK_STATE_RUNNING || task.progress().total_steps() == 0) return "-";
  return absl::StrCat(task.progress().step(), "/", task.progress().total_steps());
}

std::string Seconds(const v1::Task& task) {
  if (!task.has_start_time() || !task.has_finish_time()) return "-";
  return FormatSeconds(
      absl::ToDoubleSeconds(ToTime(task.finish_time()) - ToTime(task.start_time())));
}

absl::StatusOr<ExitCode> List(Session& session, const std::string& text) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client->ListTasks(job));
  if (session.json()) {
    v1::ListTasksResponse response;
    for (const v1::Task& task : tasks) *response.add_tasks() = task;
    session.PrintJson(response);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Task& task : tasks) names.push_back(task.id());
    session.PrintNames(names);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Task& task : tasks) {
    const std::string worker =
        task.attempts().empty() ? "-" : task.attempts(task.attempts_size() - 1).worker();
    rows.push_back({task.id(), StateName(task.state()), absl::StrCat(task.attempts_size()), worker,
                    StepOf(task), Seconds(task), Remark(task)});
  }
  PrintTable({"TASK", "STATE", "ATTEMPTS", "WORKER", "STEP", "TIME", "REMARK"}, rows,
             session.out());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Get(Session& session, const std::string& text, const std::string& id) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  DISTILL_ASSIGN_OR_RETURN(const v1::Task task, client->GetTask(job, id));
  if (session.json()) {
    session.PrintJson(task);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    session.PrintNames({task.id()});
    return ExitCode::kOk;
  }
  PrintFields({{"task", task.id()},
               {"job", task.job()},
               {"state", StateName(task.state())},
               {"waits", task.waiting_reason()},
               {"failure", task.failure_message()},
               {"reused from", ShortTaskName(task.reused_from())},
               {"step", StepOf(task) == "-" ? "" : StepOf(task)},
               {"started", task.has_start_time() ? FormatTime(task.start_time()) : ""},
               {"finished", task.has_finish_time() ? FormatTime(task.finish_time()) : ""},
               {"cost", task.device_seconds() > 0 ? FormatSeconds(task.device_seconds()) : ""},
               {"depends on", absl::StrJoin(task.depends_on(), ", ")},
               {"key", task.key()}},
              session.out());
  std::vector<std::vector<std::string>> rows;
  for (const v1::Attempt& attempt : task.attempts()) {
    rows.push_back({absl::StrCat(attempt.number()), absl::AsciiStrToLower(attempt.state()),
                    attempt.gang_size() > 1
                        ? absl::StrCat(attempt.worker(), " (rank ", attempt.gang_rank(), ")")
                        : attempt.worker(),
                    FormatTime(attempt.start_time()), FormatSeconds(attempt.stats().wall_seconds()),
                    attempt.message()});
  }
  if (!rows.empty()) {
    session.out() << "\n";
    PrintTable({"ATTEMPT", "STATE", "WORKER", "STARTED", "WALL", "MESSAGE"}, rows, session.out());
  }
  rows.clear();
  for (const v1::ArtifactRef& result : task.results()) {
    rows.push_back({result.name(), FormatBytes(result.size_bytes()), result.digest()});
  }
  if (!rows.empty()) {
    session.out() << "\n";
    PrintTable({"RESULT", "SIZE", "DIGEST"}, rows, session.out());
  }
  session.out() << "\nspec:\n" << RenderYaml(task.spec());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Explain(Session& session, const std::string& text, const std::string& id) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  DISTILL_ASSIGN_OR_RETURN(const v1::TaskExplanation explanation, client->ExplainTask(job, id));
  if (session.json()) {
    session.PrintJson(explanation);
    return ExitCode::kOk;
  }
  session.out() << RenderExplanation(explanation);
  return ExitCode::kOk;
}

}  // namespace

void AddTaskCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const task = parent.add_subcommand("task", "Tasks of a job");
  task->require_subcommand(1);
  task->footer("Example:\n  distill task list latest\n");

  CLI::App* const list = task->add_subcommand("list", "List the tasks of a job in plan order");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto job = std::make_shared<std::string>();
  list->add_option("job", *job, "Job id, or latest")->required();
  list->footer("Example:\n  distill task list latest\n");
  list->callback(
      [job, &chosen] { chosen = [job](Session& session) { return List(session, *job); }; });

  CLI::App* const get = task->add_subcommand("get", "Show one task: attempts, results, settings");
  const auto of = std::make_shared<std::string>();
  const auto id = std::make_shared<std::string>();
  get->add_option("job", *of, "Job id, or latest")->required();
  get->add_option("task", *id, "Task id")->required();
  get->footer("Example:\n  distill task get latest distill-module-0\n");
  get->callback([of, id, &chosen] {
    chosen = [of, id](Session& session) { return Get(session, *of, *id); };
  });

  CLI::App* const explain =
      task->add_subcommand("explain", "Say why a task does not run, and what each worker lacks");
  const auto whose = std::make_shared<std::string>();
  const auto which = std::make_shared<std::string>();
  explain->add_option("job", *whose, "Job id, or latest")->required();
  explain->add_option("task", *which, "Task id")->required();
  explain->footer("Example:\n  distill task explain latest distill-module-0\n");
  explain->callback([whose, which, &chosen] {
    chosen = [whose, which](Session& session) { return Explain(session, *whose, *which); };
  });
  AddTaskLogsCommand(*task, chosen);
}

}  // namespace distill::client
