// dev.
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/dev_fleet.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

struct DevOptions {
  int workers = 2;
  std::string data_directory;
  std::string program_directory;
  bool ephemeral = false;
};

void PrintFleet(Session& session, const DevFleet& fleet) {
  if (session.json()) {
    nlohmann::ordered_json json;
    json["server"] = fleet.server().grpc;
    json["web"] = absl::StrCat("http://", fleet.server().http);
    json["data_directory"] = fleet.data_directory();
    json["workers"] = nlohmann::ordered_json::array();
    for (const DevAddresses& worker : fleet.workers()) {
      json["workers"].push_back(absl::StrCat("http://", worker.http));
    }
    session.out() << json.dump() << std::endl;
    return;
  }
  std::vector<std::pair<std::string, std::string>> fields = {
      {"server", fleet.server().grpc}, {"web", absl::StrCat("http://", fleet.server().http)}};
  for (size_t i = 0; i < fleet.workers().size(); ++i) {
    fields.emplace_back(absl::StrCat("worker ", i + 1),
                        absl::StrCat("http://", fleet.workers()[i].http));
  }
  fields.emplace_back("data", fleet.data_directory());
  PrintFields(fields, session.out());
  session.out().flush();
}

absl::StatusOr<ExitCode> Dev(Session& session, const DevOptions& options) {
  const Environment& environment = session.environment();
  DevFleetOptions fleet_options;
  fleet_options.program_directory =
      options.program_directory.empty() ? environment.program_directory : options.program_directory;
  const std::string directory =
      options.data_directory.empty() ? session.DefaultDataDirectory() : options.data_directory;
  fleet_options.data_directory = std::filesystem::absolute(directory).lexically_normal().string();
  fleet_options.workers = options.workers;
  if (options.ephemeral && FileExists(fleet_options.data_directory)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--ephemeral: ", directory, " exists, and would be removed at the end; name a new folder"));
  }
  absl::StatusOr<std::unique_ptr<DevFleet>> fleet =
      DevFleet::Start(fleet_options, environment.clock, environment.interrupt,
                      [&session](absl::string_view line) { session.Note(line); });
  if (environment.interrupt->requested()) return ExitCode::kInterrupted;
  if (!fleet.ok()) return fleet.status();
  PrintFleet(session, **fleet);
  session.Note("for one machine and one person: nobody is asked who they are");
  // A current context goes before what runs in the directory.
  const absl::StatusOr<ResolvedSettings> settings = session.ResolvedOptions();
  const bool elsewhere = settings.ok() && settings->count("server") > 0 &&
                         absl::StartsWith(settings->at("server").origin, "context ");
  session.Note(
      directory == session.DefaultDataDirectory()
          ? absl::StrCat("submit from this directory with: distill job submit FILE --watch",
                         elsewhere ? " --context dev" : "")
          : absl::StrCat("submit with: distill job submit FILE --watch --server ",
                         (*fleet)->server().grpc));
  session.Note("Ctrl-C stops all; running work is checkpointed and goes on at the next start");
  while (!environment.interrupt->WaitFor(absl::Hours(1))) {
  }
  session.Note("stopping workers, then the server; Ctrl-C again kills them");
  fleet->reset();
  if (options.ephemeral) DISTILL_RETURN_IF_ERROR(RemoveTree(fleet_options.data_directory));
  session.Note("stopped");
  return ExitCode::kOk;
}

}  // namespace

void AddDevCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const dev =
      parent.add_subcommand("dev", "Run a server and workers on this machine until Ctrl-C");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<DevOptions>();
  dev->add_option("--workers,-n", options->workers, "Workers, of one slot each")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  dev->add_option("--data-dir", options->data_directory,
                  "Where jobs and results are kept; default DISTILL_DATA_DIR or .distill");
  dev->add_flag("--ephemeral", options->ephemeral, "Remove the data directory at the end");
  dev->add_option("--program-dir", options->program_directory,
                  "Folder of distill-server and distill-worker; default: beside this program");
  dev->footer("Example:\n  distill dev --workers 2\n");
  dev->callback([options, &chosen] {
    chosen = [options](Session& session) { return Dev(session, *options); };
  });
}

}  // namespace distill::client
