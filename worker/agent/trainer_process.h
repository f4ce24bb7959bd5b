// One distill-trainer: started in a session, a process group and, where allowed, a network
// namespace of its own; spoken to over two pipes; ended by killing the whole group. It dies with
// the thread that started it, so that no trainer outlives its daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "distill/v1/trainer.pb.h"
#include "worker/agent/attempt_log.h"
#include "worker/pipe/message_pipe.h"

namespace distill::worker {

// How a trainer ended.
struct TrainerExit {
  // "exit status 1", "killed by signal 9 (Killed)".
  std::string description;
  bool clean = false;  // Exit status 0.
  // The kernel's out-of-memory killer struck, or the trainer said that memory ran out.
  bool out_of_memory = false;
  int64_t peak_memory_bytes = 0;
  double cpu_seconds = 0;
};

// Belongs to one thread, which must live as long as the process shall.
class TrainerProcess {
 public:
  struct Config {
    std::string binary;
    std::vector<std::string> arguments;
    // "NAME=value"; all that it gets beside PATH, HOME, TMPDIR and the like.
    std::vector<std::string> environment;
    std::string working_directory;
    // Keeps the machine's network, as a rank of a gang; otherwise it has none where that is
    // allowed.
    bool keeps_network = false;
    AttemptLog::Config log;
  };

  // Starts one. kNotFound or kPermissionDenied when the binary cannot be run; kInternal otherwise.
  static absl::StatusOr<std::unique_ptr<TrainerProcess>> Start(const Config& config);
  // Kills and reaps.
  ~TrainerProcess();

  pid_t pid() const { return pid_; }
  const AttemptLog& log() const { return *log_; }
  // For readers on other threads, who may keep it longer than this lives.
  std::shared_ptr<const AttemptLog> shared_log() const { return log_; }
  // Begins a new log, for the next lease set of a warm trainer.
  void StartLog() { log_ = std::make_shared<AttemptLog>(log_config_); }

  // Gives up after `timeout`: a trainer that does not read is wedged.
  absl::Status Send(const v1::TrainerCommand& command, absl::Duration timeout = absl::Seconds(5));

  // Waits until the trainer says something, `wake_descriptor` is readable or `timeout`; returns
  // what was said and takes in its log. kUnavailable when it has closed its pipe: it is ending.
  // kDataLoss when it talks nonsense.
  absl::StatusOr<std::vector<v1::TrainerEvent>> Wait(int wake_descriptor, absl::Duration timeout);

  // Ends it: gives one that is ending by itself `grace` to do so, then kills its process group, and
  // reaps. Afterwards nothing of it is left. Idempotent.
  TrainerExit End(absl::Duration grace);

 private:
  TrainerProcess(pid_t pid, int command, int event, int log, const Config& config);
  void DrainLog();
  absl::StatusOr<std::vector<v1::TrainerEvent>> ReadEvents();
  void WaitForExit(absl::Duration grace);

  const pid_t pid_;
  const int command_descriptor_;
  const int event_descriptor_;
  const int log_descriptor_;
  const int64_t kernel_kills_at_start_;
  MessageWriter writer_;
  FrameDecoder decoder_;
  const AttemptLog::Config log_config_;
  std::shared_ptr<AttemptLog> log_;  // Shared with readers.
  bool ended_ = false;
  bool log_open_ = true;
  TrainerExit exit_;
};

}  // namespace distill::worker
