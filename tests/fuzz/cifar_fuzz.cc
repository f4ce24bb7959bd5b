// Any bytes may lie under the names of CIFAR's files, and in the lists of names beside them. The
// first byte chooses the kind; what follows it is repeated up to whole records, which chance would
// not find.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "tests/fuzz/fuzzed_folder.h"
#include "worker/data/cifar_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distill::data;  // NOLINT(google-build-using-namespace)
  static auto& folder = *new distill::FuzzedFolder();
  if (size < 2) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::string records;
  for (int i = 0; i < data[1] % 8 && !bytes.empty(); ++i) {
    const size_t start = records.size();
    records += bytes.substr(static_cast<size_t>(i) % bytes.size(), 2);
    if (data[0] % 4 != 3) records.resize(start + ((data[0] & 1) != 0 ? 3073 : 3074), 'p');
  }
  CifarSource source;
  source.directory = folder.path();
  source.kind = (data[0] & 1) != 0 ? CifarKind::kCifar10 : CifarKind::kCifar100;
  source.split = Split::kTest;
  source.classes = data[0] >> 4;
  folder.Write("test_batch.bin", records);
  folder.Write("test.bin", records);
  folder.Write("batches.meta.txt", bytes);
  ReadCifarClassNames(folder.path(), CifarKind::kCifar10).status().IgnoreError();
  const absl::StatusOr<std::unique_ptr<Dataset>> dataset = ReadCifarDataset(source);
  if (!dataset.ok()) return 0;
  for (int64_t i = 0; i < (*dataset)->size(); ++i) {
    DISTILL_CHECK((*dataset)->Label(i) < (*dataset)->classes(), "labels are in range");
  }
  return 0;
}
