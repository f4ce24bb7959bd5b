// The suite of all blob stores, run against those that need nothing but this machine.
#include <memory>

#include "storage/blob/filesystem_blob_store.h"
#include "tests/conformance/blob_store_suite.h"
#include "tests/support/faulty_blob_store.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

void OpenMemory(World& world, uint64_t max_bytes) {
  world.store = std::make_unique<MemoryBlobStore>(max_bytes);
}

void OpenFilesystem(World& world, uint64_t max_bytes) {
  FilesystemBlobStore::Config config;
  config.root = world.directory.Join("store");
  config.max_bytes = max_bytes;
  absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> store =
      FilesystemBlobStore::Open(std::move(config));
  ASSERT_THAT(store, IsOk());
  world.store = *std::move(store);
}

void OpenFaulty(World& world, uint64_t) {
  world.store = std::make_unique<FaultyBlobStore>(world.memory);
}

INSTANTIATE_TEST_SUITE_P(Stores, BlobStoreTest,
                         ::testing::Values(Backend{"Memory", OpenMemory},
                                           Backend{"Filesystem", OpenFilesystem},
                                           Backend{"FaultyWithoutFaults", OpenFaulty}),
                         NameOf);

INSTANTIATE_TEST_SUITE_P(Stores, LimitedBlobStoreTest,
                         ::testing::Values(Backend{"Memory", OpenMemory},
                                           Backend{"Filesystem", OpenFilesystem}),
                         NameOf);

}  // namespace
}  // namespace distill::storage
