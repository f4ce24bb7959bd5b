#include "client/interrupt.h"

#include <thread>

#include "gmock/gmock.h"

namespace distill::client {
namespace {

TEST(InterruptTest, RunsTheCallbacksOfLivingScopesOnce) {
  Interrupt interrupt;
  int ended_calls = 0;
  int living_calls = 0;
  {
    const Interrupt::Scope ended(interrupt, [&] { ++ended_calls; });
  }
  const Interrupt::Scope living(interrupt, [&] { ++living_calls; });
  interrupt.Request();
  interrupt.Request();
  EXPECT_EQ(ended_calls, 0);
  EXPECT_EQ(living_calls, 1);
  EXPECT_EQ(interrupt.requests(), 2);
}

// A call that starts just after Ctrl-C must not run on.
TEST(InterruptTest, RunsTheCallbackOfALateScopeAtOnce) {
  Interrupt interrupt;
  interrupt.Request();
  bool called = false;
  const Interrupt::Scope scope(interrupt, [&] { called = true; });
  EXPECT_TRUE(called);
}

TEST(InterruptTest, EndsAWait) {
  Interrupt interrupt;
  std::thread other([&] { interrupt.Request(); });
  bool requested = false;
  while (!requested) requested = interrupt.WaitFor(absl::Hours(1));
  other.join();
  EXPECT_TRUE(interrupt.WaitFor(absl::ZeroDuration()));
  EXPECT_FALSE(interrupt.WaitFor(absl::ZeroDuration(), /*seen=*/1));
}

}  // namespace
}  // namespace distill::client
