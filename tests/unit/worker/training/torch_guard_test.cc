#include "worker/training/torch_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <new>

#include "tests/support/status_matchers.h"

namespace distill::training {
namespace {

using testing::HasSubstr;

TEST(TorchGuardTest, PassesResultsThrough) {
  EXPECT_THAT(GuardTorch("add", [] { return absl::StatusOr<int>(3); }),
              IsOkAndHolds(testing::Eq(3)));
}

TEST(TorchGuardTest, ShapeErrorsAreInternal) {
  EXPECT_THAT(GuardTorch("add",
                         [] {
                           (void)(torch::zeros({2}) + torch::zeros({3}));
                           return absl::OkStatus();
                         }),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("cannot add: ")));
}

// LibTorch's own way of failing to allocate, and the language's.
TEST(TorchGuardTest, MissingMemoryIsResourceExhausted) {
  EXPECT_THAT(GuardTorch("allocate",
                         [] {
                           (void)torch::empty({int64_t{1} << 50});
                           return absl::OkStatus();
                         }),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("memory")));
  EXPECT_THAT(GuardTorch("allocate", []() -> absl::Status { throw std::bad_alloc(); }),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("out of memory")));
}

}  // namespace
}  // namespace distill::training
