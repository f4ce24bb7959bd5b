// See scripted_id_source.h.
#include "tests/support/scripted_id_source.h"

#include "absl/strings/str_format.h"

namespace distill {

ScriptedIdSource::ScriptedIdSource(const std::vector<std::string>& script)
    : script_(script.begin(), script.end()) {}

std::string ScriptedIdSource::RandomHex(int bytes) {
  const MutexLock lock(mu_);
  if (!script_.empty()) {
    std::string next = script_.front();
    script_.pop_front();
    return next;
  }
  return absl::StrFormat("%0*x", 2 * bytes, next_number_++);
}

}  // namespace distill
