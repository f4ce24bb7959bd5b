// Any bytes may stand where a checkpoint has its pickle, whose checksum anyone can compute.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "storage/tensor/pth_pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using distill::storage::Pickle;
  const absl::StatusOr<Pickle> pickle =
      distill::storage::ReadPickle(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!pickle.ok()) return 0;
  DISTILL_CHECK(pickle->root < pickle->values.size(), "the root is a value");
  for (const auto& value : pickle->values) {
    for (const uint32_t item : value.items) {
      DISTILL_CHECK(item < pickle->values.size(), "items are values");
    }
  }
  return 0;
}
