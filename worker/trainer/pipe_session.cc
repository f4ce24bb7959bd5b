#include "worker/trainer/pipe_session.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/trace_context.h"
#include "worker/pipe/trainer_contract.h"
#include "worker/trainer/logging_observer.h"
#include "worker/trainer/numeric_runtime.h"
#include "worker/training/lease_set.h"

namespace distill::worker {
namespace {

// Ends the process at once, from any thread: nobody is left to hear of anything.
[[noreturn]] void EndForLostPipe() { std::_Exit(kTrainerExitPipe); }

// Sends what training reports up the pipe, and asks the inbox; gangs meet at the other end of the
// pipe. Thread-safe.
class PipeObserver : public training::TrainingObserver, public training::GangRendezvous {
 public:
  PipeObserver(int descriptor, CommandInbox& inbox) : inbox_(inbox), writer_(descriptor) {}

  void SendReady(const std::string& numeric_class) {
    v1::TrainerEvent event;
    event.mutable_ready()->set_process_id(getpid());
    event.mutable_ready()->set_libtorch_version(LibTorchVersion());
    event.mutable_ready()->set_numeric_class(numeric_class);
    Send(event);
  }

  void OnProgress(const v1::MemberProgress& progress) override {
    v1::TrainerEvent event;
    *event.mutable_progress() = progress;
    Send(event);
  }
  void OnCheckpoint(const v1::CheckpointWritten& checkpoint) override {
    v1::TrainerEvent event;
    *event.mutable_checkpoint() = checkpoint;
    Send(event);
  }
  void OnEnded(const v1::MemberEnded& ended) override {
    v1::TrainerEvent event;
    *event.mutable_ended() = ended;
    Send(event);
  }
  void Publish(const std::string& member, const std::string& contact) override {
    v1::TrainerEvent event;
    event.mutable_gang_contact()->set_member(member);
    event.mutable_gang_contact()->set_content(contact);
    Send(event);
  }
  absl::StatusOr<std::vector<std::string>> Await(const std::string& member,
                                                 const std::vector<std::string>& known) override {
    return inbox_.AwaitGangPeers(member, known);
  }
  bool IsCancelled(absl::string_view member) override { return inbox_.IsCancelled(member); }
  bool IsStopRequested() override { return inbox_.IsStopRequested(); }

 private:
  void Send(const v1::TrainerEvent& event) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    const absl::Status status = writer_.Write(event);
    if (status.ok()) return;
    LogError("cannot report to the worker", {{"error", status}});
    EndForLostPipe();
  }

  CommandInbox& inbox_;
  Mutex mutex_;
  MessageWriter writer_ ABSL_GUARDED_BY(mutex_);
};

// Says whose work the lines of this thread are about; members of a bundle name themselves.
LogScope ScopeOf(const v1::StartLeaseSet& set) {
  const v1::MemberAssignment first =
      set.members().empty() ? v1::MemberAssignment() : set.members(0);
  const std::optional<TraceContext> trace = ParseTraceparent(first.traceparent());
  const std::string trace_id = trace.has_value() ? trace->trace_id : "none";
  if (set.members_size() > 1) return LogScope({{"job", first.job()}, {"trace", trace_id}});
  return LogScope({{"job", first.job()},
                   {"task", first.task()},
                   {"attempt", first.attempt()},
                   {"trace", trace_id}});
}

}  // namespace

CommandInbox::CommandInbox(int descriptor, void (*on_lost)())
    : descriptor_(descriptor), on_lost_(on_lost), thread_([this] { RunThread(); }) {}

CommandInbox::~CommandInbox() { thread_.join(); }

absl::StatusOr<std::optional<v1::StartLeaseSet>> CommandInbox::NextLeaseSet() {
  MutexLock lock(mutex_);
  while (!start_.has_value() && !ended_) changed_.Wait(mutex_);
  if (!error_.ok()) return error_;
  return std::exchange(start_, std::nullopt);
}

void CommandInbox::LeaseSetEnded() {
  MutexLock lock(mutex_);
  running_ = false;
}

bool CommandInbox::IsCancelled(absl::string_view member) {
  MutexLock lock(mutex_);
  return cancelled_.find(member) != cancelled_.end();
}

bool CommandInbox::IsStopRequested() {
  MutexLock lock(mutex_);
  return stop_requested_;
}

absl::StatusOr<std::vector<std::string>> CommandInbox::AwaitGangPeers(
    const std::string& member, const std::vector<std::string>& known) {
  MutexLock lock(mutex_);
  while (!stop_requested_ && cancelled_.count(member) == 0) {
    if (gang_peers_.member() == member) {
      std::vector<std::string> peers(gang_peers_.contents().begin(), gang_peers_.contents().end());
      if (peers != known) return peers;
    }
    changed_.Wait(mutex_);
  }
  return absl::CancelledError("stopped before its gang was there");
}

void CommandInbox::RunThread() {
  MessageReader reader(descriptor_);
  while (true) {
    const absl::StatusOr<std::optional<v1::TrainerCommand>> command =
        reader.Read<v1::TrainerCommand>();
    if (command.ok() && command->has_value()) {
      if (!Take(**command)) return;
      continue;
    }
    MutexLock lock(mutex_);
    if (running_) on_lost_();
    if (!absl::IsOutOfRange(command.status())) error_ = command.status();
    ended_ = true;
    changed_.NotifyAll();
    return;
  }
}

bool CommandInbox::Take(const v1::TrainerCommand& command) {
  MutexLock lock(mutex_);
  switch (command.command_case()) {
    case v1::TrainerCommand::kStart:
      if (running_) {
        LogError("worker started a lease set while another one runs");
        on_lost_();
      }
      // What was said about an earlier set, perhaps too late, does not concern this one.
      cancelled_.clear();
      stop_requested_ = false;
      gang_peers_.Clear();
      start_ = command.start();
      running_ = true;
      break;
    case v1::TrainerCommand::kCancel:
      cancelled_.insert(command.cancel().member());
      break;
    case v1::TrainerCommand::kCheckpointAndStop:
      stop_requested_ = true;
      break;
    case v1::TrainerCommand::kGangPeers:
      gang_peers_ = command.gang_peers();
      break;
    case v1::TrainerCommand::kShutdown:
      ended_ = true;
      changed_.NotifyAll();
      return false;
    default:
      LogWarning("worker sent an unknown command");
  }
  changed_.NotifyAll();
  return true;
}

int RunPipeSession(PipeDescriptors descriptors, const Clock& clock,
                   const std::string& stamp_directory) {
  const torch::DeviceType device = PinnedDevice();
  const std::string numeric_class = ActiveNumericClass(device);
  CommandInbox inbox(descriptors.commands, EndForLostPipe);
  PipeObserver observer(descriptors.events, inbox);
  LoggingObserver logging(clock, observer);
  training::ImageSetsCache images(clock, stamp_directory);
  training::FeatureCache features;
  while (true) {
    observer.SendReady(numeric_class);
    const absl::StatusOr<std::optional<v1::StartLeaseSet>> set = inbox.NextLeaseSet();
    if (!set.ok()) {
      LogError("cannot read from the worker", {{"error", set.status()}});
      return kTrainerExitPipe;
    }
    if (!set->has_value()) return kTrainerExitOk;
    const LogScope scope = ScopeOf(**set);
    logging.LogStart(**set);
    training::RunLeaseSet(**set, numeric_class,
                          {clock, images, features, logging, &observer, device});
    inbox.LeaseSetEnded();
  }
}

}  // namespace distill::worker
