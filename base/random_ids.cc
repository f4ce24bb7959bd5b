// Draws identifiers from the kernel's generator.
#include "base/random_ids.h"

#include <sys/random.h>

#include <array>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace distill {

std::string SystemIdSource::RandomHex(int bytes) {
  std::array<char, 32> buffer{};
  DISTILL_CHECK(bytes > 0 && bytes <= static_cast<int>(buffer.size()),
                "identifiers have 1 to 32 random bytes");
  const size_t wanted = static_cast<size_t>(bytes);
  ssize_t got = -1;
  do {
    got = getrandom(buffer.data(), wanted, 0);
  } while (got < 0 && errno == EINTR);
  DISTILL_CHECK(got == bytes, "getrandom() delivers up to 256 bytes at once or never returns");
  return absl::BytesToHexString(absl::string_view(buffer.data(), wanted));
}

}  // namespace distill
