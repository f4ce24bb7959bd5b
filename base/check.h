// Crashes on broken invariants of our own. Never for input, network or disk: those return a Status.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace distill::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition,
                                     const char* reason) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s; %s\n", file, line, condition, reason);
  std::abort();
}

}  // namespace distill::internal

// Aborts, in every build, unless `condition` holds. `reason` is a string literal that says why it
// must hold.
#define DISTILL_CHECK(condition, reason)                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      ::distill::internal::CheckFailed(__FILE__, __LINE__, #condition, reason); \
    }                                                                           \
  } while (false)
