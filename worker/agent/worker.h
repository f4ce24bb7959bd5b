// The worker daemon: owns every part of it, in start order, and passes work from the server to the
// slots.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "base/random_ids.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/blob_client.h"
#include "worker/agent/checkpoint_uploader.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/device_inventory.h"
#include "worker/agent/differing_datasets.h"
#include "worker/agent/live_lease.h"
#include "worker/agent/log_forwarder.h"
#include "worker/agent/outbox.h"
#include "worker/agent/publisher.h"
#include "worker/agent/server_connection.h"
#include "worker/agent/slot.h"
#include "worker/agent/sync_loop.h"
#include "worker/agent/worker_client.h"
#include "worker/agent/worker_metrics.h"

namespace distill::worker {

// Thread-safe.
class Worker : private WorkReceiver {
 public:
  struct Config {
    // "host:port", at least one.
    std::vector<std::string> servers;
    ChannelSecurity security;
    // Empty: the one in the certificate; without a certificate one made once and kept.
    std::string worker_id;
    // Absolute; belongs to this worker alone.
    std::string data_directory;
    std::string trainer_binary;
    // Where trainers compute. Auto: on GPUs where there are some and the trainer can use them.
    enum class Device { kAuto, kCpu, kCuda };
    Device device = Device::kAuto;
    // Tells of GPUs; searched as dlopen() searches.
    std::string nvml_library = "libnvidia-ml.so.1";
    // 0: one for each GPU, or core.
    int slots = 0;
    std::map<std::string, std::string> labels;
    // Network interface over which trainers exchange gradients, unencrypted; empty: no gangs.
    std::string gang_network;
    int64_t cache_bytes = int64_t{20} << 30;
    int64_t dataset_cache_bytes = int64_t{50} << 30;
    // Certificates to trust where blobs go straight to an object store; empty: the system's.
    std::string object_store_ca_file;
    absl::Duration cancel_grace = absl::Seconds(5);
    // How long a trainer may be silent after it got its tasks.
    absl::Duration first_word_timeout = absl::Seconds(120);
    absl::Duration warm_idle = absl::Seconds(30);
    absl::Duration poll_wait = absl::Seconds(20);
    // Trainers log JSON lines.
    bool json_log = false;
    absl::Duration longest_retry = absl::Seconds(5);
  };
  // All must outlive the worker.
  struct Dependencies {
    const Clock& clock;
    IdSource& ids;
    Metrics& metrics;
    // Called when the last lease is gone; from any thread.
    std::function<void()> on_idle;
  };

  // Locks the data directory, reads the machine and what an earlier run left. Nothing runs yet.
  // kFailedPrecondition: another worker has the directory. kInvalidArgument: a bad setting.
  static absl::StatusOr<std::unique_ptr<Worker>> Create(Config config, Dependencies dependencies);
  // Stops.
  ~Worker() override;

  void Start();
  // Takes no more work, lets trainers write checkpoints and stop, and hands their leases back;
  // on_idle follows. Blocks for about one call to the server.
  void Drain();
  // Kills trainers and ends at once; leases that are left expire, results stay in the outbox.
  // Idempotent.
  void Stop();

  // Whether no lease is held.
  bool idle() const { return leases_.empty(); }
  // OK once the server knows this worker and answers it.
  absl::Status Readiness() const { return sync_->Readiness(); }
  const v1::WorkerInfo& info() const { return info_; }

 private:
  // What Create() found out before there is a worker.
  struct Findings {
    FileLock lock;
    DeviceInventory inventory;
    std::string worker_id;
    std::shared_ptr<grpc::ChannelCredentials> credentials;
  };

  Worker(Config config, Dependencies dependencies, Findings findings);
  absl::Status Assemble(IdSource& ids);
  absl::Status RedeliverOutbox();
  std::unique_ptr<Slot> NewSlot(int index);

  int FreeSlots() override;
  std::vector<std::string> WarmJobs() override;
  std::vector<std::string> CachedDigests() override;
  void Accept(const v1::LeaseSet& lease_set) override;
  // Returns the free slot that suits the job best; null without any.
  Slot* ChooseSlot(const std::string& job);
  void OnDelivered();

  const Config config_;
  const Dependencies dependencies_;
  const FileLock lock_;
  const DeviceInventory inventory_;
  v1::WorkerInfo info_;
  ServerConnection connection_;
  WorkerClient client_;
  BlobClient blobs_;
  FullStoreLog full_store_log_;
  LeaseTable leases_;
  WorkerMetrics worker_metrics_;
  std::atomic<bool> draining_{false};
  std::unique_ptr<ArtifactCache> cache_;
  std::unique_ptr<DatasetCache> datasets_;
  DifferingDatasets differing_datasets_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<CheckpointUploader> checkpoints_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<LogForwarder> logs_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unique_ptr<SyncLoop> sync_;
};

}  // namespace distill::worker
