// worker list, drain, quarantine, resume.
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

// Why it gets no work, and how it did lately.
std::string Remark(const v1::Worker& worker) {
  if (worker.quarantine() != v1::QUARANTINE_UNSPECIFIED) {
    return absl::StrCat(StateName(worker.quarantine()),
                        " quarantine: ", worker.quarantine_reason());
  }
  if (worker.has_drain_deadline()) {
    return absl::StrCat("handed back at ", FormatTime(worker.drain_deadline()));
  }
  if (worker.failures_in_a_row() > 0) {
    return absl::StrCat(worker.failures_in_a_row(), " failures in a row");
  }
  return "";
}

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
          tasks.empty() ? "-" : absl::StrJoin(tasks, ","),
          Remark(worker)};
}

const std::vector<std::string>& Header() {
  static const auto* const header = new std::vector<std::string>{
      "WORKER", "STATE", "SLOTS", "DEVICE", "NUMERIC CLASS", "LAST SEEN", "TASKS", "REMARK"};
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
  } else if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Worker& worker : workers) names.push_back(worker.info().worker_id());
    session.PrintNames(names);
  } else {
    PrintTable(Header(), rows, session.out());
  }
  return ExitCode::kOk;
}

ExitCode Show(Session& session, const v1::Worker& worker) {
  if (session.json()) {
    session.PrintJson(worker);
  } else if (session.names_only()) {
    session.PrintNames({worker.info().worker_id()});
  } else {
    PrintTable(Header(), {Row(worker)}, session.out());
  }
  return ExitCode::kOk;
}

void AddDrain(CLI::App& worker, Command& chosen) {
  CLI::App* const drain = worker.add_subcommand(
      "drain", "Give a worker no new tasks; what runs there finishes, or is handed back");
  // Co-owned, here and below, by the callback, which outlives this function.
  const auto id = std::make_shared<std::string>();
  const auto deadline = std::make_shared<double>(0);
  drain->add_option("worker", *id, "Worker id")->required();
  drain
      ->add_option("--deadline-seconds", *deadline,
                   "Hand back, with a checkpoint, what still runs then; 0: let it finish")
      ->check(CLI::Range(0.0, 604800.0))
      ->capture_default_str();
  drain->footer(
      "Example:\n  distill worker drain host-a-5d21\n"
      "  distill worker drain host-a-5d21 --deadline-seconds 300\n");
  drain->callback([id, deadline, &chosen] {
    chosen = [id, deadline](Session& session) -> absl::StatusOr<ExitCode> {
      DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
      const absl::Duration wait =
          *deadline > 0 ? absl::Seconds(*deadline) : absl::InfiniteDuration();
      DISTILL_ASSIGN_OR_RETURN(const v1::Worker found, client->DrainWorker(*id, wait));
      return Show(session, found);
    };
  });
}

void AddQuarantine(CLI::App& worker, Command& chosen) {
  CLI::App* const quarantine =
      worker.add_subcommand("quarantine", "Trust a worker with no new tasks until it is resumed");
  const auto id = std::make_shared<std::string>();
  const auto reason = std::make_shared<std::string>();
  quarantine->add_option("worker", *id, "Worker id")->required();
  quarantine->add_option("--reason", *reason, "Why, for those who find it so");
  quarantine->footer("Example:\n  distill worker quarantine host-a-5d21 --reason \"bad memory\"\n");
  quarantine->callback([id, reason, &chosen] {
    chosen = [id, reason](Session& session) -> absl::StatusOr<ExitCode> {
      DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
      DISTILL_ASSIGN_OR_RETURN(const v1::Worker found, client->QuarantineWorker(*id, *reason));
      return Show(session, found);
    };
  });
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
        return Show(session, found);
      };
    });
  };
  AddDrain(*worker, chosen);
  AddQuarantine(*worker, chosen);
  add_single("resume", "End draining and quarantine: let a worker take tasks again",
             "Example:\n  distill worker resume host-a-5d21\n", &Client::ResumeWorker);
}

}  // namespace distill::client
