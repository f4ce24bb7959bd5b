// worker list, drain, resume.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace distill::client {
namespace {

std::vector<std::string> Row(const v1::Worker& worker) {
  std::vector<std::string> tasks;
  for (const v1::LeaseRef& lease : worker.leases()) {
    tasks.push_back(absl::StrCat(lease.job(), "/", lease.task()));
  }
  return {worker.info().worker_id(),
          StateName(worker.state()),
          absl::StrCat(worker.info().slots()),
          worker.info().device_kind(),
          worker.info().numeric_classes().empty() ? "-" : worker.info().numeric_classes(0),
          FormatTime(worker.last_seen_time()),
          tasks.empty() ? "-" : absl::StrJoin(tasks, ",")};
}

const std::vector<std::string>& Header() {
  static const auto* const header = new std::vector<std::string>{
      "WORKER", "STATE", "SLOTS", "DEVICE", "NUMERIC CLASS", "LAST SEEN", "TASKS"};
  return *header;
}

absl::StatusOr<ExitCode> List(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Worker> workers, client->ListWorkers());
  v1::ListWorkersResponse response;
  std::vector<std::vector<std::string>> rows;
  for (const v1::Worker& worker : workers) {
    *response.add_workers() = worker;
    rows.push_back(Row(worker));
  }
  if (session.json()) {
    session.PrintJson(response);
  } else {
    PrintTable(Header(), rows, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddWorkerCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const worker = parent.add_subcommand("worker", "Machines that run tasks");
  worker->require_subcommand(1);
  worker->footer("Example:\n  distill worker list\n");

  CLI::App* const list = worker->add_subcommand("list", "List workers and what they run");
  list->footer("Example:\n  distill worker list\n");
  list->callback([&chosen] { chosen = [](Session& session) { return List(session); }; });

  using Action = absl::StatusOr<v1::Worker> (Client::*)(const std::string&);
  const auto add_single = [&](const char* name, const char* description, const char* example,
                              Action action) {
    CLI::App* const command = worker->add_subcommand(name, description);
    // Co-owned by the callback, which outlives this function.
    const auto id = std::make_shared<std::string>();
    command->add_option("worker", *id, "Worker id")->required();
    command->footer(example);
    command->callback([id, action, &chosen] {
      chosen = [id, action](Session& session) -> absl::StatusOr<ExitCode> {
        DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
        DISTILL_ASSIGN_OR_RETURN(const v1::Worker found, (client->*action)(*id));
        if (session.json()) {
          session.PrintJson(found);
        } else {
          PrintTable(Header(), {Row(found)}, session.out());
        }
        return ExitCode::kOk;
      };
    });
  };
  add_single("drain", "Give a worker no new tasks; what runs there finishes",
             "Example:\n  distill worker drain host-a-5d21\n", &Client::DrainWorker);
  add_single("resume", "Let a drained worker take tasks again",
             "Example:\n  distill worker resume host-a-5d21\n", &Client::ResumeWorker);
}

}  // namespace distill::client
