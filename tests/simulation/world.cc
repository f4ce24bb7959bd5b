#include "tests/simulation/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/scheduler/invariants.h"
#include "server/scheduler/transitions.h"
#include "tests/support/scheduler/job_builder.h"

namespace distill {

using server::Directive;
using storage::FailureClass;
using storage::JobState;
using storage::TaskState;

namespace {

constexpr int kStormSteps = 150;
// A commit that was to fail may still come and take an order of peace with it, so they are
// repeated.
constexpr int kPeaceSteps = 5;
constexpr absl::Duration kCalm = absl::Hours(12);
constexpr int kLargestGang = 3;
constexpr const char* kProjects[] = {"p0", "p1", "p2"};

}  // namespace

std::string SeededIdSource::RandomHex(int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    absl::StrAppend(&text, absl::Hex(random_.Below(256), absl::kZeroPad2));
  }
  return text;
}

World::World(uint64_t seed) : random_(seed), ids_(seed) {
  config_.core.lease_duration = absl::Seconds(10 + random_.Below(20));
  config_.core.retry_backoff = absl::Milliseconds(500 + random_.Below(2000));
  config_.max_batch = 1 + static_cast<int>(random_.Below(16));
  config_.watch.max_queued_events = 2 + random_.Below(40);
  DrawPolicies();
  loss_ = random_.Uniform(0, 0.25);
  const uint32_t workers = 1 + random_.Below(4);
  for (uint32_t i = 0; i < workers; ++i) {
    SimWorker worker;
    worker.info = MakeWorker(absl::StrCat("w", i), 1 + static_cast<int>(random_.Below(3)));
    if (Chance(0.3)) worker.pace = 0.1;
    worker.info.labels["zone"] = i % 2 == 0 ? "a" : "b";
    if (Chance(0.8)) worker.info.gang_network = "lo";
    workers_.push_back(std::move(worker));
  }
  PlanJobs();
  OpenServer();
}

World::~World() { CloseServer(); }

void World::PlanJobs() {
  int gang_slots = 0;
  for (const SimWorker& worker : workers_) {
    gang_slots += worker.info.gang_network.empty() ? 0 : worker.info.slots;
  }
  const uint32_t jobs = 1 + random_.Below(4);
  for (uint32_t j = 0; j < jobs; ++j) {
    std::vector<TaskBuilder> tasks;
    const uint32_t count = 1 + random_.Below(8);
    for (uint32_t t = 0; t < count; ++t) {
      std::vector<std::string> producers;
      for (uint32_t p = 0; p < t; ++p) {
        if (Chance(0.3)) producers.push_back(absl::StrCat("t", p));
      }
      TaskBuilder task(absl::StrCat("t", t), producers);
      // Few keys, so that jobs have equal tasks. (A key stands for inputs too; here it need not.)
      if (Chance(0.6)) task.Key(absl::StrCat(random_.Below(10)));
      if (Chance(0.5)) task.Group("phase");
      if (Chance(0.7)) task.NumericClass("cpu-x86-avx2");
      // Only some workers have it; one always has.
      if (Chance(0.1)) task.record.definition.labels = {"zone=a"};
      // Ranks of a gang are no fellows of a bundle, and all must have a slot somewhere.
      if (Chance(0.25) && gang_slots > 1) {
        task.Gang(2 + static_cast<int>(random_.Below(
                          static_cast<uint32_t>(std::min(gang_slots, kLargestGang) - 1))));
        task.Group("").NumericClass("cpu-x86-avx2");
        task.record.definition.labels.clear();
      }
      if (Chance(0.1)) task.Given(DigestFor(absl::StrCat("given ", random_.Below(3))));
      tasks.push_back(task);
    }
    SimJob job;
    job.submit = MakeJob(absl::StrCat("job-", j), tasks);
    job.submit.job.project = ProjectId(kProjects[random_.Below(3)]);
    job.submit.job.limits.priority = static_cast<int32_t>(random_.Below(10));
    job.submit.allow_unplaceable = Chance(0.3);
    for (const storage::TaskRecord& task : job.submit.tasks) {
      for (const storage::TaskInput& input : task.definition.inputs) {
        if (input.producer.empty()) job.given.push_back(input.given);
      }
    }
    job.submit.job.limits.max_bundle = 1 + static_cast<int32_t>(random_.Below(4));
    job.submit.job.limits.max_user_failures = 1 + static_cast<int32_t>(random_.Below(3));
    job.submit.job.limits.max_infrastructure_failures = 1 + static_cast<int32_t>(random_.Below(20));
    job.submit_at = clock_.Now() + absl::Seconds(random_.Below(120));
    job.cancel_at =
        Chance(0.25) ? job.submit_at + absl::Seconds(random_.Below(200)) : InfiniteFuture();
    jobs_.push_back(std::move(job));
  }
}

