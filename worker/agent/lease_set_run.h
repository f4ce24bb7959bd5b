// Runs one lease set from its inputs to its end: fetches what the members need, starts a trainer,
// forwards progress and checkpoints, carries out what the server wishes, and hands the end of every
// member to the publisher. Whatever happens to the trainer, every member gets exactly one end.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "distill/v1/trainer.pb.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/checkpoint_uploader.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/differing_datasets.h"
#include "worker/agent/live_lease.h"
#include "worker/agent/publisher.h"
#include "worker/agent/trainer_seat.h"
#include "worker/agent/wake_descriptor.h"
#include "worker/agent/worker_metrics.h"

namespace distill::worker {

// One use, on one thread.
class LeaseSetRun {
 public:
  struct Config {
    int slot = 0;
    std::string worker_id;
    // Each attempt works in a folder of its own below.
    std::string attempts_directory;
    // Network interface of gangs; empty: none.
    std::string gang_network;
    // How long a member may take to end after CancelMember, before the trainer is killed.
    absl::Duration cancel_grace = absl::Seconds(5);
    // A trainer that has its tasks says at once that it begins; one that is silent for so long
    // hangs. The server would never notice: to it the attempt is still being prepared.
    absl::Duration first_word_timeout = absl::Seconds(120);
  };
  // All must outlive the run.
  struct Dependencies {
    const Clock& clock;
    ArtifactCache& cache;
    DatasetCache& datasets;
    DifferingDatasets& differing_datasets;
    CheckpointUploader& checkpoints;
    Publisher& publisher;
    WorkerMetrics& metrics;
    TrainerSeat& seat;
    WakeDescriptor& wake;
    // Has the server told of this worker's leases soon.
    std::function<void()> report_soon;
    // Whether to drop everything at once: the daemon ends.
    std::function<bool()> stopping;
  };

  LeaseSetRun(Config config, Dependencies dependencies,
              const std::vector<std::shared_ptr<LiveLease>>& leases);
  ~LeaseSetRun();

  // Blocks until no member runs. The trainer is then gone, or warm.
  void Run();

 private:
  struct Member;

  // Preparation.
  void PrepareMembers();
  absl::Status FetchInputs(Member& member);
  // Lets the member's data sets be read where they are on this machine.
  absl::Status FetchDatasets(Member& member);
  absl::Status FetchDataset(Member& member, v1::DatasetSpec& dataset);
  void EndUnwantedBeforeStart();
  bool StartTrainer();
  absl::Status SendStart();

  // Supervision.
  void Supervise();
  void CarryOutWishes();
  bool CancelOverdue() const;
  absl::Duration NextTimeout() const;
  void HandleEvent(const v1::TrainerEvent& event);
  void HandleCheckpoint(const v1::CheckpointWritten& written);
  // Tells ranks of gangs of the others, as far as the server has.
  void ForwardGangPeers();
  void HandleEnded(const v1::MemberEnded& ended);
  // Remembers which files are not what the task says. Returns whether the server's copies will do
  // for all of them the next time.
  bool DisownDatasets(const Member& member, const v1::MemberEnded& ended);
  void HandleTrainerDeath(const absl::Status& cause);
  void KillForCancel();

  // Ends of members.
  void Succeed(Member& member, const v1::MemberEnded& ended);
  void Fail(Member& member, v1::FailureClass failure_class, const std::string& message,
            std::vector<std::string> bad_inputs = {});
  void Release(Member& member, const std::string& reason);
  void Abandon(Member& member);
  // What a member that was told to end, and did, becomes. False: it was not told.
  bool EndAsWished(Member& member);
  AttemptEnd NewEnd(Member& member, AttemptEnd::Kind kind);
  void Publish(Member& member, AttemptEnd end);
  // First line of the member's log.
  std::string LogHeader(const Member& member) const;
  std::string WriteLog(const Member& member);

  Member* FindRunning(const std::string& lease_id);
  bool AnyRunning() const;

  const Config config_;
  const Dependencies dependencies_;
  std::vector<std::unique_ptr<Member>> members_;
  MonotonicTime first_word_deadline_ = InfiniteFuture();
  bool all_succeeded_ = true;
  bool stop_sent_ = false;
  bool ready_again_ = false;  // The trainer has said that it can take another lease set.
};

}  // namespace distill::worker
