// How the fake trainer behaves, by the seed of a task.
#pragma once

#include <cstdint>

namespace distill::worker {

// What it says of GPUs: all can be used but one.
inline constexpr char kFakeCudaClass[] = "cuda-sm90-libtorch2.11";
inline constexpr char kFakeBrokenGpu[] = "GPU-1";

enum FakeBehaviour : uint64_t {
  kFakeSucceed = 0,       // At its first step.
  kFakeSlow = 1,          // Succeeds at step 20.
  kFakeHang = 2,          // Steps for ever; obeys.
  kFakeIgnoreCancel = 3,  // Steps for ever, with a child process; obeys nothing.
  kFakeCheckpoints = 4,   // Writes checkpoints at steps 1, 2 and 3, then as kFakeHang.
  kFakeCrash = 5,
  kFakeOutOfMemory = 6,  // Exits with the code for it.
  kFakeFail = 7,         // A user failure.
  // Fails while there is a file "wrong" in the folder of its data set; otherwise succeeds.
  kFakeJudgeDataset = 8,
  // As rank of a gang: says how it is reached, and succeeds when it has heard of the others.
  kFakeJoinGang = 9,
  kFakeLoseGang = 10,  // Fails because another rank is gone.
  kFakeFreeze = 11,    // Hangs before it says that it starts.
};

}  // namespace distill::worker
