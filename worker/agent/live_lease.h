// The leases that this worker holds: what each should do, how far it is, and what the next
// heartbeat says about it. Nothing here blocks, so a heartbeat never waits for training, disk or
// network.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"
#include "distill/v1/report.pb.h"
#include "distill/v1/worker_service.pb.h"
#include "worker/agent/attempt_log.h"
#include "worker/agent/cancel_token.h"

namespace distill::worker {

// What should become of a lease. Only rises: a lost lease is never wanted again.
enum class LeaseWish {
  kRun = 0,
  kReleaseIfUnstarted = 1,  // Hand back unless its first step has begun.
  kRelease = 2,             // Preempted, or this worker shuts down: checkpoint and hand back.
  kStop = 3,                // Cancelled: end the work, then release.
  kAbandon = 4,             // Lost: end the work, publish nothing.
};

// One lease. Thread-safe.
class LiveLease {
 public:
  // `on_wish` is called, without a lock held, after each rise of the wish and when the peers of
  // its gang have come.
  LiveLease(v1::Grant grant, std::function<void()> on_wish);

  const v1::Grant& grant() const { return grant_; }
  const v1::LeaseRef& ref() const { return grant_.lease(); }
  const std::string& id() const { return grant_.lease().lease_id(); }

  LeaseWish wish() const ABSL_LOCKS_EXCLUDED(mu_);
  // Raises the wish; a lower one is ignored, and so is kReleaseIfUnstarted once started.
  void Wish(LeaseWish wish) ABSL_LOCKS_EXCLUDED(mu_);
  // Cancelled as soon as the attempt should not be prepared any further.
  CancelToken& preparation() { return preparation_; }
  // Cancelled when nothing about this lease may be published any more.
  CancelToken& publication() { return publication_; }

  void SetPhase(const std::string& phase) ABSL_LOCKS_EXCLUDED(mu_);
  void SetProgress(const v1::Progress& progress, bool started) ABSL_LOCKS_EXCLUDED(mu_);
  bool started() const ABSL_LOCKS_EXCLUDED(mu_);
  // Tells of a checkpoint that the server has. An older step than the newest known is ignored.
  void SetCheckpoint(const v1::ArtifactRef& checkpoint, int64_t step) ABSL_LOCKS_EXCLUDED(mu_);
  // Of a rank of a gang: how the others reach it.
  void SetGangContact(std::string contact) ABSL_LOCKS_EXCLUDED(mu_);
  // What the server tells of all ranks, in their order; `view` names it. A repeat is ignored.
  void SetGangPeers(std::vector<std::string> contacts, const std::string& view)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The ranks' contacts, when they have changed since the last call.
  std::vector<std::string> TakeGangPeers() ABSL_LOCKS_EXCLUDED(mu_);

  // What a heartbeat says.
  v1::LeaseProgress Report() const ABSL_LOCKS_EXCLUDED(mu_);

  // Training points, kept until the lease ends.
  void AddPoints(const google::protobuf::RepeatedPtrField<v1::Series::Point>& points)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells how many points the server has: the next report brings those that follow. Nothing: the
  // server wants none.
  void SetPointsKnown(std::optional<int32_t> count) ABSL_LOCKS_EXCLUDED(mu_);

  // The attempt's log: `header`, then what the trainer writes.
  void SetLog(std::string header, std::shared_ptr<const AttemptLog> log) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns at most `most` bytes of the log from `offset` on; "" when there are none yet.
  std::string ReadLog(int64_t offset, size_t most) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const v1::Grant grant_;
  const std::function<void()> on_wish_;
  CancelToken preparation_;
  CancelToken publication_;
  mutable Mutex mu_;
  LeaseWish wish_ ABSL_GUARDED_BY(mu_) = LeaseWish::kRun;
  v1::LeaseProgress report_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> gang_peers_ ABSL_GUARDED_BY(mu_);
  v1::Series series_ ABSL_GUARDED_BY(mu_);
  std::optional<int32_t> points_known_ ABSL_GUARDED_BY(mu_);
  std::string log_header_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const AttemptLog> log_
      ABSL_GUARDED_BY(mu_);  // Shared with the trainer's process.
};

// Adds job, task, attempt and trace of a lease to what this thread logs.
LogScope ScopeOf(const v1::Grant& grant);

// All leases of the worker. A lease is shared by the table, the slot that runs it and the publisher
// that ends it. Thread-safe.
class LeaseTable {
 public:
  void Add(std::shared_ptr<LiveLease> lease) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::string& lease_id) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns null when it is not held.
  std::shared_ptr<LiveLease> Find(const std::string& lease_id) const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<std::shared_ptr<LiveLease>> All() const ABSL_LOCKS_EXCLUDED(mu_);
  bool empty() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<LiveLease>> leases_ ABSL_GUARDED_BY(mu_);
};

// Passes a directive on to the lease that it names. Directives to the worker itself are ignored.
void ApplyLeaseDirective(const v1::Directive& directive, const LeaseTable& leases);

}  // namespace distill::worker
