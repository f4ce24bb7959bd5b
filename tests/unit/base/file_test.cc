#include "base/file.h"

#include <unistd.h>

#include <cerrno>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;

TEST(FileTest, ErrorsNameThePathAndTheCause) {
  EXPECT_THAT(ErrnoStatus(ENOENT, "open", "/a"),
              StatusIs(absl::StatusCode::kNotFound, "cannot open /a: No such file or directory"));
  EXPECT_THAT(ErrnoStatus(EEXIST, "x", "y"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(ErrnoStatus(ENOSPC, "write", "/a"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("free some space")));
  EXPECT_THAT(ErrnoStatus(EDQUOT, "x", "y"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(EACCES, "x", "y"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(ErrnoStatus(EIO, "x", "y"), StatusIs(absl::StatusCode::kInternal));
}

TEST(FileTest, WriteReplacesTheWholeFileAndLeavesNothingBeside) {
  const TempDir directory;
  const std::string path = directory.Join("f");
  ASSERT_THAT(WriteFileAtomically(path, "a longer first version"), IsOk());
  ASSERT_THAT(WriteFileAtomically(path, std::string("two\0!", 5)), IsOk());
  EXPECT_THAT(ReadFile(path), IsOkAndHolds(std::string("two\0!", 5)));
  EXPECT_THAT(FileSize(path), IsOkAndHolds(5U));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(ElementsAre("f")));
}

TEST(FileTest, AtomicFileAppearsOnlyWhenCommitted) {
  const TempDir directory;
  const std::string path = directory.Join("f");
  {
    absl::StatusOr<AtomicFile> abandoned = AtomicFile::Create(path);
    ASSERT_THAT(abandoned, IsOk());
    ASSERT_THAT(abandoned->Append("lost"), IsOk());
    EXPECT_FALSE(FileExists(path));
  }
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(ElementsAre()));
  absl::StatusOr<AtomicFile> created = AtomicFile::Create(path);
  ASSERT_THAT(created, IsOk());
  AtomicFile file = *std::move(created);
  ASSERT_THAT(file.Append("kept "), IsOk());
  ASSERT_THAT(file.Append("whole"), IsOk());
  ASSERT_THAT(file.Commit(), IsOk());
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("kept whole"));
}

TEST(FileTest, FailedWriteLeavesNothingBehind) {
  const TempDir directory;
  ASSERT_THAT(CreateDirectories(directory.Join("target/child")), IsOk());
  EXPECT_THAT(WriteFileAtomically(directory.Join("target"), "x"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("rename")));
  EXPECT_THAT(ListDirectory(directory.path()), IsOkAndHolds(ElementsAre("target")));
  EXPECT_THAT(WriteFileAtomically(directory.Join("no/such/f"), "x"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(FileTest, ReadRefusesMoreThanTheLimitAndDirectories) {
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), "12345"), IsOk());
  EXPECT_THAT(ReadFile(directory.Join("f"), 5), IsOkAndHolds("12345"));
  EXPECT_THAT(ReadFile(directory.Join("f"), 4),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("max_bytes=4")));
  EXPECT_THAT(ReadFile(directory.path()), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(ReadFile(directory.Join("g")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(FileTest, ReadsFilesThatDoNotKnowTheirSize) {
  EXPECT_THAT(ReadFile("/proc/self/stat"), IsOkAndHolds(HasSubstr("(")));
}

TEST(FileTest, CreatesDirectoriesWithTheirParents) {
  const TempDir directory;
  EXPECT_THAT(CreateDirectories(directory.Join("a/b/c/")), IsOk());
  EXPECT_THAT(CreateDirectories(directory.Join("a/b/c")), IsOk());
  EXPECT_TRUE(FileExists(directory.Join("a/b/c")));
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), ""), IsOk());
  EXPECT_THAT(CreateDirectories(directory.Join("f")), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(CreateDirectories(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(FileTest, RenamesAcrossDirectories) {
  const TempDir directory;
  ASSERT_THAT(CreateDirectories(directory.Join("a")), IsOk());
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), "x"), IsOk());
  EXPECT_THAT(RenameDurably(directory.Join("f"), directory.Join("a/g")), IsOk());
  EXPECT_FALSE(FileExists(directory.Join("f")));
  EXPECT_THAT(ReadFile(directory.Join("a/g")), IsOkAndHolds("x"));
  EXPECT_THAT(RenameDurably(directory.Join("f"), directory.Join("h")),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(directory.Join("f")), HasSubstr(directory.Join("h")))));
}

TEST(FileTest, RemovesFilesAndTreesOnce) {
  const TempDir directory;
  ASSERT_THAT(CreateDirectories(directory.Join("a/b")), IsOk());
  ASSERT_THAT(WriteFileAtomically(directory.Join("a/b/f"), "x"), IsOk());
  EXPECT_THAT(RemoveFile(directory.Join("a/b/f")), IsOk());
  EXPECT_THAT(RemoveFile(directory.Join("a/b/f")), IsOk());
  EXPECT_THAT(RemoveTree(directory.Join("a")), IsOk());
  EXPECT_THAT(RemoveTree(directory.Join("a")), IsOk());
  EXPECT_THAT(ListDirectory(directory.Join("a")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(FileTest, SyncsAndMeasures) {
  const TempDir directory;
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), "x"), IsOk());
  EXPECT_THAT(SyncFile(directory.Join("f")), IsOk());
  EXPECT_THAT(SyncFile(directory.Join("g")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(SyncDirectory(directory.path()), IsOk());
  EXPECT_THAT(FreeDiskBytes(directory.path()), IsOkAndHolds(Gt(0U)));
  EXPECT_THAT(FileSize(directory.Join("g")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(FileTest, JoinPathPutsOneSlash) {
  EXPECT_EQ(JoinPath("/a", "b"), "/a/b");
  EXPECT_EQ(JoinPath("/a/", "/b"), "/a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
}

TEST(FileLockTest, OneHolderAtATime) {
  const TempDir directory;
  {
    absl::StatusOr<FileLock> lock = FileLock::Acquire(directory.Join("LOCK"));
    ASSERT_THAT(lock, IsOk());
    const FileLock moved = *std::move(lock);
    EXPECT_THAT(FileLock::Acquire(directory.Join("LOCK")),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another process")));
  }
  EXPECT_THAT(FileLock::Acquire(directory.Join("LOCK")), IsOk());
}

}  // namespace
}  // namespace distill
