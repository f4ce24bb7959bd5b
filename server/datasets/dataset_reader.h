// Reads registered data sets, one after the other, on a thread of its own: finds out what new ones
// hold, copies those that are to be uploaded, and verifies others when asked. What it finds goes to
// the scheduler core, which keeps it.
//
// A data set is READING until that is recorded, so a server that stopped meanwhile reads it again
// after its start; a verification that a stop cut short is forgotten.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "distill/v1/dataset_service.pb.h"
#include "server/engine/driver.h"
#include "storage/blob/blob_store.h"
#include "storage/state/state_store.h"

namespace distill::server {

struct DatasetReaderConfig {
  // Holds one shard at a time while a data set is packed.
  std::string scratch_file;
  // That decode images.
  int threads = 1;
  uint64_t shard_bytes = uint64_t{64} << 20;
  // A data set with more is not copied; what all of them may have is the core's to say.
  uint64_t most_copied_bytes = uint64_t{40} << 30;
};

// What is being done to a data set.
struct DatasetWork {
  v1::DatasetScan scan;
  // Of the verification; empty while it is read for the first time.
  std::string verification_request;
};

// Thread-safe. Destroy it after the driver has stopped.
class DatasetReader {
 public:
  // Everything is borrowed, and outlives the reader.
  struct Dependencies {
    Driver* driver;
    const storage::StateStore* store;
    storage::BlobStore* blobs;
    const Clock* clock;
    Metrics* metrics;
  };

  DatasetReader(DatasetReaderConfig config, const Dependencies& dependencies);
  // Stops.
  ~DatasetReader();

  // Goes on with what the server before this one had not finished. Blocks for I/O; once, before
  // calls are served.
  absl::Status Recover();

  // Reads the data set that `request` created. Idempotent.
  void Read(const DatasetName& name, const RequestId& request) ABSL_LOCKS_EXCLUDED(mu_);
  // Reads it again and records what differs, unless it is being read or verified already.
  void Verify(const DatasetName& name, const RequestId& request,
              const std::string& verification_request) ABSL_LOCKS_EXCLUDED(mu_);
  // The data set was removed: ends what is being done to it.
  void Cancel(const DatasetName& name) ABSL_LOCKS_EXCLUDED(mu_);

  // What is being done, by data set. Work leaves it only when its outcome is in the state store:
  // who asks here first and then the store misses no outcome.
  std::map<DatasetName, DatasetWork> Work() const ABSL_LOCKS_EXCLUDED(mu_);

  // Ends what is being read, forgets the rest, and joins the thread. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Order {
    DatasetName name;
    RequestId request;  // Of the data set.
    DatasetWork work;
    bool cancelled = false;
  };

  void Add(Order order) ABSL_LOCKS_EXCLUDED(mu_);
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Carry(const Order& order) ABSL_LOCKS_EXCLUDED(mu_);
  // What the first reading comes to.
  storage::DatasetStatus FirstStatus(const Order& order, const storage::DatasetRecord& record);
  absl::StatusOr<storage::DatasetStatus> ReadAll(const Order& order,
                                                 const storage::DatasetRecord& record);
  storage::DatasetStatus VerifiedStatus(const Order& order, const storage::DatasetRecord& record);
  absl::StatusOr<v1::DatasetFacts> Inspect(const Order& order, const v1::DatasetSource& source);
  absl::Status Pack(const Order& order, const v1::DatasetSource& source,
                    storage::DatasetStatus& status);
  // Records how far it is; false when it is to end.
  bool Progress(const char* phase, int64_t done, int64_t total) ABSL_LOCKS_EXCLUDED(mu_);
  void CheckCopy(const storage::DatasetStatus& status, v1::DatasetVerification& verification);
  void Record(const Order& order, storage::DatasetStatus status);

  const DatasetReaderConfig config_;
  const Dependencies dependencies_;
  Counter& images_;
  Counter& read_;
  Counter& failed_;

  mutable Mutex mu_;
  CondVar changed_;
  std::deque<Order> orders_ ABSL_GUARDED_BY(mu_);  // The first one is being carried out.
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace distill::server
