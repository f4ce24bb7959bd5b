// Any bytes may lie in a tar shard: the index must refuse them, or every image it names can be
// read. Headers are given right checksums first, which chance would not find.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "tests/fuzz/fuzzed_folder.h"
#include "worker/data/tar_shards.h"

namespace {

constexpr size_t kBlock = 512;

// Writes the right checksum into every block that looks like a header.
void MendChecksums(std::string* bytes) {
  for (size_t start = 0; start + kBlock <= bytes->size(); start += kBlock) {
    if (bytes->compare(start + 257, 5, "ustar") != 0) continue;
    std::memset(&(*bytes)[start + 148], ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < kBlock; ++i) sum += static_cast<uint8_t>((*bytes)[start + i]);
    char text[8];
    std::snprintf(text, sizeof(text), "%06o", sum);
    bytes->replace(start + 148, 6, text, 6);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distill::data;  // NOLINT(google-build-using-namespace)
  static auto& folder = *new distill::FuzzedFolder();
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && data[0] != 0) MendChecksums(&bytes);
  folder.Write("train-0.tar", bytes);
  absl::StatusOr<TarShardIndex> index =
      IndexTarShards({distill::JoinPath(folder.path(), "train-0.tar")}, 1 << 20);
  if (!index.ok()) return 0;
  const TarShards shards(*std::move(index), 100000);
  StoredImage image;
  for (int64_t i = 0; i < shards.size(); ++i) {
    DISTILL_CHECK(shards.Fetch(i, &image).ok(), "what is in the index is in the file");
    DISTILL_CHECK(shards.Label(i) >= 0 && shards.Label(i) < shards.classes(),
                  "labels are in range");
  }
  return 0;
}
