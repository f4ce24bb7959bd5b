// Any bytes may arrive as a weight file: the reader must refuse or read them, and what it reads
// must survive being written again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "storage/tensor/safetensors_file.h"
#include "storage/tensor/safetensors_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using distill::storage::SafetensorsFile;
  using distill::storage::SafetensorsWriter;
  using distill::storage::TensorView;
  const absl::StatusOr<SafetensorsFile> file =
      SafetensorsFile::Parse(std::string(reinterpret_cast<const char*>(data), size));
  if (!file.ok()) return 0;
  FindNonFinite(*file);
  SafetensorsWriter writer;
  for (const std::string& name : file->names()) {
    const absl::StatusOr<TensorView> tensor = file->Find(name);
    DISTILL_CHECK(tensor.ok(), "a file finds what it names");
    DISTILL_CHECK(writer.Add(name, *tensor).ok(), "what was read can be written");
  }
  for (const auto& [key, value] : file->metadata()) {
    DISTILL_CHECK(writer.SetMetadata(key, value).ok(), "what was read can be written");
  }
  const absl::StatusOr<std::string> written = writer.Serialize();
  DISTILL_CHECK(written.ok(), "what was read can be written");
  const absl::StatusOr<SafetensorsFile> again = SafetensorsFile::Parse(*written);
  DISTILL_CHECK(again.ok() && again->names() == file->names(), "and read again");
  return 0;
}
