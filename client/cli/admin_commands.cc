// admin backup, restore, doctor, gc: what an operator does to the state of a server, on the machine
// where it lies. They open the database and the object store themselves, so that they also work
// when the server does not.
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "nlohmann/json.hpp"
#include "storage/admin/backup.h"
#include "storage/admin/doctor.h"
#include "storage/admin/strays.h"
#include "storage/settings/blob_place.h"
#include "storage/state/postgres_leadership.h"
#include "storage/state/sqlite_connection.h"

namespace distill::client {
namespace {

using storage::SqlConnection;
using storage::SqliteConnection;

// Where the state lies.
struct Place {
  std::string data_dir;
  std::string postgres;  // Empty: the SQLite file in the data directory.
  storage::BlobPlace blobs;
  bool without_blobs = false;
};

enum class Access { kRead, kChange };

absl::StatusOr<std::unique_ptr<SqlConnection>> OpenDatabase(const Place& place, Access access) {
  if (!place.postgres.empty()) return storage::OpenPostgres(place.postgres);
  const std::string path = JoinPath(place.data_dir, "state.db");
  if (access == Access::kRead && !FileExists(path)) {
    return absl::NotFoundError(absl::StrCat(
        "cannot open state database: there is none; is --data-dir that of the server? path=",
        path));
  }
  DISTILL_ASSIGN_OR_RETURN(
      std::unique_ptr<SqliteConnection> connection,
      SqliteConnection::Open(path, access == Access::kRead ? SqliteConnection::Mode::kReadOnly
                                                           : SqliteConnection::Mode::kReadWrite));
  return std::unique_ptr<SqlConnection>(std::move(connection));
}

// What the server itself keeps on local disk for its blobs.
std::string BlobFolder(const Place& place) { return JoinPath(place.data_dir, "blobs"); }

// Null with --without-blobs. Uploads, whose folder is the server's, only where servers are kept
// away.
absl::StatusOr<std::unique_ptr<storage::BlobStore>> OpenBlobs(const Session& session,
                                                              const Place& place,
                                                              Metrics& metrics) {
  if (place.without_blobs) return nullptr;
  DISTILL_RETURN_IF_ERROR(storage::CheckBlobPlace(place.blobs));
  return storage::OpenBlobPlace(place.blobs, BlobFolder(place), {}, *session.environment().clock,
                                metrics);
}

// Keeps servers away while something changes: their lock for SQLite, their leadership for
// PostgreSQL.
struct Exclusion {
  std::optional<FileLock> lock;
  std::unique_ptr<storage::Leadership> leadership;
};

absl::StatusOr<Exclusion> Exclude(Session& session, const Place& place) {
  Exclusion exclusion;
  if (place.postgres.empty()) {
    DISTILL_ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(JoinPath(place.data_dir, "lock")));
    exclusion.lock.emplace(std::move(lock));
    return exclusion;
  }
  storage::PostgresLeadershipConfig config;
  config.conninfo = place.postgres;
  config.holder = session.environment().ids->RandomHex(16);
  DISTILL_ASSIGN_OR_RETURN(exclusion.leadership,
                           storage::OpenPostgresLeadership(config, *session.environment().clock));
  DISTILL_ASSIGN_OR_RETURN(const bool alone, exclusion.leadership->TryToLead());
  if (!alone) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot change state: a server leads on this database, stop all of them; "
                     "leader=",
                     exclusion.leadership->leader_address()));
  }
  exclusion.leadership->Hold({});
  return exclusion;
}

void PrintBackup(Session& session, const storage::BackupInfo& info, const std::string& folder) {
  if (session.json()) {
    const nlohmann::ordered_json json = {
        {"folder", folder},       {"schema", info.schema},         {"rows", info.rows},
        {"blobs", info.blobs},    {"blob_bytes", info.blob_bytes}, {"copied", info.copied},
        {"missing", info.missing}};
    session.PrintJson(json.dump());
    return;
  }
  session.out() << "schema " << info.schema << ", " << info.rows << " rows, " << info.blobs
                << " blobs of " << info.blob_bytes << " bytes: " << info.copied << " copied, "
                << info.missing << " missing\n";
}

absl::StatusOr<ExitCode> Backup(Session& session, const Place& place, const std::string& folder) {
  DISTILL_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(place, Access::kRead));
  NullMetrics metrics;
  DISTILL_ASSIGN_OR_RETURN(const auto blobs, OpenBlobs(session, place, metrics));
  DISTILL_ASSIGN_OR_RETURN(const storage::BackupInfo info,
                           storage::MakeBackup(*connection, blobs.get(), folder));
  PrintBackup(session, info, folder);
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Restore(Session& session, const Place& place, const std::string& folder) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(place.data_dir));
  DISTILL_ASSIGN_OR_RETURN(const Exclusion exclusion, Exclude(session, place));
  DISTILL_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(place, Access::kChange));
  NullMetrics metrics;
  DISTILL_ASSIGN_OR_RETURN(const auto blobs, OpenBlobs(session, place, metrics));
  DISTILL_ASSIGN_OR_RETURN(const storage::BackupInfo info,
                           storage::RestoreBackup(folder, *connection, blobs.get()));
  PrintBackup(session, info, folder);
  return ExitCode::kOk;
}

