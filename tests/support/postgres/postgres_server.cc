#include "tests/support/postgres/postgres_server.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"
#include "base/file.h"
#include "storage/state/postgres_connection.h"

namespace distill {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(60);
constexpr char kUser[] = "distill";

// Debian keeps the server's programs out of the path.
std::string Program(const std::string& name) {
  constexpr char kVersions[] = "/usr/lib/postgresql";
  for (const std::string& version : ListDirectory(kVersions).value_or(std::vector<std::string>())) {
    std::string path = absl::StrCat(kVersions, "/", version, "/bin/", name);
    if (FileExists(path)) return path;
  }
  DISTILL_CHECK(false, "this test needs the Debian package postgresql");
  return "";
}

// The user that runs the server when the test runs as root.
const passwd* OtherUser() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  return user != nullptr ? user : getpwnam("nobody");
}

std::vector<std::string> Command(std::vector<std::string> words) {
  const passwd* user = OtherUser();
  if (user == nullptr) return words;
  std::vector<std::string> command = {"/usr/bin/setpriv", absl::StrCat("--reuid=", user->pw_uid),
                                      absl::StrCat("--regid=", user->pw_gid), "--clear-groups",
                                      "--pdeathsig=QUIT"};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

}  // namespace

PostgresServer::PostgresServer() {
  const std::string data = directory_.Join("data");
  const std::string log = directory_.Join("postgres.log");
  if (const passwd* user = OtherUser()) {
    DISTILL_CHECK(chown(directory_.path().c_str(), user->pw_uid, user->pw_gid) == 0,
                  "a test gives its folder to another user");
  }
  Process initdb(Command({Program("initdb"), "--pgdata", data, "--auth=trust", "--no-sync",
                          "--no-locale", "--encoding=UTF8", absl::StrCat("--username=", kUser)}),
                 log);
  DISTILL_CHECK(initdb.Wait(kStartLimit) == 0, "initdb succeeds");
  // Nothing here outlives the test, so nothing needs to reach the disk.
  server_ = std::make_unique<Process>(
      Command({Program("postgres"), "-D", data, "-k", directory_.path(), "-c",
               "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c",
               "max_connections=60", "-c", "autovacuum=off"}),
      log);
  storage::PostgresOptions options;
  options.conninfo = AdministratorConninfo();
  const bool answers =
      Eventually([&] { return storage::PostgresConnection::Open(options).ok(); }, kStartLimit);
  DISTILL_CHECK(answers, "PostgreSQL starts");
}

PostgresServer::~PostgresServer() {
  // It removes its shared memory then.
  server_->Signal(SIGINT);
  server_->Wait(absl::Seconds(20));
}

std::string PostgresServer::AdministratorConninfo() const {
  return absl::StrCat("host=", directory_.path(), " dbname=postgres user=", kUser);
}

std::string PostgresServer::NewDatabase() {
  const std::string schema = absl::StrCat("test_", ++databases_);
  Execute(absl::StrCat("CREATE SCHEMA ", schema));
  return absl::StrCat(AdministratorConninfo(), " options='-c search_path=", schema, "'");
}

std::string PostgresServer::Through(const std::string& conninfo, const std::string& host,
                                    int port) {
  const size_t end = conninfo.find(' ');
  return absl::StrCat("host=", host, " port=", port, conninfo.substr(end));
}

std::string PostgresServer::socket_path() const { return directory_.Join(".s.PGSQL.5432"); }

void PostgresServer::Execute(const std::string& sql) const {
  storage::PostgresOptions options;
  options.conninfo = AdministratorConninfo();
  auto connection = storage::PostgresConnection::Open(options);
  DISTILL_CHECK(connection.ok(), "PostgreSQL answers");
  DISTILL_CHECK((*connection)->Execute(sql).ok(), "PostgreSQL obeys");
}

PostgresServer& SharedPostgresServer() {
  static PostgresServer server;
  return server;
}

}  // namespace distill
