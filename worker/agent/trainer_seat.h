// The place for one trainer in a slot. Decides when a trainer may serve again: only after a clean
// success, and only the same job in the same numeric class, with or without network; starting one
// costs about a CPU second.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "worker/agent/trainer_process.h"
#include "worker/agent/wake_descriptor.h"

namespace distill::worker {

// Belongs to the thread of its slot.
class TrainerSeat {
 public:
  struct Config {
    std::string trainer_binary;
    std::string working_directory;
    // Where trainers keep the digests of data sets.
    std::string stamp_directory;
    // What this machine can pin, best first.
    std::vector<std::string> numeric_classes;
    // "NAME=value" of the slot's device, beside what pins the class.
    std::vector<std::string> device_environment;
    // A trainer that has not said Ready by then is broken.
    absl::Duration ready_timeout = absl::Seconds(120);
    // For one that has just finished a lease set.
    absl::Duration warm_timeout = absl::Seconds(10);
    AttemptLog::Config log;
    // The trainer logs JSON lines.
    bool json_log = false;
  };

  // `wake` interrupts waits, and must outlive this.
  TrainerSeat(Config config, WakeDescriptor& wake);

  // What a lease set wants of its trainer.
  struct Demand {
    std::string job;
    std::string numeric_class;
    bool keeps_network = false;  // As a rank of a gang.

    friend bool operator==(const Demand& a, const Demand& b) {
      return a.job == b.job && a.numeric_class == b.numeric_class &&
             a.keeps_network == b.keeps_network;
    }
  };

  // Whether Prepare() would find a warm one.
  bool IsWarmFor(const Demand& demand) const;
  // The job of the warm trainer; "" without one.
  const std::string& job() const { return demand_.job; }
  // The trainer; null without one.
  TrainerProcess* trainer() { return trainer_.get(); }

  // Makes a trainer ready for a lease set: the warm one, or a new one. kCancelled as soon as
  // `give_up` says so; the seat is then empty, as after every error. kInvalidArgument: the numeric
  // class is not available here. Otherwise the trainer cannot run on this machine.
  absl::Status Prepare(const Demand& demand, const std::function<bool()>& give_up);
  // Waits until the trainer is ready for another lease set; ends it when it is not, in time, or
  // when `give_up` says so.
  void KeepWarm(const std::function<bool()>& give_up);
  // Ends the trainer and everything that it started; does nothing without one.
  TrainerExit End(absl::Duration grace = absl::ZeroDuration());

 private:
  absl::Status AwaitReady(absl::Duration timeout, const std::string& numeric_class,
                          const std::function<bool()>& give_up);

  const Config config_;
  WakeDescriptor* const wake_;
  std::unique_ptr<TrainerProcess> trainer_;
  Demand demand_;  // That the trainer was started for.
};

}  // namespace distill::worker