Digest World::ResultOf(const server::LeaseRef& lease) const {
  for (const SimJob& job : jobs_) {
    if (job.submit.job.id != lease.job) continue;
    for (const storage::TaskRecord& task : job.submit.tasks) {
      if (task.definition.name != lease.task) continue;
      const Digest& key = task.definition.key;
      return DigestFor(key.empty() ? absl::StrCat(lease.job.str(), "/", lease.task) : key.str());
    }
  }
  return Digest();
}

void World::OpenServer() {
  store_.Restart();
  server::DriverDependencies dependencies{&store_, &clock_, &ids_, &metrics_, nullptr, nullptr};
  dependencies.unlink_blobs = [this](std::vector<Digest> digests) {
    for (Digest& digest : digests) removed_.push_back(std::move(digest));
  };
  dependencies.on_fatal = [](const absl::Status&) {};  // Expected; Settle() sees it.
  driver_ = server::Driver::Open(config_, dependencies).value();
  for (auto& [job, watcher] : watchers_) {
    const int64_t last = watcher.revisions.empty() ? 0 : watcher.revisions.back();
    watcher.subscription = driver_->watch_hub().Subscribe(job, last, nullptr);
    // What was committed just before the crash was published to nobody.
    const std::vector<storage::EventRecord> missed = *store_.EventsAfter(job, last, 100000);
    for (const storage::EventRecord& event : missed) watcher.revisions.push_back(event.revision);
  }
}

void World::CloseServer() {
  for (auto& [job, watcher] : watchers_) watcher.subscription.reset();
  driver_.reset();
}

void World::Settle() {
  for (int i = 0; i < 1000 && driver_->RunOnce(); ++i) {
  }
  if (driver_->Health().ok()) return;
  CloseServer();
  OpenServer();
  ++server_restarts_;
}

void World::InjectFaults() {
  if (Chance(0.03)) {
    store_.CrashNextCommit(Chance(0.5) ? CrashingStateStore::Crash::kBefore
                                       : CrashingStateStore::Crash::kAfter);
  }
  if (Chance(0.02)) {
    CloseServer();
    OpenServer();
    ++server_restarts_;
  }
  if (Chance(0.05)) clock_.JumpWallClock(absl::Minutes(static_cast<int>(random_.Below(200)) - 100));
  if (!old_calls_.empty() && Chance(0.2)) {
    old_calls_.front()();
    old_calls_.pop_front();
  }
  if (Chance(0.02)) {
    const std::vector<storage::BlobRecord> blobs = store_.Load()->blobs;
    if (!blobs.empty()) {
      const auto victim = random_.Below(static_cast<uint32_t>(blobs.size()));
      driver_->Post(server::BlobsGone{{blobs[victim].digest}}, nullptr);
    }
  }
  if (Chance(0.1)) {
    driver_->Post(server::CollectGarbage{absl::Hours(1000), absl::Seconds(60), 0}, nullptr);
  }
  for (SimWorker& worker : workers_) {
    if (clock_.Now() < worker.back_at) continue;
    if (Chance(0.02)) {  // Dies, and comes back with nothing.
      worker.up = false;
      ++worker.life;
      worker.leases.clear();
      if (Chance(0.5)) worker.outbox.clear();  // Otherwise the outbox was on disk.
      worker.back_at = clock_.Now() + absl::Seconds(random_.Below(60));
    } else if (Chance(0.02)) {  // Freezes, and goes on as if nothing had been.
      worker.back_at = clock_.Now() + absl::Seconds(random_.Below(60));
    }
  }
}

