#include "worker/agent/outbox.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"

namespace distill::worker {
namespace {

constexpr char kEntryName[] = "entry.pb";
constexpr char kUnfinishedSuffix[] = ".tmp";
constexpr char kUnreadableSuffix[] = ".unreadable";

absl::Status LinkFile(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return absl::OkStatus();
  return ErrnoStatus(errno, "link", absl::StrCat(from, " to ", to));
}

absl::StatusOr<Outbox::Item> ReadEntry(const std::string& directory) {
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(JoinPath(directory, kEntryName)));
  Outbox::Item item;
  if (!item.ParseFromString(bytes)) {
    return absl::DataLossError(absl::StrCat("entry does not parse; path=", directory));
  }
  return item;
}

}  // namespace

Outbox::Outbox(std::string directory, Metrics& metrics)
    : directory_(std::move(directory)),
      entries_gauge_(metrics.AddGauge("distill_worker_outbox_entries",
                                      "Finished results that the server has not acknowledged.")) {}

absl::StatusOr<std::unique_ptr<Outbox>> Outbox::Open(std::string directory, Metrics& metrics) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(directory));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    if (absl::EndsWith(name, kUnfinishedSuffix)) {
      DISTILL_RETURN_IF_ERROR(RemoveTree(JoinPath(directory, name)));
    }
  }
  return std::unique_ptr<Outbox>(new Outbox(std::move(directory), metrics));
}

absl::Status Outbox::Put(const Item& item, const std::map<Digest, std::string>& files) {
  const std::string& lease_id = item.lease().lease_id();
  if (!IsValidIdText(lease_id)) {
    return absl::InvalidArgumentError(absl::StrCat("lease id cannot be a name; id=", lease_id));
  }
  const std::string entry = JoinPath(directory_, lease_id);
  const std::string unfinished = absl::StrCat(entry, kUnfinishedSuffix);
  const auto write = [&]() -> absl::Status {
    DISTILL_RETURN_IF_ERROR(RemoveTree(unfinished));
    DISTILL_RETURN_IF_ERROR(CreateDirectories(unfinished));
    for (const auto& [digest, path] : files) {
      DISTILL_RETURN_IF_ERROR(LinkFile(path, JoinPath(unfinished, digest.hex())));
    }
    DISTILL_RETURN_IF_ERROR(
        WriteFileAtomically(JoinPath(unfinished, kEntryName), item.SerializeAsString()));
    DISTILL_RETURN_IF_ERROR(SyncDirectory(unfinished));
    return RenameDurably(unfinished, entry);
  };
  DISTILL_RETURN_IF_ERROR(Annotate(write(), "cannot store result in outbox"));
  CountEntries(+1);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Outbox::Item>> Outbox::Load() {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory_));
  std::vector<Item> items;
  for (const std::string& name : names) {
    if (absl::EndsWith(name, kUnreadableSuffix)) continue;
    const std::string path = JoinPath(directory_, name);
    absl::StatusOr<Item> item = ReadEntry(path);
    if (item.ok() && item->lease().lease_id() == name) {
      items.push_back(*std::move(item));
      continue;
    }
    LogWarning("outbox entry cannot be read; set aside",
               {{"path", path}, {"error", item.status()}});
    DISTILL_RETURN_IF_ERROR(RenameDurably(path, absl::StrCat(path, kUnreadableSuffix)));
  }
  CountEntries(static_cast<int>(items.size()));
  return items;
}

std::string Outbox::FilePath(const std::string& lease_id, const Digest& digest) const {
  return JoinPath(JoinPath(directory_, lease_id), digest.hex());
}

absl::Status Outbox::Remove(const std::string& lease_id) {
  const std::string entry = JoinPath(directory_, lease_id);
  if (!FileExists(entry)) return absl::OkStatus();
  // Out of sight first: a removal that is cut short must not leave half an entry.
  const std::string unfinished = absl::StrCat(entry, kUnfinishedSuffix);
  DISTILL_RETURN_IF_ERROR(RenameDurably(entry, unfinished));
  CountEntries(-1);
  return RemoveTree(unfinished);
}

void Outbox::CountEntries(int change) {
  MutexLock lock(mu_);
  entries_ += change;
  entries_gauge_.Set(entries_);
}

}  // namespace distill::worker
