// What attempts rely on when they are handed a data set that was fetched.
#include "worker/agent/dataset_cache.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/archive/tar_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;

// Gives blobs from memory.
class FakeSource : public BlobSource {
 public:
  Digest Add(const std::string& bytes) {
    const Digest digest = Digest::OfBytes(bytes);
    blobs[digest] = bytes;
    return digest;
  }
  absl::Status Read(const Digest& digest, int64_t offset, const CancelToken&,
                    const std::function<absl::Status(absl::string_view)>& sink) override {
    ++reads;
    const auto found = blobs.find(digest);
    if (found == blobs.end()) return absl::NotFoundError("no such blob");
    return sink(found->second.substr(static_cast<size_t>(offset)));
  }

  int reads = 0;
  std::map<Digest, std::string> blobs;
};

std::string Tar(const std::string& name, const std::string& content) {
  std::string archive;
  storage::TarWriter writer([&](absl::string_view bytes) {
    archive.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  });
  EXPECT_THAT(writer.BeginFile(name, content.size()), IsOk());
  EXPECT_THAT(writer.Append(content), IsOk());
  EXPECT_THAT(writer.Finish(), IsOk());
  return archive;
}

class DatasetCacheTest : public ::testing::Test {
 protected:
  DatasetCacheTest() {
    ArtifactCache::Config config;
    config.directory = directory_.Join("cache");
    config.capacity_bytes = 1 << 20;
    config.first_retry = absl::Milliseconds(1);
    blobs_ = ArtifactCache::Open(config, source_, metrics_).value();
  }
  std::unique_ptr<DatasetCache> Open(int64_t capacity) {
    return DatasetCache::Open({directory_.Join("datasets"), capacity}, *blobs_, metrics_).value();
  }
  // A data set of two files of ten bytes in two shards.
  v1::DatasetManifest Store(const std::string& seed) {
    v1::DatasetManifest manifest;
    for (const char* name : {"train/a", "val/b"}) {
      const std::string tar = Tar(name, (seed + "0123456789").substr(0, 10));
      v1::DatasetManifest::Shard* const shard = manifest.add_shards();
      shard->set_digest(source_.Add(tar).str());
      shard->set_size_bytes(static_cast<int64_t>(tar.size()));
      shard->set_files(1);
    }
    manifest.set_files(2);
    manifest.set_content_bytes(20);
    return manifest;
  }
  Digest Put(const v1::DatasetManifest& manifest) {
    return source_.Add(manifest.SerializeAsString());
  }
  absl::StatusOr<DatasetCache::Pin> Fetch(DatasetCache& cache, const Digest& manifest) {
    return cache.Fetch(manifest, cancel_, &bad_blob_);
  }

  TempDir directory_;
  FakeSource source_;
  NullMetrics metrics_;
  std::unique_ptr<ArtifactCache> blobs_;
  CancelToken cancel_;
  Digest bad_blob_;
};

TEST_F(DatasetCacheTest, FetchesOnceAndKeepsOverARestart) {
  const Digest manifest = Put(Store("x"));
  {
    auto cache = Open(100);
    const absl::StatusOr<DatasetCache::Pin> pin = Fetch(*cache, manifest);
    ASSERT_THAT(pin, IsOk());
    EXPECT_THAT(ReadFile(JoinPath(pin->path(), "train/a")), IsOkAndHolds("x012345678"));
    EXPECT_THAT(ReadFile(JoinPath(pin->path(), "val/b")), IsOkAndHolds("x012345678"));
    EXPECT_EQ(cache->size_bytes(), 20);
  }
  const int reads = source_.reads;
  auto cache = Open(100);
  EXPECT_EQ(cache->size_bytes(), 20);
  EXPECT_THAT(Fetch(*cache, manifest), IsOk());
  EXPECT_EQ(source_.reads, reads);
}

TEST_F(DatasetCacheTest, EvictsWhatWasUsedLongestAgoButNothingInUse) {
  const Digest a = Put(Store("a"));
  const Digest b = Put(Store("b"));
  const Digest c = Put(Store("c"));
  auto cache = Open(45);
  std::string path_of_a;
  {
    const auto pin_a = Fetch(*cache, a);
    ASSERT_THAT(pin_a, IsOk());
    path_of_a = pin_a->path();
    const auto pin_b = Fetch(*cache, b);
    ASSERT_THAT(pin_b, IsOk());
    EXPECT_THAT(Fetch(*cache, c), StatusIs(absl::StatusCode::kFailedPrecondition,
                                           HasSubstr("--dataset-cache-bytes")));
  }
  EXPECT_THAT(Fetch(*cache, b), IsOk());
  EXPECT_THAT(Fetch(*cache, c), IsOk());
  EXPECT_FALSE(FileExists(path_of_a));
  EXPECT_EQ(cache->size_bytes(), 40);
  EXPECT_THAT(Fetch(*cache, a), IsOk());
  EXPECT_EQ(cache->size_bytes(), 40);
}

TEST_F(DatasetCacheTest, NamesTheBlobThatIsMissing) {
  const v1::DatasetManifest stored = Store("x");
  const Digest manifest = Put(stored);
  const Digest second = Digest::Parse(stored.shards(1).digest()).value();
  const std::string bytes = source_.blobs[second];
  source_.blobs.erase(second);
  auto cache = Open(100);
  EXPECT_THAT(Fetch(*cache, manifest), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(bad_blob_, second);
  EXPECT_EQ(cache->size_bytes(), 0);
  source_.blobs[second] = bytes;
  EXPECT_THAT(Fetch(*cache, manifest), IsOk());
}

TEST_F(DatasetCacheTest, RefusesArchivesThatAreNotAsAnnounced) {
  v1::DatasetManifest more = Store("x");
  more.set_content_bytes(30);
  v1::DatasetManifest less = Store("x");
  less.set_files(1);
  auto cache = Open(100);
  EXPECT_THAT(Fetch(*cache, Put(more)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(Fetch(*cache, Put(less)), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Fetch(*cache, source_.Add("no manifest")), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(cache->size_bytes(), 0);
}

TEST_F(DatasetCacheTest, RemovesWhatIsNotWhole) {
  const std::string folder = JoinPath(directory_.Join("datasets"), std::string(64, 'a'));
  ASSERT_THAT(CreateDirectories(folder), IsOk());
  ASSERT_THAT(CreateDirectories(folder + ".part"), IsOk());
  auto cache = Open(100);
  EXPECT_FALSE(FileExists(folder));
  EXPECT_FALSE(FileExists(folder + ".part"));
}

}  // namespace
}  // namespace distill::worker
