#include "server/app/scrubber.h"

#include <pthread.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "server/rpc/corrupt_blobs.h"

namespace distill::server {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;
constexpr int kPageBlobs = 500;

}  // namespace

Scrubber::Scrubber(const Config& config, const Dependencies& dependencies)
    : config_(config),
      dependencies_(dependencies),
      scrubbed_bytes_(dependencies.metrics->AddCounter("distill_scrubbed_bytes_total",
                                                       "Of blobs read again and compared.")),
      last_round_(dependencies.metrics->AddGauge(
          "distill_scrub_last_round_timestamp_seconds",
          "When all blobs had last been read again and compared.")) {}

Scrubber::~Scrubber() { Stop(); }

void Scrubber::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "scrubber");
}

void Scrubber::Stop() {
  {
    const MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

bool Scrubber::WaitUntil(MonotonicTime time) {
  const MutexLock lock(mu_);
  while (!stopping_) {
    const absl::Duration left = time - dependencies_.clock->Now();
    if (left <= absl::ZeroDuration()) return true;
    changed_.WaitFor(mu_, left);
  }
  return false;
}

void Scrubber::Run() {
  MonotonicTime next = dependencies_.clock->Now() + config_.interval;
  while (WaitUntil(next)) {
    next = dependencies_.clock->Now() + config_.interval;
    RunRound();
  }
}

void Scrubber::RunRound() {
  std::string page_token;
  int64_t bad = 0;
  int64_t read = 0;
  do {
    const absl::StatusOr<std::vector<storage::BlobRecord>> page =
        dependencies_.store->ListBlobs({JobId(), page_token, kPageBlobs});
    if (!page.ok()) {
      LogWarning("cannot list blobs for scrubbing", {{"cause", page.status()}});
      return;
    }
    page_token = page->size() < static_cast<size_t>(kPageBlobs) ? "" : page->back().digest.str();
    for (const storage::BlobRecord& blob : *page) {
      if (blob.state != storage::BlobState::kPresent) continue;
      const absl::Status scrubbed = Scrub(blob.digest);
      if (absl::IsCancelled(scrubbed)) return;
      ++read;
      bad += absl::IsDataLoss(scrubbed) ? 1 : 0;
      if (!scrubbed.ok() && !absl::IsDataLoss(scrubbed)) {
        LogWarning("cannot scrub blob", {{"digest", blob.digest.str()}, {"cause", scrubbed}});
      }
    }
  } while (!page_token.empty());
  AdoptOrphans();
  last_round_.Set(absl::ToDoubleSeconds(dependencies_.clock->WallNow() - absl::UnixEpoch()));
  LogInfo("all blobs were read again", {{"blobs", read}, {"corrupt_or_missing", bad}});
}

absl::Status Scrubber::Scrub(const Digest& digest) {
  const absl::Status read = ReadAndCompare(digest);
  if (!absl::IsDataLoss(read) && !absl::IsNotFound(read)) return read;
  // It may have been removed on purpose meanwhile, and it may be back.
  const absl::StatusOr<storage::BlobRecord> record = dependencies_.store->GetBlob(digest);
  if (!record.ok() || record->state != storage::BlobState::kPresent) return absl::OkStatus();
  if (absl::IsNotFound(read) && dependencies_.blobs->Stat(digest).ok()) return absl::OkStatus();
  LogError("stored blob is corrupt or missing", {{"digest", digest.str()}, {"cause", read}});
  CorruptBlobs(*dependencies_.metrics).Increment();
  const absl::Status set_aside = dependencies_.blobs->Quarantine(digest);
  if (!set_aside.ok() && !absl::IsNotFound(set_aside)) return set_aside;
  dependencies_.driver->Post(BlobsGone{{digest}}, {});
  return absl::DataLossError(read.message());
}

absl::Status Scrubber::ReadAndCompare(const Digest& digest) {
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<storage::BlobReader> reader,
                           dependencies_.blobs->OpenReader(digest));
  DigestBuilder builder;
  MonotonicTime next = dependencies_.clock->Now();
  for (uint64_t offset = 0; offset < reader->size_bytes();) {
    DISTILL_ASSIGN_OR_RETURN(const std::string bytes, reader->Read(offset, kChunkBytes));
    builder.Append(bytes);
    offset += bytes.size();
    scrubbed_bytes_.Increment(static_cast<double>(bytes.size()));
    next = next + absl::Seconds(static_cast<double>(bytes.size()) /
                                static_cast<double>(config_.bytes_per_second));
    if (!WaitUntil(next)) return absl::CancelledError("stopping");
  }
  const Digest actual = builder.Finish();
  if (actual == digest) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("its bytes have another digest; got=", actual.str()));
}

void Scrubber::AdoptOrphans() {
  const absl::StatusOr<std::vector<storage::BlobInfo>> stored = dependencies_.blobs->List();
  if (!stored.ok()) {
    LogWarning("cannot list stored blobs", {{"cause", stored.status()}});
    return;
  }
  std::set<Digest> unknown;
  for (const storage::BlobInfo& blob : *stored) {
    if (!absl::IsNotFound(dependencies_.store->GetBlob(blob.digest).status())) continue;
    // In its first round an unknown blob may be one that is just being recorded.
    if (orphans_.count(blob.digest) == 0) {
      unknown.insert(blob.digest);
      continue;
    }
    LogInfo("stored blob without a record gets one",
            {{"digest", blob.digest.str()}, {"size_bytes", blob.size_bytes}});
    dependencies_.driver->Post(
        BlobPresent{blob.digest, static_cast<int64_t>(blob.size_bytes), /*type=*/0}, {});
  }
  orphans_ = std::move(unknown);
}

}  // namespace distill::server
