// Delivers the ends of attempts: uploads what they made, then tells the server, and keeps at it
// until the server has answered. Results go through the outbox first; failures and hand-backs do
// not, since an expired lease says the same.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/metrics.h"
#include "base/mutex.h"
#include "distill/v1/worker_service.pb.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/blob_client.h"
#include "worker/agent/full_store_log.h"
#include "worker/agent/live_lease.h"
#include "worker/agent/outbox.h"
#include "worker/agent/span_recorder.h"
#include "worker/agent/worker_client.h"

namespace distill::worker {

// A file that an attempt left behind, under the name of its output or observation.
struct ProducedArtifact {
  std::string name;
  std::string path;
};

// How an attempt ended.
struct AttemptEnd {
  enum class Kind { kComplete, kFail, kRelease };
  Kind kind = Kind::kRelease;
  std::vector<ProducedArtifact> results;  // kComplete only.
  std::vector<ProducedArtifact> observations;
  v1::AttemptStats stats;
  std::string message;                                             // kFail, kRelease.
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;  // kFail.
  std::vector<std::string> bad_inputs;                             // kFail.
  bool lost_gang = false;                                          // kFail.
  std::optional<ProducedArtifact> checkpoint;  // kRelease: newest on disk, if newer than uploaded.
  int64_t checkpoint_step = 0;
  std::string working_directory;  // Removed when all is delivered; may be empty.
  // What was recorded of the attempt; the delivery adds its own part. May be empty.
  std::optional<SpanRecorder> spans;
};

// Thread-safe. The order of deliveries is not that of the calls.
class Publisher {
 public:
  struct Config {
    std::string worker_id;
    int threads = 2;
    absl::Duration first_retry = absl::Milliseconds(100);
    absl::Duration longest_retry = absl::Seconds(5);
  };
  // All must outlive the publisher.
  struct Dependencies {
    WorkerClient& client;
    BlobDestination& blobs;
    Outbox& outbox;
    ArtifactCache& cache;
    LeaseTable& leases;
    Metrics& metrics;
    FullStoreLog& full_store_log;
    // Called after each delivery, when the lease is out of the table.
    std::function<void()> on_delivered;
  };

  Publisher(Config config, Dependencies dependencies);
  // Stops.
  ~Publisher();

  void Start();
  // Gives up what is not delivered; results stay in the outbox. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  // Takes over the end of the lease. A lost lease is dropped without a word.
  void Publish(std::shared_ptr<LiveLease> lease, AttemptEnd end) ABSL_LOCKS_EXCLUDED(mu_);
  // Delivers an entry that the outbox kept from an earlier run.
  void Redeliver(std::shared_ptr<LiveLease> lease, const Outbox::Item& item)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Job;

  void Enqueue(std::shared_ptr<Job> job) ABSL_LOCKS_EXCLUDED(mu_);
  void RunThread() ABSL_LOCKS_EXCLUDED(mu_);
  void Deliver(Job& job);
  void DeliverCompletion(Job& job);
  void DeliverFailure(Job& job);
  void DeliverRelease(Job& job);
  // Hashes the results and stores them in the outbox; fills job.item.
  absl::Status StoreInOutbox(Job& job);
  absl::Status UploadOutboxEntry(Job& job);
  absl::Status Upload(const LocalBlob& blob, CancelToken& cancel);
  // Uploads the attempt's spans. Nothing when there are none, or they cannot be uploaded: a trace
  // is worth no failure.
  std::optional<v1::ArtifactRef> UploadSpans(Job& job);
  // Uploads what can be; an observation that cannot is left out.
  std::vector<v1::ArtifactRef> UploadObservations(Job& job);
  void SendFailure(Job& job, v1::FailureClass failure_class, const std::string& message);
  // Calls until the answer is final: OK, or an error that no repetition cures.
  absl::Status CallUntilAnswered(CancelToken& cancel, const std::function<absl::Status()>& call);

  const Config config_;
  const Dependencies dependencies_;
  Histogram& upload_seconds_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<std::shared_ptr<Job>> queue_ ABSL_GUARDED_BY(mu_);
  // Shared with the thread that delivers them, so that Stop() can cancel.
  std::set<std::shared_ptr<Job>> running_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

// Returns the digest, size and type of a file.
absl::StatusOr<LocalBlob> DescribeBlob(const ProducedArtifact& artifact);

}  // namespace distill::worker
