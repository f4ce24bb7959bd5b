// A server and its workers on this machine, as child processes over one data directory: what `dev`
// and `demo` run. Crashed children are started again with growing delays; at the end workers stop
// first, so that they can hand their work back, and nothing is left running.
//
//   DIR/addresses           where the server listens; other commands find it there
//   DIR/server/             state and blobs
//   DIR/worker-1/ ...       caches
//   DIR/logs/               output of all of them
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mutex.h"
#include "client/backoff.h"
#include "client/cli/child_process.h"
#include "client/cli/dev_addresses.h"
#include "client/interrupt.h"

namespace distill::client {

struct DevFleetOptions {
  // Folder of distill-server and distill-worker.
  std::string program_directory;
  // Created if missing; kept.
  std::string data_directory;
  // 0 to 64.
  int workers = 2;
  // How long children may take to be ready, and to stop before they are killed.
  absl::Duration ready_within = absl::Seconds(30);
  absl::Duration stop_within = absl::Seconds(20);
  absl::Duration first_restart = absl::Milliseconds(500);
  absl::Duration longest_restart = absl::Seconds(30);
};

// Thread-safe.
class DevFleet {
 public:
  // Starts all and waits until the server and the workers are ready. `interrupt` ends the fleet,
  // and a second request kills it at once. `note` is told of crashes, from the fleet's thread.
  // Errors: kNotFound when a program is missing; kFailedPrecondition when another fleet runs in the
  // directory; kUnavailable with the end of the log when a child does not start.
  static absl::StatusOr<std::unique_ptr<DevFleet>> Start(
      DevFleetOptions options, const Clock* clock, Interrupt* interrupt,
      std::function<void(absl::string_view)> note);

  // Stops all children and waits for them.
  ~DevFleet();

  const DevAddresses& server() const { return server_addresses_; }
  // One for each worker that is ready.
  const std::vector<DevAddresses>& workers() const { return worker_addresses_; }
  const std::string& data_directory() const { return options_.data_directory; }

 private:
  // A program that is to be running.
  struct Member {
    std::string name;  // "server", "worker-1".
    std::vector<std::string> command;
    std::string addresses_path;
    std::string log_path;
    std::optional<ChildProcess> process;
    MonotonicTime started;
    // When to start it again, while it is down.
    MonotonicTime restart_at;
    Backoff backoff;
  };

  DevFleet(DevFleetOptions options, FileLock lock, const Clock* clock, Interrupt* interrupt,
           std::function<void(absl::string_view)> note);

  // The fleet's thread: starts, watches and stops the children, which all belong to it.
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status StartAll();
  Member MakeMember(const std::string& name, const std::string& program,
                    std::vector<std::string> arguments);
  absl::Status StartMember(Member* member);
  absl::StatusOr<DevAddresses> AwaitAddresses(Member* member);
  void RestartIfDown(Member* member);
  void StopMembers(size_t first, size_t end);
  bool StopRequested() const { return stop_.requested() || interrupt_->requested(); }

  const DevFleetOptions options_;
  const FileLock lock_;
  const Clock* const clock_;
  Interrupt* const interrupt_;
  const std::function<void(absl::string_view)> note_;
  Interrupt stop_;

  // Of the fleet's thread until it is ready, constant from then on.
  DevAddresses server_addresses_;
  std::vector<DevAddresses> worker_addresses_;
  // Of the fleet's thread; the server first.
  std::vector<Member> members_;

  Mutex mu_;
  CondVar started_;
  std::optional<absl::Status> start_status_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill::client