void World::ActClients() {
  for (SimJob& job : jobs_) {
    if (!job.acknowledged && clock_.Now() >= job.submit_at) {
      for (const Digest& digest : job.given) Order(server::BlobPresent{digest, 10, 1});
      Send(job.submit, [&job](const absl::StatusOr<server::SubmitJobReply>& reply) {
        job.acknowledged = job.acknowledged || reply.ok();
      });
    }
    if (job.acknowledged && !job.cancel_acknowledged && clock_.Now() >= job.cancel_at) {
      Send(server::CancelJob{job.submit.job.id}, [&job](const absl::StatusOr<server::Done>& reply) {
        job.cancel_acknowledged = job.cancel_acknowledged || reply.ok();
      });
    }
  }
  if (!removed_.empty()) {
    driver_->Post(server::BlobsGone{std::exchange(removed_, {})}, nullptr);
  }
}

void World::Act(SimWorker& worker) {
  if (clock_.Now() < worker.back_at) return;
  if (!worker.up) {
    worker.up = true;
    worker.registered = false;
    worker.poll_open = false;
    worker.request.clear();
  }
  if (!worker.registered) return Register(worker);
  Train(worker);
  SendReports(worker);
  if (clock_.Now() >= worker.next_beat) Beat(worker);
  Poll(worker);
}

void World::Register(SimWorker& worker) {
  server::RegisterWorker event{worker.info, {}};
  for (const auto& [id, running] : worker.leases) event.leases.push_back(running.lease);
  for (const auto& [id, report] : worker.outbox) event.leases.push_back(report.lease);
  Send(std::move(event),
       [this, &worker, life = worker.life](const absl::StatusOr<server::Directives>& reply) {
         if (!reply.ok() || life != worker.life) return;
         worker.registered = true;
         Obey(worker, reply->directives);
       });
}

void World::Beat(SimWorker& worker) {
  worker.next_beat = clock_.Now() + absl::Seconds(2 + random_.Below(4));
  server::Heartbeat event;
  event.worker = worker.info.id;
  for (auto& [id, running] : worker.leases) {
    server::LeaseProgress progress;
    progress.lease = running.lease;
    progress.started = running.started;
    progress.progress.step = running.step;
    progress.progress.total_steps = running.step + running.steps_left;
    progress.gang_contact = absl::StrCat("contact of ", id);
    progress.gang_view = running.gang_view;
    if (running.step > 0 && running.gang_rank == 0 && Chance(0.3)) {
      progress.checkpoint = {DigestFor(absl::StrCat(running.result.str(), " at ", running.step)), 0,
                             running.step};
      Send(server::BlobPresent{progress.checkpoint.digest, 7, 4}, nullptr);
    }
    event.leases.push_back(std::move(progress));
  }
  for (const auto& [id, report] : worker.outbox) {
    event.leases.push_back({report.lease, {}, {}, true});
  }
  Send(std::move(event),
       [this, &worker, life = worker.life](const absl::StatusOr<server::Directives>& reply) {
         if (reply.ok() && life == worker.life) Obey(worker, reply->directives);
       });
}

void World::Obey(SimWorker& worker, const std::vector<Directive>& directives) {
  for (const Directive& directive : directives) {
    const std::string id = directive.lease.lease_id.str();
    const auto running = worker.leases.find(id);
    switch (directive.kind) {
      case Directive::Kind::kStopAttempt:
      case Directive::Kind::kReleaseIfUnstarted:
        if (running == worker.leases.end()) break;
        if (directive.kind == Directive::Kind::kReleaseIfUnstarted && running->second.started)
          break;
        worker.outbox[id].kind = Report::Kind::kRelease;
        worker.outbox[id].lease = directive.lease;
        worker.outbox[id].gang_rank = running->second.gang_rank;
        worker.leases.erase(running);
        break;
      case Directive::Kind::kPreemptAttempt:
        // Some do not get there in time.
        if (running != worker.leases.end() && !(faults_ && Chance(0.7))) {
          HandBack(worker, directive.lease);
        }
        break;
      case Directive::Kind::kAbandonAttempt:
        worker.leases.erase(id);
        break;
      case Directive::Kind::kJoinGang:
        if (running == worker.leases.end()) break;
        joined_[GangOf(running->second)].insert(running->second.gang_rank);
        running->second.gang_view = directive.gang_view;
        break;
      case Directive::Kind::kDrain:
        break;
      case Directive::Kind::kRegister:
        worker.registered = false;
        break;
    }
  }
}

