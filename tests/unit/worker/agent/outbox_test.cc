// A finished result outlives the daemon that finished it.
#include "worker/agent/outbox.h"

#include "base/file.h"
#include "base/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::worker {
namespace {

class OutboxTest : public ::testing::Test {
 protected:
  std::unique_ptr<Outbox> Open() { return Outbox::Open(Directory(), metrics_).value(); }
  std::string Directory() const { return directory_.Join("outbox"); }

  // Puts one entry whose result is `bytes`.
  absl::Status PutResult(Outbox& outbox, const std::string& lease_id, const std::string& bytes) {
    const std::string path = directory_.Join("result");
    EXPECT_THAT(RemoveFile(path), IsOk());
    EXPECT_THAT(WriteFileAtomically(path, bytes), IsOk());
    Outbox::Item item;
    item.mutable_lease()->set_lease_id(lease_id);
    item.add_results()->set_digest(Digest::OfBytes(bytes).str());
    return outbox.Put(item, {{Digest::OfBytes(bytes), path}});
  }

  TempDir directory_;
  NullMetrics metrics_;
};

TEST_F(OutboxTest, KeepsItemAndFilesAcrossRestarts) {
  ASSERT_THAT(PutResult(*Open(), "lease-1", "weights"), IsOk());
  // The attempt's own folder may go.
  ASSERT_THAT(RemoveFile(directory_.Join("result")), IsOk());
  const auto outbox = Open();
  const auto items = outbox->Load();
  ASSERT_THAT(items.status(), IsOk());
  ASSERT_EQ(items->size(), 1U);
  EXPECT_EQ((*items)[0].lease().lease_id(), "lease-1");
  EXPECT_THAT(ReadFile(outbox->FilePath("lease-1", Digest::OfBytes("weights"))),
              IsOkAndHolds("weights"));
}

TEST_F(OutboxTest, ForgetsWhatWasAcknowledged) {
  const auto outbox = Open();
  ASSERT_THAT(PutResult(*outbox, "lease-1", "weights"), IsOk());
  ASSERT_THAT(outbox->Remove("lease-1"), IsOk());
  ASSERT_THAT(outbox->Remove("lease-1"), IsOk());
  EXPECT_THAT(Open()->Load(), IsOkAndHolds(testing::IsEmpty()));
}

// The daemon died while it wrote the entry, or while it removed it.
TEST_F(OutboxTest, RemovesHalfAnEntry) {
  ASSERT_THAT(CreateDirectories(JoinPath(Directory(), "lease-1.tmp")), IsOk());
  EXPECT_THAT(Open()->Load(), IsOkAndHolds(testing::IsEmpty()));
  EXPECT_FALSE(FileExists(JoinPath(Directory(), "lease-1.tmp")));
}

TEST_F(OutboxTest, SetsUnreadableEntryAside) {
  ASSERT_THAT(CreateDirectories(JoinPath(Directory(), "lease-1")), IsOk());
  ASSERT_THAT(WriteFileAtomically(JoinPath(Directory(), "lease-1/entry.pb"), "\x0A\x7F"), IsOk());
  ASSERT_THAT(PutResult(*Open(), "lease-2", "weights"), IsOk());
  const auto items = Open()->Load();
  ASSERT_THAT(items.status(), IsOk());
  EXPECT_EQ(items->size(), 1U);
  EXPECT_TRUE(FileExists(JoinPath(Directory(), "lease-1.unreadable")));
}

TEST_F(OutboxTest, RefusesLeaseIdThatIsNoName) {
  EXPECT_THAT(PutResult(*Open(), "../lease", "weights"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("lease id")));
}

}  // namespace
}  // namespace distill::worker
