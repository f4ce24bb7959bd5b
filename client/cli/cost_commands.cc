// job cost and ledger: what device time went into.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace distill::client {
namespace {

// "infrastructure 3:07 (2), preempted 4.2 s (1)".
std::string Losses(const v1::DeviceTimeAccount& account) {
  std::string text;
  for (const v1::DeviceTimeLoss& loss : account.losses()) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", StateName(loss.cause()), " ",
                    FormatSeconds(loss.seconds()), " (", loss.attempts(), ")");
  }
  return text.empty() ? "-" : text;
}

std::vector<std::string> Row(const std::string& kind, const v1::DeviceTimeAccount& account) {
  return {kind,
          absl::StrCat(account.attempts()),
          FormatSeconds(account.spent_seconds()),
          FormatSeconds(account.lost_seconds()),
          FormatSeconds(account.saved_seconds()),
          absl::StrCat(account.hits()),
          absl::StrCat(account.misses()),
          absl::StrCat(account.merged()),
          FormatSeconds(account.running_seconds()),
          Losses(account)};
}

void PrintLedger(Session& session, const v1::Ledger& ledger) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::DeviceTimeAccount& account : ledger.kinds()) {
    rows.push_back(Row(absl::AsciiStrToLower(account.kind()), account));
  }
  rows.push_back(Row("all", ledger.total()));
  PrintTable({"KIND", "ATTEMPTS", "SPENT", "LOST", "SAVED", "HITS", "MISSES", "MERGED", "RUNNING",
              "LOST TO"},
             rows, session.out());
}

absl::StatusOr<ExitCode> Cost(Session& session, const std::string& text) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  DISTILL_ASSIGN_OR_RETURN(const v1::Ledger ledger, client->GetJobCost(job));
  if (session.json()) {
    session.PrintJson(ledger);
  } else {
    PrintLedger(session, ledger);
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Ledgers(Session& session, const std::string& project) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Ledger> ledgers, client->ListLedgers(project));
  if (session.json()) {
    v1::ListLedgersResponse response;
    for (const v1::Ledger& ledger : ledgers) *response.add_ledgers() = ledger;
    session.PrintJson(response);
    return ExitCode::kOk;
  }
  bool first = true;
  for (const v1::Ledger& ledger : ledgers) {
    session.out() << (first ? "" : "\n") << "project " << ledger.project() << "\n";
    first = false;
    PrintLedger(session, ledger);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddJobCostCommand(CLI::App& job, Command& chosen) {
  CLI::App* const cost = job.add_subcommand(
      "cost", "What a job's device time went into: spent, lost and why, saved by reuse");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto of = std::make_shared<std::string>();
  cost->add_option("job", *of, "Job id, or latest")->required();
  cost->footer(
      "One device-second is one slot leased for a second; tasks of a bundle share their slot.\n"
      "Example:\n  distill job cost latest\n");
  cost->callback([of, &chosen] { chosen = [of](Session& session) { return Cost(session, *of); }; });
}

void AddLedgerCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const ledger = parent.add_subcommand(
      "ledger", "What the device time of projects went into, forgotten jobs included");
  const auto project = std::make_shared<std::string>();
  ledger->add_option("--project", *project, "Only this one; default: all");
  ledger->footer("Example:\n  distill ledger --project vision\n");
  ledger->callback([project, &chosen] {
    chosen = [project](Session& session) { return Ledgers(session, *project); };
  });
}

}  // namespace distill::client