void PrintDiagnosis(Session& session, const storage::Diagnosis& diagnosis) {
  using Severity = storage::Finding::Severity;
  if (session.json()) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const storage::Finding& finding : diagnosis.findings) {
      findings.push_back({{"severity", finding.severity == Severity::kProblem ? "problem" : "note"},
                          {"what", finding.what},
                          {"remedy", finding.remedy}});
    }
    const nlohmann::ordered_json json = {{"healthy", diagnosis.healthy()},
                                         {"schema", diagnosis.schema},
                                         {"jobs", diagnosis.jobs},
                                         {"tasks", diagnosis.tasks},
                                         {"blobs", diagnosis.blobs},
                                         {"verified_blobs", diagnosis.verified_blobs},
                                         {"findings", findings}};
    session.PrintJson(json.dump());
    return;
  }
  for (const storage::Finding& finding : diagnosis.findings) {
    session.out() << (finding.severity == Severity::kProblem ? "problem: " : "note: ")
                  << finding.what << "\n  remedy: " << finding.remedy << "\n";
  }
  session.out() << (diagnosis.healthy() ? "healthy: " : "not healthy: ") << "schema "
                << diagnosis.schema << ", " << diagnosis.jobs << " jobs, " << diagnosis.tasks
                << " tasks, " << diagnosis.blobs << " blobs, " << diagnosis.verified_blobs
                << " of them verified\n";
}

absl::StatusOr<ExitCode> Doctor(Session& session, const Place& place, bool verify) {
  DISTILL_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(place, Access::kRead));
  NullMetrics metrics;
  DISTILL_ASSIGN_OR_RETURN(const auto blobs, OpenBlobs(session, place, metrics));
  storage::DoctorOptions options;
  options.verify_blobs = verify;
  if (!place.without_blobs) options.blob_folder = BlobFolder(place);
  DISTILL_ASSIGN_OR_RETURN(const storage::Diagnosis diagnosis,
                           storage::Examine(*connection, blobs.get(), options));
  PrintDiagnosis(session, diagnosis);
  return diagnosis.healthy() ? ExitCode::kOk : ExitCode::kFailed;
}

absl::StatusOr<ExitCode> CollectStrays(Session& session, const Place& place) {
  DISTILL_ASSIGN_OR_RETURN(const Exclusion exclusion, Exclude(session, place));
  DISTILL_ASSIGN_OR_RETURN(const auto connection, OpenDatabase(place, Access::kRead));
  NullMetrics metrics;
  DISTILL_ASSIGN_OR_RETURN(const auto blobs, OpenBlobs(session, place, metrics));
  DISTILL_ASSIGN_OR_RETURN(const storage::RemovedStrays removed,
                           storage::RemoveStrays(*connection, *blobs));
  if (session.json()) {
    const nlohmann::ordered_json json = {{"blobs", removed.blobs}, {"bytes", removed.bytes}};
    session.PrintJson(json.dump());
  } else {
    session.out() << "removed " << removed.blobs << " blobs of " << removed.bytes
                  << " bytes that no row knew\n";
  }
  return ExitCode::kOk;
}

void AddPlaceOptions(CLI::App& command, Place& place) {
  command.add_option("--data-dir", place.data_dir, "Data directory of the server")->required();
  command.add_option("--postgres", place.postgres,
                     "Connection string of the server's PostgreSQL database, without a password; "
                     "default: its SQLite file");
  storage::AddBlobPlaceOptions(command, place.blobs);
}

}  // namespace

void AddAdminCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const admin =
      parent.add_subcommand("admin", "Back up, restore and examine a server's state");
  admin->require_subcommand(1);
  admin->footer("Example:\n  distill admin doctor --data-dir /var/lib/distill\n");

  // Co-owned by the callbacks, which outlive this function.
  struct Options {
    Place place;
    std::string folder;
    bool verify = false;
  };
  const auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* description, const char* example) {
    CLI::App* const command = admin->add_subcommand(name, description);
    AddPlaceOptions(*command, options->place);
    command->footer(absl::StrCat("Example:\n  distill admin ", name, " --data-dir /var/lib/distill",
                                 example, "\n"));
    return command;
  };
  CLI::App* const backup =
      add("backup", "Write the state, and the blobs, into a folder; the server may run",
          " --to /backup/today");
  backup->add_option("--to", options->folder, "Folder of the backup; made if absent")->required();
  backup->add_flag("--without-blobs", options->place.without_blobs, "Only list the blobs");
  backup->callback([options, &chosen] {
    chosen = [options](Session& session) {
      return Backup(session, options->place, options->folder);
    };
  });
  CLI::App* const restore =
      add("restore", "Fill an empty database from a backup", " --from /backup/today");
  restore->add_option("--from", options->folder, "Folder of the backup")->required();
  restore->add_flag("--without-blobs", options->place.without_blobs, "Leave the blobs alone");
  restore->callback([options, &chosen] {
    chosen = [options](Session& session) {
      return Restore(session, options->place, options->folder);
    };
  });
  CLI::App* const doctor =
      add("doctor", "Examine the state and say what to do; the server may run", "");
  doctor->add_flag("--verify", options->verify, "Read every blob and compare its digest");
  doctor->add_flag("--without-blobs", options->place.without_blobs, "Examine the database only");
  doctor->callback([options, &chosen] {
    chosen = [options](Session& session) {
      return Doctor(session, options->place, options->verify);
    };
  });
  add("gc", "Remove blobs that no row knows; the server must be stopped", "")
      ->callback([options, &chosen] {
        chosen = [options](Session& session) { return CollectStrays(session, options->place); };
      });
}

}  // namespace distill::client
