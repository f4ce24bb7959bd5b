// Any text may arrive as an architecture file: what is accepted has tensors that can be listed, and
// reads back as what it was.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distill::storage;
  const auto architecture =
      ParseArchitecture(absl::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!architecture.ok()) return 0;
  DISTILL_CHECK(CountParameters(ExpectedTensors(*architecture)) > 0, "a network has parameters");
  const auto again = ParseArchitecture(FormatArchitecture(*architecture), "again");
  DISTILL_CHECK(again.ok() && again->SerializeAsString() == architecture->SerializeAsString(),
                "what was accepted reads back");
  return 0;
}
