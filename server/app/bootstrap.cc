#include "server/app/bootstrap.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "server/auth/token_registry.h"
#include "storage/state/sqlite_state_store.h"

namespace distill::server {
namespace {

constexpr absl::Duration kLifetime = absl::Hours(24);
constexpr int kIdBytes = 8;

// Fails rather than write through a link, or into a file that others can read.
absl::Status WriteSecret(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoStatus(errno, "create token file", path);
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       fsync(file) == 0;
  const int error = errno;
  close(file);
  return written ? absl::OkStatus() : ErrnoStatus(error, "write token file", path);
}

}  // namespace

absl::Status IssueAdminToken(const ServerConfig& config, const std::string& path,
                             const Clock& clock, IdSource& ids) {
  if (config.state != "sqlite") {
    return absl::InvalidArgumentError(
        "cannot issue admin token: this takes --state=sqlite; with PostgreSQL make one with "
        "`distill token create` and an administrator's certificate (deploy/ca/ca.sh user)");
  }
  DISTILL_RETURN_IF_ERROR(CreateDirectories(config.data_dir));
  const absl::StatusOr<FileLock> lock = FileLock::Acquire(JoinPath(config.data_dir, "lock"));
  if (!lock.ok()) {
    return Annotate(lock.status(),
                    "cannot issue admin token: the server runs; stop it for a moment, or make one "
                    "with `distill token create` and an administrator's certificate");
  }
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<storage::SqliteStateStore> store,
                           storage::SqliteStateStore::Open(JoinPath(config.data_dir, "state.db")));
  NewToken token = MakeToken(ids.RandomHex(kIdBytes), ids);
  token.record.project = ProjectId(kAllProjects);
  token.record.role = static_cast<int32_t>(Role::kAdmin);
  token.record.description = "first token";
  token.record.creator = "distill-server --issue-admin-token";
  token.record.create_time = absl::FromUnixMicros(absl::ToUnixMicros(clock.WallNow()));
  token.record.expire_time = token.record.create_time + kLifetime;
  // The file first: a token that nobody has read is better than one that nobody can read.
  DISTILL_RETURN_IF_ERROR(WriteSecret(path, absl::StrCat(token.text, "\n")));
  return store->Commit({storage::PutToken{token.record}});
}

}  // namespace distill::server
