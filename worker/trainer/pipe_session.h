// The trainer's side of the pipe to its worker: runs one lease set after the other, hears of
// cancels and stops while it trains, and ends when the worker does.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "distill/v1/trainer.pb.h"
#include "worker/pipe/message_pipe.h"
#include "worker/training/training_observer.h"

namespace distill::worker {

// Reads commands on a thread of its own, so that they are heard between any two steps. Thread-safe.
class CommandInbox {
 public:
  // Reads `descriptor`, which outlives this. `on_lost` is called on the reading thread when the
  // pipe ends or carries nonsense while a lease set runs; it should end the process.
  CommandInbox(int descriptor, void (*on_lost)());
  // Only after the pipe has ended or Shutdown was read.
  ~CommandInbox();
  CommandInbox(const CommandInbox&) = delete;
  CommandInbox& operator=(const CommandInbox&) = delete;

  // Waits for the next lease set; nothing when there will be none: the worker said so, or it closed
  // the pipe. kDataLoss when the pipe carried nonsense.
  absl::StatusOr<std::optional<v1::StartLeaseSet>> NextLeaseSet() ABSL_LOCKS_EXCLUDED(mutex_);
  void LeaseSetEnded() ABSL_LOCKS_EXCLUDED(mutex_);

  bool IsCancelled(absl::string_view member) ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsStopRequested() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until the worker has told something new of the gang of `member`; kCancelled when the
  // member is not to go on.
  absl::StatusOr<std::vector<std::string>> AwaitGangPeers(const std::string& member,
                                                          const std::vector<std::string>& known)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void RunThread() ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns whether more commands may follow.
  bool Take(const v1::TrainerCommand& command) ABSL_LOCKS_EXCLUDED(mutex_);

  const int descriptor_;
  void (*const on_lost_)();
  Mutex mutex_;
  CondVar changed_;
  std::optional<v1::StartLeaseSet> start_ ABSL_GUARDED_BY(mutex_);
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string, std::less<>> cancelled_ ABSL_GUARDED_BY(mutex_);
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  v1::GangPeers gang_peers_ ABSL_GUARDED_BY(mutex_);  // Newest word.
  std::thread thread_;
};

struct PipeDescriptors {
  int commands = -1;
  int events = -1;
};

// Serves until the worker ends the session. Digests of data sets are kept in `stamp_directory`
// unless it is empty. Returns the process's exit code, of worker/pipe/trainer_contract.h.
int RunPipeSession(PipeDescriptors descriptors, const Clock& clock,
                   const std::string& stamp_directory);

}  // namespace distill::worker
