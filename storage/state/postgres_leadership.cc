#include "storage/state/postgres_leadership.h"

#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "storage/state/postgres_connection.h"
#include "storage/state/postgres_state_store.h"

namespace distill::storage {
namespace {

// The CHECK is what refuses writes of a former leader; postgres_state_store.cc relies on it.
constexpr char kCreateRow[] =
    "BEGIN; SELECT pg_advisory_xact_lock(4702394921427289928); "
    "CREATE TABLE IF NOT EXISTS distill_leadership ("
    "  only_row BOOLEAN PRIMARY KEY CHECK (only_row), epoch BIGINT NOT NULL, holder TEXT NOT NULL,"
    "  address TEXT NOT NULL, writer_epoch BIGINT NOT NULL, renewed_at TIMESTAMPTZ NOT NULL,"
    "  CONSTRAINT only_the_leader_writes CHECK (writer_epoch = epoch)) WITH (fillfactor = 10); "
    "INSERT INTO distill_leadership VALUES (TRUE, 0, '', '', 0, '-infinity') "
    "ON CONFLICT DO NOTHING; COMMIT";
constexpr char kLook[] =
    "SELECT address, CASE WHEN renewed_at < clock_timestamp() - ?1 * INTERVAL '1 millisecond' "
    "OR holder = ?2 THEN 1 ELSE 0 END FROM distill_leadership";
// Ends the session of the leader that went silent, which may hold the row's lock.
constexpr char kEndOldWriter[] =
    "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "JOIN distill_leadership ON application_name = 'distill-writer-' || holder "
    "WHERE holder <> '' AND datname = current_database() AND usename = current_user";
constexpr char kTake[] =
    "UPDATE distill_leadership SET epoch = epoch + 1, writer_epoch = epoch + 1, holder = ?1, "
    "address = ?2, renewed_at = clock_timestamp() WHERE holder = ?1 "
    "OR renewed_at < clock_timestamp() - ?3 * INTERVAL '1 millisecond' RETURNING epoch";
constexpr char kRenew[] =
    "UPDATE distill_leadership SET renewed_at = clock_timestamp() WHERE epoch = ? AND holder = ? "
    "RETURNING epoch";
constexpr char kResign[] =
    "UPDATE distill_leadership SET renewed_at = '-infinity', address = '' "
    "WHERE epoch = ? AND holder = ?";

class PostgresLeadership : public Leadership {
 public:
  PostgresLeadership(const PostgresLeadershipConfig& config, const Clock& clock)
      : config_(config), clock_(clock) {}
  ~PostgresLeadership() override { Resign(); }

  absl::Status CreateRow() ABSL_LOCKS_EXCLUDED(database_mu_) {
    MutexLock lock(database_mu_);
    DISTILL_RETURN_IF_ERROR(Connect());
    return connection_->Execute(kCreateRow);
  }

  absl::StatusOr<bool> TryToLead() override ABSL_LOCKS_EXCLUDED(database_mu_, mu_) {
    MutexLock lock(database_mu_);
    absl::StatusOr<bool> leads = Take();
    if (!leads.ok()) connection_.reset();
    return leads;
  }

  std::string leader_address() const override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return leader_address_;
  }

  void Hold(std::function<void(const absl::Status&)> on_lost) override {
    renewer_ = std::thread([this, on_lost = std::move(on_lost)] { Renew(on_lost); });
  }

  bool Leads() const override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return epoch_ > 0 && !stopping_ && clock_.Now() - confirmed_ < config_.takeover_after;
  }

