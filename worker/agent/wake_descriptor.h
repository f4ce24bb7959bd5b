// A descriptor that any thread can make readable: how a thread that sleeps in poll() is woken.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/check.h"

namespace distill::worker {

// Thread-safe.
class WakeDescriptor {
 public:
  WakeDescriptor() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    DISTILL_CHECK(descriptor_ >= 0, "out of file descriptors at start");
  }
  ~WakeDescriptor() { close(descriptor_); }
  WakeDescriptor(const WakeDescriptor&) = delete;
  WakeDescriptor& operator=(const WakeDescriptor&) = delete;

  int descriptor() const { return descriptor_; }
  // Makes the descriptor readable until Clear().
  void Wake() {
    const uint64_t one = 1;
    // Fails only when it is readable already.
    [[maybe_unused]] const ssize_t count = write(descriptor_, &one, sizeof(one));
  }
  void Clear() {
    uint64_t value = 0;
    [[maybe_unused]] const ssize_t count = read(descriptor_, &value, sizeof(value));
  }

 private:
  const int descriptor_;
};

}  // namespace distill::worker
