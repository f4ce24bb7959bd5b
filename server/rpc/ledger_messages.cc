#include "server/rpc/ledger_messages.h"

#include "absl/time/time.h"

namespace distill::server {
namespace {

using storage::LedgerEntry;

LedgerLine LineOf(const LedgerAccount& account, LedgerEntry entry) {
  const auto line = account.lines.find(entry);
  return line == account.lines.end() ? LedgerLine() : line->second;
}

v1::DeviceTimeAccount ToProto(const LedgerAccount& account) {
  v1::DeviceTimeAccount proto;
  const LedgerLine spent = LineOf(account, LedgerEntry::kSpent);
  proto.set_spent_seconds(absl::ToDoubleSeconds(spent.device_time));
  proto.set_attempts(spent.count);
  const LedgerLine saved = LineOf(account, LedgerEntry::kSaved);
  proto.set_saved_seconds(absl::ToDoubleSeconds(saved.device_time));
  proto.set_hits(saved.count);
  proto.set_misses(LineOf(account, LedgerEntry::kMissed).count);
  proto.set_merged(LineOf(account, LedgerEntry::kMerged).count);
  absl::Duration lost;
  for (const auto& [entry, line] : account.lines) {
    if (!storage::IsLoss(entry) || line.count == 0) continue;
    lost += line.device_time;
    v1::DeviceTimeLoss* const loss = proto.add_losses();
    // Entries of losses follow the protocol's causes.
    loss->set_cause(static_cast<v1::LossCause>(
        static_cast<int>(entry) - static_cast<int>(LedgerEntry::kLostUser) + v1::LOSS_CAUSE_USER));
    loss->set_seconds(absl::ToDoubleSeconds(line.device_time));
    loss->set_attempts(line.count);
  }
  proto.set_lost_seconds(absl::ToDoubleSeconds(lost));
  proto.set_running_seconds(absl::ToDoubleSeconds(account.running));
  return proto;
}

}  // namespace

v1::Ledger ToProto(const LedgerView& view) {
  v1::Ledger proto;
  proto.set_project(view.project.str());
  proto.set_job(view.job.str());
  LedgerAccount total;
  for (const auto& [kind, account] : view.accounts) {
    v1::DeviceTimeAccount* const row = proto.add_kinds();
    *row = ToProto(account);
    row->set_kind(kind);
    total.running += account.running;
    for (const auto& [entry, line] : account.lines) {
      total.lines[entry].count += line.count;
      total.lines[entry].device_time += line.device_time;
    }
  }
  *proto.mutable_total() = ToProto(total);
  return proto;
}

v1::CacheStats::Row ToProto(const CacheRow& row) {
  v1::CacheStats::Row proto;
  proto.set_project(row.project.str());
  proto.set_kind(row.kind);
  proto.set_entries(row.entries);
  proto.set_bytes(row.bytes);
  const v1::DeviceTimeAccount account = ToProto(row.account);
  proto.set_hits(account.hits());
  proto.set_misses(account.misses());
  proto.set_merged(account.merged());
  proto.set_saved_seconds(account.saved_seconds());
  return proto;
}

}  // namespace distill::server