std::string World::GangOf(const Running& rank) {
  return absl::StrCat(rank.lease.job.str(), "/", rank.lease.task, "/",
                      rank.lease.attempt_number - rank.gang_rank);
}

void World::HandBack(SimWorker& worker, const server::LeaseRef& lease) {
  const auto running = worker.leases.find(lease.lease_id.str());
  Report report;
  report.kind = Report::Kind::kRelease;
  report.lease = lease;
  report.gang_rank = running->second.gang_rank;
  // Of a gang, the first rank alone writes checkpoints.
  if (running->second.step > 0 && report.gang_rank == 0) {
    report.checkpoint = {
        DigestFor(absl::StrCat(running->second.result.str(), " at ", running->second.step)), 0,
        running->second.step};
    Order(server::BlobPresent{report.checkpoint.digest, 7, 4});
  }
  worker.outbox[running->first] = std::move(report);
  worker.leases.erase(running);
}

void World::Poll(SimWorker& worker) {
  if (worker.poll_open && clock_.Now() < worker.poll_gives_up) return;
  std::set<std::string> sets;
  for (const auto& [id, running] : worker.leases) sets.insert(running.set);
  const int free = worker.info.slots - static_cast<int>(sets.size());
  if (worker.request.empty()) {
    worker.request = absl::StrCat("p", worker.life, "-", ++worker.polls);
  }
  server::AcquireTasks event;
  event.worker = worker.info.id;
  event.request_id = RequestId(worker.request);
  event.max_lease_sets = std::max(0, free);
  event.wait = absl::Seconds(random_.Below(20));
  worker.poll_open = true;
  worker.poll_gives_up = clock_.Now() + event.wait + absl::Seconds(5);
  Send(std::move(event), [this, &worker, life = worker.life, request = worker.request](
                             const absl::StatusOr<server::AcquireReply>& reply) {
    if (life != worker.life || request != worker.request) return;
    worker.poll_open = false;
    if (!reply.ok()) return;
    worker.request.clear();
    Take(worker, *reply);
  });
}

void World::Take(SimWorker& worker, const server::AcquireReply& reply) {
  for (const server::LeaseSet& set : reply.lease_sets) {
    for (const server::Grant& grant : set.grants) {
      const std::string id = grant.lease.lease_id.str();
      if (worker.leases.count(id) != 0 || worker.outbox.count(id) != 0) continue;
      ++attempts_;
      Running running;
      running.lease = grant.lease;
      running.set = set.id;
      running.steps_left = 1 + static_cast<int>(random_.Below(15));
      running.step = static_cast<int>(grant.checkpoint.step);
      running.result = ResultOf(grant.lease);
      running.gang_rank = grant.gang_rank;
      running.gang_size = grant.gang_size;
      worker.leases.emplace(id, std::move(running));
    }
  }
  Obey(worker, reply.directives);
}

void World::Train(SimWorker& worker) {
  std::set<std::string> dead_sets;
  std::vector<std::string> ended;
  for (auto& [id, running] : worker.leases) {
    running.started = running.started || Chance(0.7);
    running.stalled = faults_ && (running.stalled || Chance(0.01));
    if (!running.started || running.stalled || !Chance(worker.pace)) continue;
    const bool waits = running.gang_size > 1 &&
                       joined_[GangOf(running)].size() < static_cast<size_t>(running.gang_size);
    if (waits) continue;
    ++running.step;
    if (faults_ && Chance(0.01)) dead_sets.insert(running.set);
    if (--running.steps_left <= 0) ended.push_back(id);
  }
  for (const std::string& id : ended) {
    const Running& running = worker.leases.at(id);
    Report report;
    report.lease = running.lease;
    report.result = running.result;
    report.gang_rank = running.gang_rank;
    if (faults_ && Chance(0.06)) {
      report.kind = Report::Kind::kFail;
      report.failure_class = static_cast<FailureClass>(1 + random_.Below(5));
      report.message = absl::StrCat("simulated ", random_.Below(4));
      report.lost_gang = Chance(0.3);
    }
    worker.outbox[id] = report;
    worker.leases.erase(id);
  }
  for (auto running = worker.leases.begin(); running != worker.leases.end();) {
    if (dead_sets.count(running->second.set) == 0) {
      ++running;
      continue;
    }
    Report& report = worker.outbox[running->first];
    report.kind = Report::Kind::kFail;
    report.lease = running->second.lease;
    report.failure_class = FailureClass::kInfrastructure;
    report.trainer_died = true;
    running = worker.leases.erase(running);
  }
}

