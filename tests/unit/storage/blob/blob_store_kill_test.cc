// A store whose process is killed at any instant: what was acknowledged is there, whole, and
// nothing else can be seen.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "storage/blob/filesystem_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

constexpr uint64_t kBlobBytes = 200'000;

std::string BlobOf(int number) {
  return std::string(kBlobBytes, static_cast<char>('a' + number % 26)) + std::to_string(number);
}

// Publishes blobs until killed, and tells of each over the pipe once Commit() returned OK.
[[noreturn]] void PublishUntilKilled(const FilesystemBlobStore::Config& config, int first,
                                     int acknowledge) {
  const absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> store =
      FilesystemBlobStore::Open(config);
  if (!store.ok()) _exit(1);
  for (int number = first;; ++number) {
    const std::string bytes = BlobOf(number);
    const auto upload = (*store)->StartUpload("u", Digest::OfBytes(bytes), bytes.size());
    if (!upload.ok()) _exit(2);
    while ((*upload)->committed_size() < bytes.size()) {
      const uint64_t at = (*upload)->committed_size();
      if (!(*upload)->Append(at, absl::string_view(bytes).substr(at, 10'000)).ok()) _exit(3);
    }
    const absl::Status committed = (*upload)->Commit();
    // Aborted: the part that the killed process left was of another blob.
    if (absl::IsAborted(committed)) {
      --number;
      continue;
    }
    if (!committed.ok()) _exit(4);
    if (write(acknowledge, &number, sizeof(number)) != sizeof(number)) _exit(5);
  }
}

TEST(BlobStoreKillTest, AcknowledgedBlobsSurviveAndPartsStayHidden) {
  const TempDir directory;
  FilesystemBlobStore::Config config;
  config.root = directory.Join("store");
  int acknowledged = -1;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(ends[0]);
      PublishUntilKilled(config, acknowledged + 1, ends[1]);
    }
    close(ends[1]);
    // Kill it after a few acknowledgements, wherever it then is in the next blob.
    for (int i = 0; i < 1 + round % 3; ++i) {
      int number = -1;
      ASSERT_EQ(read(ends[0], &number, sizeof(number)), ssize_t{sizeof(number)});
      EXPECT_EQ(number, acknowledged + 1);
      acknowledged = number;
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    int number = -1;
    while (read(ends[0], &number, sizeof(number)) == ssize_t{sizeof(number)}) acknowledged = number;
    close(ends[0]);

    const absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> store =
        FilesystemBlobStore::Open(config);
    ASSERT_THAT(store, IsOk());
    for (int i = 0; i <= acknowledged; ++i) {
      EXPECT_THAT((*store)->Verify(Digest::OfBytes(BlobOf(i))), IsOk()) << i;
    }
    const absl::StatusOr<std::vector<BlobInfo>> blobs = (*store)->List();
    ASSERT_THAT(blobs, IsOk());
    // At most the one whose acknowledgement was on its way is there besides.
    EXPECT_LE(blobs->size(), static_cast<size_t>(acknowledged) + 2);
    for (const BlobInfo& blob : *blobs) EXPECT_THAT((*store)->Verify(blob.digest), IsOk());
  }
}

}  // namespace
}  // namespace distill::storage
