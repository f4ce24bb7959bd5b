#include "server/app/maintenance.h"

#include <pthread.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/tls_files.h"

namespace distill::server {
namespace {

std::string StateOf(const WorkerView& worker) {
  if (!worker.live) return "lost";
  if (worker.draining) return "draining";
  if (worker.quarantine != storage::Quarantine::kNone) return "quarantined";
  return worker.slots_in_use >= worker.info.slots ? "busy" : "ready";
}

void SetWorkerGauges(const std::vector<WorkerView>& workers, absl::Time now, Metrics& metrics) {
  std::map<std::string, int> counts = {
      {"ready", 0}, {"busy", 0}, {"draining", 0}, {"quarantined", 0}, {"lost", 0}};
  absl::Duration longest_silence;
  for (const WorkerView& worker : workers) {
    ++counts[StateOf(worker)];
    if (worker.live) longest_silence = std::max(longest_silence, now - worker.last_seen);
  }
  for (const auto& [state, count] : counts) {
    metrics.AddGauge("distill_workers", "Known workers, by state.", {{"state", state}}).Set(count);
  }
  metrics
      .AddGauge("distill_worker_heartbeat_age_seconds",
                "Of the live worker that has been silent longest.")
      .Set(absl::ToDoubleSeconds(longest_silence));
}

void SetBlobGauges(const BlobTotals& totals, Metrics& metrics) {
  for (size_t i = 0; i < totals.size(); ++i) {
    const std::string name(NameOf(static_cast<BlobClass>(i)));
    metrics.AddGauge("distill_blob_bytes", "Bytes of blobs, by class.", {{"class", name}})
        .Set(static_cast<double>(totals[i].bytes));
    metrics.AddGauge("distill_blobs", "Blobs, by class.", {{"class", name}})
        .Set(static_cast<double>(totals[i].count));
  }
}

void SetUploadGauges(const storage::BlobStore& blobs, Metrics& metrics) {
  const absl::StatusOr<std::vector<storage::UploadInfo>> uploads = blobs.ListUploads();
  if (!uploads.ok()) return;
  double in_progress = 0;
  double bytes = 0;
  for (const storage::UploadInfo& upload : *uploads) {
    in_progress += upload.in_use ? 1 : 0;
    bytes += static_cast<double>(upload.committed_bytes);
  }
  metrics.AddGauge("distill_uploads_in_progress", "Uploads that are being received.")
      .Set(in_progress);
  metrics.AddGauge("distill_blob_bytes", "Bytes of blobs, by class.", {{"class", "uploads"}})
      .Set(bytes);
  metrics.AddGauge("distill_blobs", "Blobs, by class.", {{"class", "uploads"}})
      .Set(static_cast<double>(uploads->size()));
}

}  // namespace

Maintenance::Maintenance(MaintenanceConfig config, Driver& driver, storage::BlobStore& blobs,
                         const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      driver_(&driver),
      blobs_(&blobs),
      clock_(&clock),
      metrics_(&metrics),
      projects_(std::make_shared<ProjectGauges>(metrics)),
      last_collection_(metrics.AddGauge("distill_gc_last_success_timestamp_seconds",
                                        "When unreferenced blobs were last removed.")),
      removed_bytes_(
          metrics.AddCounter("distill_gc_deleted_bytes_total", "Of blobs that retention removed.")),
      discarded_uploads_(metrics.AddCounter("distill_uploads_discarded_total",
                                            "Unfinished uploads that nobody went on with.")) {}

Maintenance::~Maintenance() { Stop(); }

void Maintenance::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "maintenance");
}

void Maintenance::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Maintenance::Run() {
  MonotonicTime next_collection = clock_->Now() + config_.collect_interval;
  MonotonicTime next_retry = clock_->Now() + config_.retry_interval;
  while (true) {
    RefreshGauges();
    if (clock_->Now() >= next_collection) {
      Collect();
      DiscardOldUploads();
      next_collection = clock_->Now() + config_.collect_interval;
    }
    if (config_.retry_reports && clock_->Now() >= next_retry) {
      config_.retry_reports();
      next_retry = clock_->Now() + config_.retry_interval;
    }
    MutexLock lock(mu_);
    if (!stopping_) {
      changed_.WaitFor(mu_, std::min(config_.gauge_interval, config_.collect_interval));
    }
    if (stopping_) return;
  }
}