void World::SendReports(SimWorker& worker) {
  std::vector<std::string> ids;
  for (const auto& [id, report] : worker.outbox) ids.push_back(id);
  for (const std::string& id : ids) SendReport(worker, id);
}

void World::SendReport(SimWorker& worker, const std::string& id) {
  Report& report = worker.outbox.at(id);
  const auto done = [&worker, id,
                     life = worker.life](const absl::StatusOr<server::ItemStatuses>& reply) {
    if (!reply.ok() || life != worker.life || worker.outbox.count(id) == 0) return;
    const absl::Status& status = reply->statuses.at(0);
    if (absl::IsFailedPrecondition(status) &&
        status.message().find("not uploaded") != std::string::npos) {
      worker.outbox.at(id).uploaded = false;
      return;
    }
    worker.outbox.erase(id);
  };
  switch (report.kind) {
    case Report::Kind::kComplete: {
      if (!report.uploaded && report.gang_rank == 0) {
        Send(server::BlobPresent{report.result, 100, 2},
             [&worker, id, life = worker.life](const absl::StatusOr<server::Done>& reply) {
               const auto found = worker.outbox.find(id);
               if (reply.ok() && life == worker.life && found != worker.outbox.end()) {
                 found->second.uploaded = true;
               }
             });
        return;
      }
      server::CompleteAttempts event{worker.info.id, {}};
      event.items.push_back({report.lease, {}, {}, "stats"});
      if (report.gang_rank == 0) event.items[0].results = {{"out", report.result, 100}};
      Send(std::move(event), done);
      return;
    }
    case Report::Kind::kFail: {
      server::FailAttempts event{worker.info.id, {}};
      event.items.push_back({report.lease,
                             report.failure_class,
                             report.message,
                             {},
                             "",
                             report.trainer_died,
                             report.lost_gang});
      Send(std::move(event), done);
      return;
    }
    case Report::Kind::kRelease: {
      server::ReleaseLeases event{worker.info.id, {}};
      event.items.push_back({report.lease, "asked to", report.checkpoint, {}, ""});
      Send(std::move(event), done);
      return;
    }
  }
}

void World::Watch() {
  for (const SimJob& job : jobs_) {
    if (!job.acknowledged || watchers_.count(job.submit.job.id) != 0) continue;
    Watcher& watcher = watchers_[job.submit.job.id];
    watcher.subscription = driver_->watch_hub().Subscribe(job.submit.job.id, 0, nullptr);
    for (const storage::EventRecord& event :
         std::vector<storage::EventRecord>(*store_.EventsAfter(job.submit.job.id, 0, 100000))) {
      watcher.revisions.push_back(event.revision);
    }
  }
  for (auto& [job, watcher] : watchers_) {
    if (!Chance(0.4)) continue;  // Some are slow.
    const server::WatchBatch batch = watcher.subscription->Next();
    int64_t last = watcher.revisions.empty() ? 0 : watcher.revisions.back();
    if (batch.lagged) {
      const std::vector<storage::EventRecord> missed = *store_.EventsAfter(job, last, 100000);
      for (const storage::EventRecord& event : missed) watcher.revisions.push_back(event.revision);
      last = watcher.revisions.back();
    }
    for (const storage::EventRecord& event : batch.events) {
      if (event.revision > last) watcher.revisions.push_back(event.revision);
    }
  }
}

absl::Status World::CheckCore() {
  absl::Status status = absl::OkStatus();
  driver_->PostQuery([&](const server::Core* core, MonotonicTime) {
    if (core != nullptr) status = server::CheckInvariants(*core);
  });
  Settle();
  return status;
}

absl::Status World::Check() {
  DISTILL_RETURN_IF_ERROR(CheckCore());
  for (const SimJob& job : jobs_) {
    if (job.acknowledged && !store_.GetJob(job.submit.job.id).ok()) {
      return absl::InternalError("an acknowledged job is gone");
    }
  }
  return absl::OkStatus();
}

