// What every blob store promises (storage/blob/blob_store.h), as a suite that each of them runs: a
// program links this and says INSTANTIATE_TEST_SUITE_P with its backends.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "gtest/gtest.h"
#include "storage/blob/blob_store.h"
#include "storage/blob/memory_blob_store.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {

// A store and what it needs to live.
struct World {
  TempDir directory;
  MemoryBlobStore memory;
  SystemClock clock;
  NullMetrics metrics;
  std::unique_ptr<BlobStore> store;
};

struct Backend {
  const char* name;
  std::function<void(World& world, uint64_t max_bytes)> open;
};

inline std::string NameOf(const ::testing::TestParamInfo<Backend>& info) { return info.param.name; }

class BlobStoreTest : public ::testing::TestWithParam<Backend> {
 protected:
  BlobStoreTest() { GetParam().open(world_, 0); }
  BlobStore& store() { return *world_.store; }
  std::unique_ptr<BlobUpload> Start(const std::string& id, const std::string& bytes);

  World world_;
};

// Of stores that may hold 100 bytes.
class LimitedBlobStoreTest : public BlobStoreTest {
 protected:
  LimitedBlobStoreTest() {
    world_.store.reset();
    GetParam().open(world_, 100);
  }
};

}  // namespace distill::storage