void Maintenance::Collect() {
  Gauge* const last_collection = &last_collection_;
  Counter* const removed_bytes = &removed_bytes_;
  const Clock* const clock = clock_;
  driver_->Post(CollectGarbage(config_.retention),
                [last_collection, removed_bytes, clock](absl::StatusOr<CollectGarbageReply> reply) {
                  if (!reply.ok()) {
                    LogWarning("cannot apply retention", {{"cause", reply.status()}});
                    return;
                  }
                  last_collection->Set(absl::ToDoubleSeconds(clock->WallNow() - absl::UnixEpoch()));
                  removed_bytes->Increment(static_cast<double>(reply->bytes_unlinked));
                  if (reply->jobs_deleted > 0 || reply->blobs_marked > 0) {
                    LogInfo("retention applied", {{"jobs_deleted", reply->jobs_deleted},
                                                  {"blobs_marked", reply->blobs_marked},
                                                  {"blob_bytes", reply->blob_bytes}});
                  }
                });
}

void Maintenance::DiscardOldUploads() {
  const absl::StatusOr<std::vector<storage::UploadInfo>> uploads = blobs_->ListUploads();
  if (!uploads.ok()) {
    LogWarning("cannot list uploads", {{"cause", uploads.status()}});
    return;
  }
  const absl::Time now = clock_->WallNow();
  for (const storage::UploadInfo& upload : *uploads) {
    if (upload.in_use || now - upload.last_use < config_.upload_retention) continue;
    const absl::Status discarded = blobs_->DiscardUpload(upload.upload_id);
    if (absl::IsUnavailable(discarded)) continue;  // Somebody just went on with it.
    if (!discarded.ok()) {
      LogWarning("cannot discard upload", {{"upload_id", upload.upload_id}, {"cause", discarded}});
      continue;
    }
    discarded_uploads_.Increment();
    LogInfo("unfinished upload discarded",
            {{"upload_id", upload.upload_id}, {"bytes", upload.committed_bytes}});
  }
}

void Maintenance::RefreshGauges() {
  struct statvfs disk = {};
  if (statvfs(config_.data_dir.c_str(), &disk) == 0) {
    const double unit = static_cast<double>(disk.f_frsize);
    metrics_
        ->AddGauge("distill_disk_free_bytes",
                   "Free on the file system that holds the data directory.")
        .Set(unit * static_cast<double>(disk.f_bavail));
    metrics_
        ->AddGauge("distill_disk_size_bytes",
                   "Size of the file system that holds the data directory.")
        .Set(unit * static_cast<double>(disk.f_blocks));
  }
  const absl::StatusOr<uint64_t> log_bytes = FileSize(absl::StrCat(config_.database_path, "-wal"));
  metrics_->AddGauge("distill_db_wal_bytes", "Size of the write-ahead log.")
      .Set(log_bytes.ok() ? static_cast<double>(*log_bytes) : 0.0);
  metrics_->AddGauge("distill_object_store_bytes", "Of all blobs and unfinished uploads.")
      .Set(static_cast<double>(blobs_->used_bytes()));
  SetUploadGauges(*blobs_, *metrics_);
  if (!config_.tls_certificate.empty()) {
    const absl::StatusOr<absl::Time> expiry = CertificateExpiry(config_.tls_certificate);
    metrics_
        ->AddGauge("distill_tls_certificate_expiry_timestamp_seconds",
                   "When the server's certificate expires; 0 when it cannot be read.")
        .Set(expiry.ok() ? absl::ToDoubleSeconds(*expiry - absl::UnixEpoch()) : 0.0);
  }
  Metrics* const metrics = metrics_;
  const Clock* const clock = clock_;
  driver_->PostQuery([metrics, clock, projects = projects_](const Core* core, MonotonicTime now) {
    if (core == nullptr) return;
    projects->Set(core->Quotas(now));
    SetWorkerGauges(core->Workers(now), clock->WallNow(), *metrics);
    SetBlobGauges(core->blob_totals(), *metrics);
  });
}

}  // namespace distill::server
