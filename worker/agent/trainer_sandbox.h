// What a trainer is kept from: gaining privileges, reaching the network, dumping its memory, and
// using up files. Everything that is decided here is undone by nothing the trainer can do.
#pragma once

#include <string>

namespace distill::worker {

// Made ready before the fork: afterwards only system calls are safe. Thread-compatible.
class TrainerSandbox {
 public:
  struct Limits {
    unsigned long open_files = 4096;
    unsigned long file_bytes = 1UL << 40;  // Of one file: a checkpoint, a log.
    bool keeps_network = false;            // The machine's, as a rank of a gang.
  };

  TrainerSandbox() : TrainerSandbox(Limits()) {}
  explicit TrainerSandbox(Limits limits);

  // In the child, between fork and exec. Returns whether the network is gone: an empty namespace of
  // its own, for which either this user or the kernel's setting for user namespaces must be
  // privileged. All else always holds afterwards.
  bool Enter() const;

 private:
  bool LeaveNetwork() const;

  const Limits limits_;
  // What keeps this user's name within a user namespace.
  const std::string user_map_;
  const std::string group_map_;
};

// Tries, in a child, whether a sandbox would have no network here. Blocks for a moment.
bool CanLeaveNetwork();

}  // namespace distill::worker
