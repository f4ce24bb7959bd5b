// A core with a clock, a store and a list of what was replied. Each step is checked: invariants
// hold, and what was committed rebuilds a core that a restart could go on with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/core.h"
#include "server/scheduler/invariants.h"
#include "storage/state/memory_state_store.h"
#include "tests/support/scheduler/job_builder.h"
#include "tests/support/scripted_id_source.h"
#include "tests/support/status_matchers.h"

namespace distill::server {

class CoreFixture : public ::testing::Test {
 protected:
  static constexpr absl::Duration kTerm = absl::Seconds(30);

  static CoreConfig TestConfig() {
    CoreConfig config;
    config.lease_duration = kTerm;
    config.retry_backoff = absl::Seconds(1);
    config.max_datasets = 3;
    config.max_dataset_bytes = 1000;
    return config;
  }

  CoreFixture() : core_(TestConfig()) {}

  Instant Now() const {
    return Instant{now_, absl::FromUnixSeconds(1700000000) + (now_ - MonotonicTime{})};
  }
  void Advance(absl::Duration by) { now_ = now_ + by; }
  // Lets time pass and tells the core.
  void Pass(absl::Duration by) {
    Advance(by);
    Tell(Tick{});
  }

  // Steps the core and returns the number of the call.
  template <typename EventType>
  uint64_t Tell(EventType event) {
    const uint64_t call = next_call_++;
    effects_ = core_.Step(Now(), Event{call, std::move(event)}, ids_);
    EXPECT_THAT(store_.Commit(effects_.mutations), IsOk());
    EXPECT_THAT(CheckInvariants(core_), IsOk());
    for (Reply& reply : effects_.replies) {
      EXPECT_TRUE(replies_.emplace(reply.call, std::move(reply)).second)
          << "two replies to one call";
    }
    return call;
  }
  bool Answered(uint64_t call) const { return replies_.count(call) != 0; }
  template <typename Body>
  absl::StatusOr<Body> Answer(uint64_t call) const {
    const auto found = replies_.find(call);
    if (found == replies_.end()) return absl::NotFoundError("not answered yet");
    if (!found->second.status.ok()) return found->second.status;
    return std::get<Body>(found->second.body);
  }
  template <typename EventType>
  absl::StatusOr<typename EventType::Reply> Call(EventType event) {
    return Answer<typename EventType::Reply>(Tell(std::move(event)));
  }

  // Starts anew from what was committed.
  void Restart() {
    absl::StatusOr<storage::StateImage> image = store_.Load();
    ASSERT_THAT(image, IsOk());
    absl::StatusOr<Core> core = Core::Recover(TestConfig(), *std::move(image), Now());
    ASSERT_THAT(core, IsOk());
    core_ = *std::move(core);
    EXPECT_THAT(CheckInvariants(core_), IsOk());
  }

