// A whole control plane in one thread: the real core and driver, a store that crashes, a clock that
// jumps, workers that die and freeze, and a network that loses requests, loses replies, repeats
// calls and delivers old ones. Everything is a function of the seed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/counter_random.h"
#include "base/metrics.h"
#include "server/engine/driver.h"
#include "tests/simulation/crashing_state_store.h"
#include "tests/simulation/event_recorder.h"
#include "tests/support/simulated_clock.h"

namespace distill {

// Ids that are random to the program and a function of the seed.
class SeededIdSource : public IdSource {
 public:
  explicit SeededIdSource(uint64_t seed) : random_(CounterRandom(seed).Stream("ids")) {}
  std::string RandomHex(int bytes) override;

 private:
  CounterRandom random_;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World();

  // Lives through a time of faults and then one of calm. Not OK: what went wrong, at which time.
  absl::Status Run();

  // (state, event) of every change of a task, in words as the table has them.
  const std::set<std::pair<std::string, std::string>>& transitions() const {
    return metrics_.transitions();
  }
  // Names of the counters that rose.
  const std::set<std::string>& counted() const { return metrics_.counted(); }
  // Every event of every job, in words.
  const std::string& history() const { return history_; }
  int64_t server_restarts() const { return server_restarts_; }
  int64_t attempts() const { return attempts_; }
  int64_t gangs_joined() const { return static_cast<int64_t>(joined_.size()); }

 private:
  struct Running {
    server::LeaseRef lease;
    std::string set;
    int steps_left = 0;
    int step = 0;
    bool started = false;
    bool stalled = false;  // Heartbeats, but does not get on.
    int gang_rank = 0;
    int gang_size = 1;
    std::string gang_view;
    Digest result;
  };
  // Something that the worker repeats until it is answered.
  struct Report {
    enum class Kind : int8_t { kComplete, kFail, kRelease };
    Kind kind = Kind::kComplete;
    server::LeaseRef lease;
    Digest result;
    storage::FailureClass failure_class = storage::FailureClass::kNone;
    bool uploaded = false;
    bool trainer_died = false;
    bool lost_gang = false;
    int gang_rank = 0;
    storage::Checkpoint checkpoint;  // Of a release.
    std::string message;
  };
  struct SimWorker {
    server::WorkerInfo info;
    int life = 0;     // Replies to an earlier life are not heard.
    double pace = 1;  // Chance that a step gets done in a round.
    bool up = true;
    bool registered = false;
    MonotonicTime back_at;  // While down or frozen.
    MonotonicTime next_beat;
    MonotonicTime poll_gives_up;
    bool poll_open = false;
    int polls = 0;
    std::string request;                    // Repeated until it is answered.
    std::map<std::string, Running> leases;  // By lease id.
    std::map<std::string, Report> outbox;   // By lease id.
  };
  struct SimJob {
    server::SubmitJob submit;
    MonotonicTime submit_at;
    bool acknowledged = false;
    MonotonicTime cancel_at;  // Never: InfiniteFuture().
    bool cancel_acknowledged = false;
    std::vector<Digest> given;
  };
  struct Watcher {
    std::unique_ptr<server::WatchSubscription> subscription;
    std::vector<int64_t> revisions;
  };

  bool Chance(double probability) { return random_.Uniform() < probability; }
  void PlanJobs();
  Digest ResultOf(const server::LeaseRef& lease) const;

  template <typename EventType>
  void Send(EventType event,
            std::function<void(absl::StatusOr<typename EventType::Reply>)> callback);
  void Settle();
  void OpenServer();
  void CloseServer();

  void InjectFaults();
  void ActClients();
  // world_operators.cc: people who pause, drain, distrust and limit, and who clear up in the end.
  void DrawPolicies();
  void ActOperators();
  void MakePeace();
  storage::QuotaRecord DrawQuota();
  absl::Status DeleteEverything();
  template <typename EventType>
  void Order(EventType event) {
    Send(std::move(event), std::function<void(absl::StatusOr<typename EventType::Reply>)>());
  }

  // Names the gang of a rank.
  static std::string GangOf(const Running& rank);
  void Act(SimWorker& worker);
  void Register(SimWorker& worker);
  void Beat(SimWorker& worker);
  void Poll(SimWorker& worker);
  void HandBack(SimWorker& worker, const server::LeaseRef& lease);
  void Train(SimWorker& worker);
  void SendReports(SimWorker& worker);
  void SendReport(SimWorker& worker, const std::string& id);
  void Obey(SimWorker& worker, const std::vector<server::Directive>& directives);
  void Take(SimWorker& worker, const server::AcquireReply& reply);
  void Watch();
  absl::Status Check();
  absl::Status CheckCore();
  absl::Status CheckEnd();
  absl::Status CheckEvents();
  std::string WhatIsOpen();
  bool AllJobsOver() const;

  CounterRandom random_;
  SimulatedClock clock_;
  SeededIdSource ids_;
  EventRecorder metrics_;
  CrashingStateStore store_;
  server::DriverConfig config_;
  std::unique_ptr<server::Driver> driver_;
  std::vector<SimWorker> workers_;
  std::vector<SimJob> jobs_;
  std::map<JobId, Watcher> watchers_;
  std::deque<std::function<void()>> old_calls_;
  std::vector<Digest> removed_;
  bool faults_ = true;
  double loss_ = 0;
  int64_t server_restarts_ = 0;
  int64_t attempts_ = 0;
  // Ranks that have heard of the others, by their gang: what no trainer could do without them.
  std::map<std::string, std::set<int>> joined_;
  std::string history_;
};

template <typename EventType>
void World::Send(EventType event,
                 std::function<void(absl::StatusOr<typename EventType::Reply>)> callback) {
  if (faults_ && Chance(loss_)) return;              // The request is lost,
  if (faults_ && Chance(loss_)) callback = nullptr;  // or its reply,
  if (faults_ && Chance(0.05)) {                     // or the call comes twice,
    driver_->Post(event, nullptr);
  }
  if (faults_ && Chance(0.05)) {  // or again much later.
    old_calls_.push_back([this, event] { driver_->Post(event, nullptr); });
  }
  driver_->Post(std::move(event), std::move(callback));
}

}  // namespace distill
