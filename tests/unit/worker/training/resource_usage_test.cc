// What the process says of its own use of memory.
#include "worker/training/resource_usage.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace distill::training {
namespace {

constexpr int64_t kBlockBytes = 128 << 20;

TEST(ResourceUsageTest, APeakIsKeptUntilItIsForgotten) {
  ForgetPeakResident();
  const int64_t before = PeakResidentBytes();
  void* const block =
      mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBlockBytes);
  munmap(block, kBlockBytes);
  EXPECT_GE(PeakResidentBytes(), before + kBlockBytes / 2);
  ForgetPeakResident();
  EXPECT_LT(PeakResidentBytes(), before + kBlockBytes / 2);
}

}  // namespace
}  // namespace distill::training
