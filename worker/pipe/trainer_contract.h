// What a worker daemon and its trainer agree on beside the messages: descriptors, environment
// variables and exit codes. Both ends come from the same build.
#pragma once

namespace distill::worker {

// Descriptors that the trainer finds open when it starts.
constexpr int kTrainerCommandDescriptor = 3;  // The trainer reads TrainerCommand.
constexpr int kTrainerEventDescriptor = 4;    // The trainer writes TrainerEvent.

// Name of the environment variable that holds the numeric class the trainer is pinned to; the
// daemon sets OPENBLAS_CORETYPE, ATEN_CPU_CAPABILITY and the thread counts to match.
constexpr char kNumericClassVariable[] = "DISTILL_NUMERIC_CLASS";

// What the numeric classes of GPUs begin with. A trainer that is pinned to this alone says in
// TrainerEvent.ready which of them it has.
constexpr char kCudaClassPrefix[] = "cuda";

// "json": log lines are JSON, as the daemon's own are.
constexpr char kTrainerLogFormatVariable[] = "DISTILL_LOG_FORMAT";

// Exit codes of distill-trainer. Any other end is a crash.
constexpr int kTrainerExitOk = 0;
constexpr int kTrainerExitUsage = 64;         // Started by hand, or with bad flags.
constexpr int kTrainerExitPipe = 74;          // The pipe broke or carried nonsense.
constexpr int kTrainerExitOutOfMemory = 137;  // Memory ran out where no member could be told.

}  // namespace distill::worker
