// Any bytes may arrive as a PyTorch checkpoint: the reader must refuse them, or give tensors whose
// every element is there.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "storage/tensor/pth_file.h"
#include "storage/tensor/safetensors_file.h"

namespace {

using distill::storage::PthFile;

// Looks at all tensors below `place`, of which there are few in files as small as these.
void Visit(const PthFile& file, const PthFile::Place& place) {
  constexpr size_t kDeepest = 4;
  const auto tensors = file.Tensors(place);
  if (tensors.ok()) {
    for (const auto& [name, tensor] : *tensors) {
      std::string copy;
      const distill::storage::TensorView view = tensor.Dense(&copy);
      DISTILL_CHECK(
          distill::storage::TensorSizeBytes(view.dtype, view.shape).value() == view.bytes.size(),
          "a dense tensor has all its elements");
      FindNonFinite(view);
    }
  }
  if (place.size() == kDeepest) return;
  size_t visited = 0;
  for (const std::string& key : file.Keys(place)) {
    PthFile::Place inner = place;
    inner.push_back(key);
    if (++visited < 8) Visit(file, inner);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<PthFile> file =
      PthFile::Parse(std::string(reinterpret_cast<const char*>(data), size));
  if (file.ok()) Visit(*file, {});
  return 0;
}
