// What a server does by the clock: retention, and gauges that nobody else keeps up to date.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "server/app/project_gauges.h"
#include "server/engine/driver.h"
#include "storage/blob/blob_store.h"

namespace distill::server {

struct MaintenanceConfig {
  std::string data_dir;
  std::string database_path;
  std::string tls_certificate;  // Empty: there is none whose end is to be known.
  CollectGarbage retention;
  absl::Duration upload_retention = absl::Hours(24);  // Of unfinished uploads without new bytes.
  absl::Duration collect_interval = absl::Minutes(10);
  absl::Duration gauge_interval = absl::Seconds(5);
  // Called now and then; must not block for long. May be empty.
  std::function<void()> retry_reports;
  absl::Duration retry_interval = absl::Seconds(30);
};

// Owns one thread. Thread-safe.
class Maintenance {
 public:
  // Everything is borrowed.
  Maintenance(MaintenanceConfig config, Driver& driver, storage::BlobStore& blobs,
              const Clock& clock, Metrics& metrics);
  // Stops.
  ~Maintenance();

  void Start();
  // Joins the thread. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Collect();
  // Discards uploads that nobody goes on with.
  void DiscardOldUploads();
  void RefreshGauges();

  const MaintenanceConfig config_;
  Driver* const driver_;
  storage::BlobStore* const blobs_;
  const Clock* const clock_;
  Metrics* const metrics_;
  const std::shared_ptr<ProjectGauges> projects_;
  Gauge& last_collection_;
  Counter& removed_bytes_;
  Counter& discarded_uploads_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace distill::server
