// Unpredictable identifiers. Handed in as a dependency, so that tests can script them.
#pragma once

#include <string>

namespace distill {

// Thread-safe.
class IdSource {
 public:
  virtual ~IdSource() = default;
  // Returns 2 * `bytes` lower-case hex digits. 0 < bytes <= 32.
  virtual std::string RandomHex(int bytes) = 0;
};

// Draws from the kernel (getrandom).
class SystemIdSource : public IdSource {
 public:
  std::string RandomHex(int bytes) override;
};

}  // namespace distill