  absl::StatusOr<std::unique_ptr<StateStore>> OpenStore() override ABSL_LOCKS_EXCLUDED(mu_) {
    PostgresStateStore::Config store;
    store.database.conninfo = config_.conninfo;
    store.database.application_name = absl::StrCat("distill-writer-", config_.holder);
    {
      MutexLock lock(mu_);
      store.epoch = epoch_;
    }
    DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<PostgresStateStore> opened,
                             PostgresStateStore::Open(store));
    return std::unique_ptr<StateStore>(std::move(opened));
  }

  void Resign() override ABSL_LOCKS_EXCLUDED(database_mu_, mu_) {
    {
      MutexLock lock(mu_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    if (renewer_.joinable()) renewer_.join();
    MutexLock lock(database_mu_);
    if (connection_ == nullptr) return;
    MutexLock state(mu_);
    if (epoch_ == 0) return;
    const absl::Status resigned =
        connection_->Prepare(kResign).Int(epoch_).Text(config_.holder).Run();
    if (!resigned.ok()) LogWarning("cannot resign from leading", {{"cause", resigned}});
    epoch_ = 0;
    connection_.reset();
  }

 private:
  absl::Status Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mu_) {
    if (connection_ != nullptr) return absl::OkStatus();
    PostgresOptions options;
    options.conninfo = config_.conninfo;
    options.application_name = "distill-leadership";
    options.reply_timeout = config_.renew_interval * 1.5;
    DISTILL_ASSIGN_OR_RETURN(connection_, PostgresConnection::Open(options));
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(database_mu_) ABSL_LOCKS_EXCLUDED(mu_) {
    DISTILL_RETURN_IF_ERROR(Connect());
    const int64_t limit = absl::ToInt64Milliseconds(config_.takeover_after);
    {
      SqlStatement look = connection_->Prepare(kLook);
      DISTILL_ASSIGN_OR_RETURN(const bool row, look.Int(limit).Text(config_.holder).Step());
      if (!row) return absl::FailedPreconditionError("cannot lead: the leadership has no row");
      MutexLock lock(mu_);
      leader_address_ = look.ReadText();
      if (look.ReadInt() == 0) return false;
    }
    DISTILL_RETURN_IF_ERROR(connection_->QueryInt(kEndOldWriter).status());
    const MonotonicTime asked = clock_.Now();
    SqlStatement take = connection_->Prepare(kTake);
    DISTILL_ASSIGN_OR_RETURN(const bool taken,
                             take.Text(config_.holder).Text(config_.address).Int(limit).Step());
    if (!taken) return false;  // Another one was quicker.
    MutexLock lock(mu_);
    epoch_ = take.ReadInt();
    confirmed_ = asked;
    leader_address_ = config_.address;
    LogInfo("this server leads", {{"epoch", epoch_}});
    return true;
  }

  // Renews once. kFailedPrecondition: another server leads.
  absl::Status RenewOnce() ABSL_LOCKS_EXCLUDED(database_mu_, mu_) {
    MutexLock lock(database_mu_);
    DISTILL_RETURN_IF_ERROR(Connect());
    const MonotonicTime asked = clock_.Now();
    int64_t epoch = 0;
    {
      MutexLock state(mu_);
      epoch = epoch_;
    }
    absl::StatusOr<bool> renewed =
        connection_->Prepare(kRenew).Int(epoch).Text(config_.holder).Step();
    if (!renewed.ok()) {
      connection_.reset();
      return renewed.status();
    }
    if (!*renewed) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot go on leading: another server took over; epoch=", epoch));
    }
    MutexLock state(mu_);
    confirmed_ = asked;
    return absl::OkStatus();
  }

  void Renew(const std::function<void(const absl::Status&)>& on_lost)
      ABSL_LOCKS_EXCLUDED(database_mu_, mu_) {
    for (;;) {
      absl::Status renewed = RenewOnce();
      MutexLock lock(mu_);
      if (stopping_) return;
      const absl::Duration silent = clock_.Now() - confirmed_;
      if (absl::IsFailedPrecondition(renewed) || silent >= config_.takeover_after) {
        if (renewed.ok())
          renewed = absl::UnavailableError("cannot go on leading: renewed too late");
        stopping_ = true;
        lost_ = std::move(renewed);
        break;
      }
      if (!renewed.ok()) LogWarning("cannot renew leadership", {{"cause", renewed}});
      changed_.WaitFor(mu_, renewed.ok() ? config_.renew_interval : config_.renew_interval / 4);
      if (stopping_) return;
    }
    if (on_lost) on_lost(LostCause());
  }

  absl::Status LostCause() const ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return lost_;
  }

  const PostgresLeadershipConfig config_;
  const Clock& clock_;

  // Held during I/O; taken before mu_.
  Mutex database_mu_;
  std::unique_ptr<PostgresConnection> connection_ ABSL_GUARDED_BY(database_mu_);

  mutable Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  // When the last renewal that succeeded was asked for.
  MonotonicTime confirmed_ ABSL_GUARDED_BY(mu_);
  std::string leader_address_ ABSL_GUARDED_BY(mu_);
  absl::Status lost_ ABSL_GUARDED_BY(mu_);

  std::thread renewer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Leadership>> OpenPostgresLeadership(
    const PostgresLeadershipConfig& config, const Clock& clock) {
  DISTILL_RETURN_IF_ERROR(ValidatePostgresConninfo(config.conninfo));
  auto leadership = std::make_unique<PostgresLeadership>(config, clock);
  DISTILL_RETURN_IF_ERROR(leadership->CreateRow());
  return std::unique_ptr<Leadership>(std::move(leadership));
}

absl::StatusOr<std::unique_ptr<SqlConnection>> OpenPostgres(const std::string& conninfo) {
  PostgresOptions options;
  options.conninfo = conninfo;
  options.application_name = "distill-admin";
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<PostgresConnection> connection,
                           PostgresConnection::Open(options));
  return std::unique_ptr<SqlConnection>(std::move(connection));
}

}  // namespace distill::storage
