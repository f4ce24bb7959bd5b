// What the services share: the engine, the stores, the threads that may block, and the limits.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random_ids.h"
#include "server/auth/gate.h"
#include "server/auth/token_registry.h"
#include "server/datasets/dataset_reader.h"
#include "server/engine/driver.h"
#include "server/rpc/call.h"
#include "server/rpc/dataset_catalog.h"
#include "server/rpc/io_executor.h"
#include "server/rpc/live_logs.h"
#include "server/rpc/live_series.h"
#include "server/rpc/report_publisher.h"
#include "server/rpc/stall_guard.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

struct RpcLimits {
  int max_watches = 512;
  int max_uploads = 256;
  int max_downloads = 256;
  // Told to workers.
  absl::Duration heartbeat_interval = absl::Seconds(2);
  absl::Duration lease_duration = absl::Seconds(30);
  // New jobs must leave that much free on the disk of `data_dir`; 0: not looked at.
  std::string data_dir;
  int64_t min_free_disk_bytes = 0;
};

// Borrowed; everything outlives the gRPC server.
struct RpcDependencies {
  Gate* gate;
  TokenRegistry* tokens;
  StallGuard* stalls;
  Driver* driver;
  const storage::StateStore* store;
  storage::BlobStore* blobs;
  IoExecutor* queries;    // Short reads of the database, planning.
  IoExecutor* transfers;  // Bytes of blobs.
  DatasetCatalog* datasets;
  DatasetReader* dataset_reader;
  ReportPublisher* reports;
  OpenCalls* open_calls;
  LiveLogs* live_logs;
  LiveSeries* live_series;
  const Clock* clock;
  IdSource* ids;
  Metrics* metrics;
  RpcLimits limits;
};

}  // namespace distill::server
