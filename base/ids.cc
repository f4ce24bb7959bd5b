// Decides which texts may become part of an identifier or of a path.
#include "base/ids.h"

#include "absl/strings/ascii.h"

namespace distill {

bool IsValidIdText(absl::string_view text) {
  constexpr size_t kMaxLength = 128;
  if (text.empty() || text.size() > kMaxLength || text == "." || text == "..") return false;
  for (const char c : text) {
    const bool allowed =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
    if (!allowed) return false;
  }
  return true;
}

}  // namespace distill