  void Submit(SubmitJob job) { EXPECT_THAT(Call(std::move(job)), IsOk()); }
  void Submit(const std::string& id, const std::vector<TaskBuilder>& tasks) {
    Submit(MakeJob(id, tasks));
  }
  std::vector<Directive> Register(const WorkerInfo& info, std::vector<LeaseRef> leases = {}) {
    const absl::StatusOr<Directives> reply = Call(RegisterWorker{info, std::move(leases)});
    EXPECT_THAT(reply, IsOk());
    return reply.ok() ? reply->directives : std::vector<Directive>();
  }
  uint64_t Poll(const std::string& worker, const std::string& request, int max_sets = 1,
                absl::Duration wait = absl::Seconds(20)) {
    AcquireTasks acquire;
    acquire.worker = WorkerId(worker);
    acquire.request_id = RequestId(request);
    acquire.max_lease_sets = max_sets;
    acquire.wait = wait;
    return Tell(std::move(acquire));
  }
  // All grants of one poll that is answered at once.
  std::vector<Grant> Acquire(const std::string& worker, int max_sets = 1) {
    const uint64_t call =
        Poll(worker, "auto-" + std::to_string(next_call_), max_sets, absl::ZeroDuration());
    std::vector<Grant> grants;
    const absl::StatusOr<AcquireReply> reply = Answer<AcquireReply>(call);
    EXPECT_THAT(reply, IsOk());
    if (!reply.ok()) return grants;
    for (const LeaseSet& set : reply->lease_sets) {
      grants.insert(grants.end(), set.grants.begin(), set.grants.end());
    }
    return grants;
  }
  // Exactly one grant.
  Grant AcquireOne(const std::string& worker) {
    const std::vector<Grant> grants = Acquire(worker);
    EXPECT_EQ(grants.size(), 1u);
    return grants.empty() ? Grant() : grants.front();
  }
  absl::Status Upload(const Digest& digest) { return Call(BlobPresent{digest, 100, 2}).status(); }
  // Whom the lease was granted to; nobody if it never was.
  WorkerId HolderOf(const LeaseRef& lease) const {
    const auto attempts = store_.ListAttempts(storage::MakeTaskId(lease.job, lease.task));
    if (!attempts.ok()) return WorkerId();
    for (const storage::AttemptRecord& attempt : *attempts) {
      if (attempt.lease_id == lease.lease_id) return attempt.worker;
    }
    return WorkerId();
  }
  absl::Status Complete(const LeaseRef& lease, const Digest& digest) {
    CompleteAttempts event;
    event.worker = HolderOf(lease);
    event.items.push_back({lease, {{"out", digest, 0}}, {}, "stats"});
    const absl::StatusOr<ItemStatuses> reply = Call(std::move(event));
    return reply.ok() ? reply->statuses.at(0) : reply.status();
  }
  // Uploads and publishes what every run of the task would make.
  absl::Status Finish(const LeaseRef& lease) {
    const Digest digest = DigestFor("result of " + lease.task);
    EXPECT_THAT(Upload(digest), IsOk());
    return Complete(lease, digest);
  }
  absl::Status Fail(const LeaseRef& lease, storage::FailureClass failure_class,
                    const std::string& message = "it broke") {
    FailAttempts event;
    event.worker = HolderOf(lease);
    event.items.push_back({lease, failure_class, message, {}, ""});
    const absl::StatusOr<ItemStatuses> reply = Call(std::move(event));
    return reply.ok() ? reply->statuses.at(0) : reply.status();
  }
  absl::Status Release(const LeaseRef& lease, storage::Checkpoint checkpoint = {}) {
    ReleaseLeases event;
    event.worker = HolderOf(lease);
    event.items.push_back({lease, "asked to", checkpoint, {}, ""});
    const absl::StatusOr<ItemStatuses> reply = Call(std::move(event));
    return reply.ok() ? reply->statuses.at(0) : reply.status();
  }
  std::vector<Directive> Beat(const std::string& worker, const std::vector<LeaseRef>& leases,
                              bool started = true) {
    Heartbeat event;
    event.worker = WorkerId(worker);
    for (const LeaseRef& lease : leases) event.leases.push_back({lease, {}, {}, started});
    const absl::StatusOr<Directives> reply = Call(std::move(event));
    EXPECT_THAT(reply, IsOk());
    return reply.ok() ? reply->directives : std::vector<Directive>();
  }

  storage::TaskRecord TaskOf(const std::string& id) const {
    return store_.GetTask(TaskId(id)).value();
  }
  storage::TaskState StateOf(const std::string& id) const { return TaskOf(id).status.state; }
  storage::JobState JobStateOf(const std::string& id) const {
    return store_.GetJob(JobId(id))->status.state;
  }
  storage::AttemptRecord AttemptOf(const std::string& id, int number) const {
    return store_.ListAttempts(TaskId(id))->at(static_cast<size_t>(number - 1));
  }

  Core core_;
  ScriptedIdSource ids_;
  storage::MemoryStateStore store_;
  MonotonicTime now_{absl::Seconds(1000)};
  Effects effects_;  // Of the last step.
  uint64_t next_call_ = 1;
  std::map<uint64_t, Reply> replies_;
};

MATCHER_P(HasKind, kind, "has the directive kind") { return arg.kind == kind; }

}  // namespace distill::server
