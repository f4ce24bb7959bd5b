// What attempts rely on when they are handed a file from the cache.
#include "worker/agent/artifact_cache.h"

#include <atomic>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;

// Gives blobs from memory; fails as told.
class FakeSource : public BlobSource {
 public:
  Digest Add(const std::string& bytes) {
    const Digest digest = Digest::OfBytes(bytes);
    blobs_[digest] = bytes;
    return digest;
  }
  absl::Status Read(const Digest& digest, int64_t offset, const CancelToken&,
                    const std::function<absl::Status(absl::string_view)>& sink) override {
    ++reads;
    last_offset = offset;
    const auto found = blobs_.find(digest);
    if (found == blobs_.end()) return absl::NotFoundError("no such blob");
    std::string bytes = found->second.substr(static_cast<size_t>(offset));
    if (damage > 0 && damage-- > 0) bytes[0] = static_cast<char>(bytes[0] ^ 1);
    if (cuts > 0 && cuts-- > 0) {
      const absl::Status status = sink(bytes.substr(0, bytes.size() / 2));
      return status.ok() ? absl::UnavailableError("cut") : status;
    }
    return sink(bytes);
  }

  std::atomic<int> reads{0};
  std::atomic<int64_t> last_offset{0};
  int damage = 0;
  int cuts = 0;

 private:
  std::map<Digest, std::string> blobs_;
};

class ArtifactCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<ArtifactCache> Open(int64_t capacity) {
    ArtifactCache::Config config;
    config.directory = directory_.Join("cache");
    config.capacity_bytes = capacity;
    config.first_retry = absl::Milliseconds(1);
    return ArtifactCache::Open(config, source_, metrics_).value();
  }

  TempDir directory_;
  FakeSource source_;
  NullMetrics metrics_;
  CancelToken cancel_;
};

TEST_F(ArtifactCacheTest, DownloadsOnceAndKeeps) {
  const Digest digest = source_.Add("weights");
  const auto cache = Open(1000);
  EXPECT_THAT(ReadFile(cache->Fetch(digest, cancel_)->path()), IsOkAndHolds("weights"));
  EXPECT_THAT(ReadFile(cache->Fetch(digest, cancel_)->path()), IsOkAndHolds("weights"));
  EXPECT_EQ(source_.reads, 1);
  EXPECT_EQ(cache->size_bytes(), 7);
}

TEST_F(ArtifactCacheTest, KeepsAcrossRestartsButVerifiesAgain) {
  const Digest digest = source_.Add("weights");
  const std::string path = Open(1000)->Fetch(digest, cancel_)->path();
  EXPECT_THAT(Open(1000)->Fetch(digest, cancel_).status(), IsOk());
  EXPECT_EQ(source_.reads, 1);
  // The disk has changed the file behind our back.
  ASSERT_THAT(WriteFileAtomically(path, "weightz"), IsOk());
  const auto cache = Open(1000);
  EXPECT_THAT(ReadFile(cache->Fetch(digest, cancel_)->path()), IsOkAndHolds("weights"));
  EXPECT_EQ(source_.reads, 2);
}

TEST_F(ArtifactCacheTest, EvictsWhatWasUsedLongestAgo) {
  const Digest a = source_.Add(std::string(40, 'a'));
  const Digest b = source_.Add(std::string(40, 'b'));
  const Digest c = source_.Add(std::string(40, 'c'));
  const auto cache = Open(100);
  ASSERT_THAT(cache->Fetch(a, cancel_).status(), IsOk());
  ASSERT_THAT(cache->Fetch(b, cancel_).status(), IsOk());
  ASSERT_THAT(cache->Fetch(a, cancel_).status(), IsOk());
  ASSERT_THAT(cache->Fetch(c, cancel_).status(), IsOk());
  EXPECT_THAT(cache->Digests(10), testing::ElementsAre(c.str(), a.str()));
  EXPECT_LE(cache->size_bytes(), 100);
}

TEST_F(ArtifactCacheTest, NeverEvictsWhatIsPinned) {
  const Digest a = source_.Add(std::string(80, 'a'));
  const Digest b = source_.Add(std::string(80, 'b'));
  const auto cache = Open(100);
  {
    const auto pin_a = cache->Fetch(a, cancel_);
    const auto pin_b = cache->Fetch(b, cancel_);
    EXPECT_TRUE(FileExists(pin_a->path()));
    EXPECT_TRUE(FileExists(pin_b->path()));
    EXPECT_EQ(cache->size_bytes(), 160);  // Over the bound rather than pull the rug.
  }
  EXPECT_LE(cache->size_bytes(), 100);
}

TEST_F(ArtifactCacheTest, ResumesCutDownload) {
  const Digest digest = source_.Add(std::string(1000, 'x'));
  source_.cuts = 1;
  const auto cache = Open(10000);
  ASSERT_THAT(cache->Fetch(digest, cancel_).status(), IsOk());
  EXPECT_EQ(source_.last_offset, 500);
}

TEST_F(ArtifactCacheTest, FetchesDamagedBlobASecondTime) {
  const Digest digest = source_.Add("weights");
  source_.damage = 1;
  const auto cache = Open(1000);
  EXPECT_THAT(ReadFile(cache->Fetch(digest, cancel_)->path()), IsOkAndHolds("weights"));
}

TEST_F(ArtifactCacheTest, CallsABlobCorruptThatArrivesWrongTwice) {
  const Digest digest = source_.Add("weights");
  source_.damage = 2;
  const auto cache = Open(1000);
  EXPECT_THAT(cache->Fetch(digest, cancel_).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("corrupt")));
  EXPECT_EQ(cache->size_bytes(), 0);
  EXPECT_THAT(cache->Fetch(digest, cancel_).status(), IsOk());
}

TEST_F(ArtifactCacheTest, PassesOnThatTheServerDoesNotHaveIt) {
  EXPECT_THAT(Open(1000)->Fetch(Digest::OfBytes("?"), cancel_).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such blob")));
}

TEST_F(ArtifactCacheTest, SharesOneDownloadBetweenThreads) {
  const Digest digest = source_.Add(std::string(100000, 'x'));
  const auto cache = Open(1000000);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_THAT(cache->Fetch(digest, cancel_).status(), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(source_.reads, 1);
}

TEST_F(ArtifactCacheTest, GivesUpWhenCancelled) {
  const Digest digest = source_.Add(std::string(1 << 20, 'x'));
  source_.cuts = 1'000'000'000;
  cancel_.Cancel();
  EXPECT_THAT(Open(1000)->Fetch(digest, cancel_).status(),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled")));
}

TEST_F(ArtifactCacheTest, TakesOfferedFileWithoutDownload) {
  const std::string path = directory_.Join("made-here");
  ASSERT_THAT(WriteFileAtomically(path, "result"), IsOk());
  const auto cache = Open(1000);
  cache->Offer(path, Digest::OfBytes("result"));
  EXPECT_THAT(ReadFile(cache->Fetch(Digest::OfBytes("result"), cancel_)->path()),
              IsOkAndHolds("result"));
  EXPECT_EQ(source_.reads, 0);
}

}  // namespace
}  // namespace distill::worker
