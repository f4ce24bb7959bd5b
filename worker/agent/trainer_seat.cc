#include "worker/agent/trainer_seat.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/agent/device_inventory.h"
#include "worker/pipe/trainer_contract.h"

namespace distill::worker {
namespace {

// How long a trainer that has closed its pipe may take to end by itself, so that its exit status
// tells the cause.
constexpr absl::Duration kExitGrace = absl::Seconds(2);
// Waits are cut into pieces of this length, in case `give_up` changes without a wake-up.
constexpr absl::Duration kLongestWait = absl::Seconds(1);

}  // namespace

TrainerSeat::TrainerSeat(Config config, WakeDescriptor& wake)
    : config_(std::move(config)), wake_(&wake) {}

bool TrainerSeat::IsWarmFor(const Demand& demand) const {
  return trainer_ != nullptr && demand_ == demand;
}

absl::Status TrainerSeat::Prepare(const Demand& demand, const std::function<bool()>& give_up) {
  if (IsWarmFor(demand)) {
    trainer_->StartLog();
    return absl::OkStatus();
  }
  End();
  TrainerProcess::Config config;
  config.binary = config_.trainer_binary;
  config.working_directory = config_.working_directory;
  config.arguments = {"--digest-stamps", config_.stamp_directory};
  config.keeps_network = demand.keeps_network;
  config.log = config_.log;
  DISTILL_ASSIGN_OR_RETURN(config.environment,
                           NumericEnvironment(demand.numeric_class, config_.numeric_classes));
  config.environment.insert(config.environment.end(), config_.device_environment.begin(),
                            config_.device_environment.end());
  if (config_.json_log) {
    config.environment.push_back(absl::StrCat(kTrainerLogFormatVariable, "=json"));
  }
  DISTILL_ASSIGN_OR_RETURN(trainer_, TrainerProcess::Start(config));
  demand_ = demand;
  absl::Status ready = AwaitReady(config_.ready_timeout, demand.numeric_class, give_up);
  if (ready.ok()) return ready;
  const std::string last_line = trainer_->log().LastLine();
  const TrainerExit exit = End(absl::IsUnavailable(ready) ? kExitGrace : absl::ZeroDuration());
  if (absl::IsCancelled(ready)) return ready;
  return Annotate(ready, absl::StrCat("cannot start trainer (", exit.description,
                                      "; last line: ", last_line, ")"));
}

void TrainerSeat::KeepWarm(const std::function<bool()>& give_up) {
  const absl::Status ready = AwaitReady(config_.warm_timeout, demand_.numeric_class, give_up);
  if (ready.ok()) return;
  LogWarning("trainer does not stay warm", {{"error", ready}});
  End();
}

TrainerExit TrainerSeat::End(absl::Duration grace) {
  if (trainer_ == nullptr) return TrainerExit();
  TrainerExit exit = trainer_->End(grace);
  trainer_.reset();
  demand_ = Demand();
  return exit;
}

absl::Status TrainerSeat::AwaitReady(absl::Duration timeout, const std::string& numeric_class,
                                     const std::function<bool()>& give_up) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  while (clock.Now() < deadline) {
    if (give_up()) return absl::CancelledError("trainer is not needed any more");
    DISTILL_ASSIGN_OR_RETURN(
        const std::vector<v1::TrainerEvent> events,
        trainer_->Wait(wake_->descriptor(), std::min(deadline - clock.Now(), kLongestWait)));
    wake_->Clear();
    for (const v1::TrainerEvent& event : events) {
      if (!event.has_ready()) continue;
      const std::string& actual = event.ready().numeric_class();
      if (!numeric_class.empty() && numeric_class != "any" && !actual.empty() &&
          actual != numeric_class) {
        return absl::FailedPreconditionError(absl::StrCat(
            "trainer runs in another numeric class: is OpenBLAS (libopenblas0-pthread) "
            "installed, or the GPU gone?; want=",
            numeric_class, " got=", actual));
      }
      return absl::OkStatus();
    }
  }
  return absl::DeadlineExceededError("trainer did not become ready");
}

}  // namespace distill::worker
