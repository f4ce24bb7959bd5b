// Any bytes may lie under the names of IDX files, plain or compressed: the first byte says how many
// of the rest are labels.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "tests/fuzz/fuzzed_folder.h"
#include "worker/data/idx_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using distill::data::Dataset;
  static auto& folder = *new distill::FuzzedFolder();
  if (size < 1) return 0;
  const absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  folder.Write("train-labels-idx1-ubyte", rest.substr(0, data[0]));
  folder.Write("train-images-idx3-ubyte", rest.substr(std::min<size_t>(data[0], rest.size())));
  distill::data::IdxSource source;
  source.directory = folder.path();
  source.max_bytes = 1 << 20;
  const absl::StatusOr<std::unique_ptr<Dataset>> dataset = distill::data::ReadIdxDataset(source);
  if (!dataset.ok()) return 0;
  std::vector<uint8_t> pixels(static_cast<size_t>((*dataset)->shape().pixels()));
  for (int64_t i = 0; i < (*dataset)->size(); ++i) {
    DISTILL_CHECK((*dataset)->Read(i, absl::MakeSpan(pixels)).ok(), "all images are there");
    DISTILL_CHECK((*dataset)->Label(i) < (*dataset)->classes(), "labels are in range");
  }
  return 0;
}