bool World::AllJobsOver() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [this](const SimJob& job) {
    const absl::StatusOr<storage::JobRecord> record = store_.GetJob(job.submit.job.id);
    return job.acknowledged && record.ok() && storage::IsTerminal(record->status.state);
  });
}

std::string World::WhatIsOpen() {
  std::string text = "the jobs do not end";
  driver_->PostQuery([&](const server::Core* core, MonotonicTime now) {
    for (const SimJob& job : jobs_) {
      if (!job.acknowledged)
        absl::StrAppend(&text, "; not acknowledged: ", job.submit.job.id.str());
      for (const server::TaskView& task : core->Tasks(job.submit.job.id, now)) {
        absl::StrAppend(&text, "; ", job.submit.job.id.str(), "/", task.task, " ",
                        storage::Name(task.state), " ", task.worker.str(), task.waiting_reason);
      }
    }
  });
  driver_->RunOnce();
  return text;
}

absl::Status World::CheckEvents() {
  for (const SimJob& job : jobs_) {
    const JobId& id = job.submit.job.id;
    std::map<std::string, TaskState> states;
    std::vector<int64_t> revisions;
    const std::vector<storage::EventRecord> events = *store_.EventsAfter(id, 0, 100000);
    for (const storage::EventRecord& event : events) {
      revisions.push_back(event.revision);
      absl::StrAppend(&history_, event.revision, " ", event.job.str(), " ", event.task, " ",
                      storage::Name(event.job_state), " ", storage::Name(event.task_state), " ",
                      event.worker.str(), " ", absl::FormatTime(event.time), "\n");
      if (event.task.empty()) continue;
      const auto [state, first] = states.try_emplace(event.task, event.task_state);
      if (first) continue;
      state->second = event.task_state;
    }
    Watcher& watcher = watchers_.at(id);
    const server::WatchBatch rest = watcher.subscription->Next();
    const int64_t last = watcher.revisions.empty() ? 0 : watcher.revisions.back();
    const std::vector<storage::EventRecord> missed = *store_.EventsAfter(id, last, 100000);
    for (const storage::EventRecord& event : rest.lagged ? missed : rest.events) {
      if (event.revision > last) watcher.revisions.push_back(event.revision);
    }
    if (watcher.revisions != revisions) {
      return absl::InternalError("a watcher did not see each revision exactly once, in order");
    }
  }
  return absl::OkStatus();
}

absl::Status World::CheckEnd() {
  for (const SimJob& job : jobs_) {
    const storage::JobRecord record = *store_.GetJob(job.submit.job.id);
    const std::vector<storage::TaskRecord> tasks = *store_.ListTasks(record.id, -1, 100000);
    for (const storage::TaskRecord& task : tasks) {
      if (!storage::IsTerminal(task.status.state)) return absl::InternalError("a task is not over");
      if (task.status.state != TaskState::kSucceeded) continue;
      const server::LeaseRef name{record.id, task.definition.name, 0, LeaseId()};
      if (task.status.results.at(0).digest != ResultOf(name)) {
        return absl::InternalError("a result differs from the one of an undisturbed run");
      }
    }
    if (job.cancel_at == InfiniteFuture() && record.status.state == JobState::kCancelled) {
      return absl::InternalError("a job was cancelled that nobody cancelled");
    }
  }
  return CheckEvents();
}

absl::Status World::Run() {
  const MonotonicTime start = clock_.Now();
  const auto failed = [&](const absl::Status& status) {
    return absl::InternalError(
        absl::StrCat(status.message(), "; at=", absl::FormatDuration(clock_.Now() - start)));
  };
  for (int step = 0;; ++step) {
    faults_ = step < kStormSteps;
    if (faults_) {
      InjectFaults();
      ActOperators();
    } else if (step < kStormSteps + kPeaceSteps) {
      MakePeace();
    }
    ActClients();
    for (SimWorker& worker : workers_) Act(worker);
    Settle();
    Watch();
    const absl::Status status = Check();
    if (!status.ok()) return failed(status);
    if (!faults_ && AllJobsOver()) break;
    if (clock_.Now() - start > kCalm) return failed(absl::InternalError(WhatIsOpen()));
    clock_.Advance(absl::Milliseconds(random_.Below(3000)));
    Settle();
  }
  absl::Status status = CheckEnd();
  if (status.ok()) status = DeleteEverything();
  return status.ok() ? status : failed(status);
}

}  // namespace distill
