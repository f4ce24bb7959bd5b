// quota list, set, clear.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace distill::client {
namespace {

std::string Limit(int64_t limit) { return limit == 0 ? "-" : absl::StrCat(limit); }

void PrintQuotas(Session& session, const std::vector<v1::Quota>& quotas) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Quota& quota : quotas) {
    rows.push_back({quota.project(), absl::StrCat(quota.weight()),
                    absl::StrFormat("%.2f", quota.share()),
                    absl::StrCat(quota.slots_in_use(), "/", Limit(quota.max_slots())),
                    absl::StrCat(quota.running_tasks(), "/", Limit(quota.max_running_tasks())),
                    quota.max_blob_bytes() == 0 ? "-" : FormatBytes(quota.max_blob_bytes()),
                    Limit(quota.max_submits_per_hour())});
  }
  PrintTable({"PROJECT", "WEIGHT", "SHARE", "SLOTS", "TASKS", "BYTES", "SUBMITS/H"}, rows,
             session.out());
}

absl::StatusOr<ExitCode> List(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Quota> quotas, client->ListQuotas());
  if (session.json()) {
    v1::ListQuotasResponse response;
    for (const v1::Quota& quota : quotas) *response.add_quotas() = quota;
    session.PrintJson(response);
  } else if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Quota& quota : quotas) names.push_back(quota.project());
    session.PrintNames(names);
  } else {
    PrintQuotas(session, quotas);
  }
  return ExitCode::kOk;
}

struct SetOptions {
  std::string project;
  int32_t weight = 1;
  int32_t max_slots = 0;
  int32_t max_running_tasks = 0;
  int64_t max_blob_bytes = 0;
  int32_t max_submits_per_hour = 0;
};

absl::StatusOr<ExitCode> Set(Session& session, const SetOptions& options) {
  v1::Quota quota;
  quota.set_project(options.project);
  quota.set_weight(options.weight);
  quota.set_max_slots(options.max_slots);
  quota.set_max_running_tasks(options.max_running_tasks);
  quota.set_max_blob_bytes(options.max_blob_bytes);
  quota.set_max_submits_per_hour(options.max_submits_per_hour);
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Quota stored, client->SetQuota(quota));
  if (session.json()) {
    session.PrintJson(stored);
  } else {
    PrintQuotas(session, {stored});
  }
  return ExitCode::kOk;
}

void AddSet(CLI::App& quota, Command& chosen) {
  CLI::App* const set =
      quota.add_subcommand("set", "Set all limits of a project; those not named are lifted");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<SetOptions>();
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  set->add_option("project", options->project, "Project")->required();
  set->add_option("--weight", options->weight,
                  "Share when projects compete: 2 is due twice the slots of 1")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  set->add_option("--slots", options->max_slots, "Most slots at a time; 0: no limit")
      ->check(CLI::Range(0, kMost))
      ->capture_default_str();
  set->add_option("--tasks", options->max_running_tasks,
                  "Most tasks that run at a time; 0: no limit")
      ->check(CLI::Range(0, kMost))
      ->capture_default_str();
  set->add_option("--bytes", options->max_blob_bytes,
                  "Most bytes its jobs may hold when another is submitted; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  set->add_option("--submits-per-hour", options->max_submits_per_hour,
                  "Most jobs submitted in an hour; 0: no limit")
      ->check(CLI::Range(0, kMost))
      ->capture_default_str();
  set->footer("Example:\n  distill quota set vision --weight 2 --slots 16\n");
  set->callback([options, &chosen] {
    chosen = [options](Session& session) { return Set(session, *options); };
  });
}

}  // namespace

void AddQuotaCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const quota = parent.add_subcommand("quota", "What projects may use");
  quota->require_subcommand(1);
  quota->footer("Example:\n  distill quota list\n");

  CLI::App* const list = quota->add_subcommand(
      "list", "List projects that have a quota or use slots, with their share");
  list->footer("Example:\n  distill quota list\n");
  list->callback([&chosen] { chosen = [](Session& session) { return List(session); }; });

  AddSet(*quota, chosen);

  CLI::App* const clear = quota->add_subcommand("clear", "Lift all limits of a project");
  const auto project = std::make_shared<std::string>();
  clear->add_option("project", *project, "Project")->required();
  clear->footer("Example:\n  distill quota clear vision\n");
  clear->callback([project, &chosen] {
    chosen = [project](Session& session) -> absl::StatusOr<ExitCode> {
      DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
      DISTILL_RETURN_IF_ERROR(client->DeleteQuota(*project));
      session.Note(absl::StrCat("cleared the quota of ", *project));
      return ExitCode::kOk;
    };
  });
}

}  // namespace distill::client
