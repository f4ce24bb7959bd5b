// Digests that are kept from one program to the next, and all that makes them doubtful.
#include "worker/data/digest_stamps.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/data/image_fixtures.h"
#include "tests/unit/worker/data/test_images.h"
#include "worker/data/image_files.h"
#include "worker/data/tar_shards.h"

namespace distill::data {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Counts how often an image is read.
class CountingDataset : public Dataset {
 public:
  explicit CountingDataset(std::shared_ptr<const Dataset> base) : base_(std::move(base)) {}

  int reads() const { return reads_; }

  int64_t size() const override { return base_->size(); }
  int classes() const override { return base_->classes(); }
  const ImageShape& shape() const override { return base_->shape(); }
  int64_t Label(int64_t index) const override { return base_->Label(index); }
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override {
    ++reads_;
    return base_->Read(index, pixels);
  }
  absl::Status Fetch(int64_t index, StoredImage* image) const override {
    ++reads_;
    return base_->Fetch(index, image);
  }
  absl::Status VisitFiles(
      absl::FunctionRef<absl::Status(const std::string& path)> visit) const override {
    return base_->VisitFiles(visit);
  }

 private:
  const std::shared_ptr<const Dataset> base_;
  mutable int reads_ = 0;
};

class DigestStampsTest : public testing::Test {
 protected:
  DigestStampsTest() : later_(SystemClock().WallNow() + absl::Hours(1)) {
    for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) {
      WriteFileAt(Path(name), absl::StrCat("content of ", name));
    }
  }

  std::string Path(absl::string_view name) const { return directory_.Join(name); }
  std::string StampDirectory() const { return directory_.Join("stamps"); }
  std::vector<std::string> Stamps() const {
    return FileExists(StampDirectory()) ? ListDirectory(StampDirectory()).value()
                                        : std::vector<std::string>();
  }

  std::shared_ptr<const Dataset> Files(const std::vector<std::string>& names,
                                       const std::vector<int>& labels) const {
    NameTable table(1 << 20);
    for (size_t i = 0; i < names.size(); ++i) EXPECT_THAT(table.Add(names[i], labels[i]), IsOk());
    return std::make_shared<ImageFiles>(directory_.path(), std::move(table), 2);
  }

  // The digest of all files, by a program that starts anew; `reads` says how many it read.
  Digest Start(int* reads, const std::vector<int>& labels = {0, 1, 0}) const {
    return StartWith(Files({"a.jpg", "b.jpg", "c.jpg"}, labels), later_, reads);
  }
  Digest StartWith(std::shared_ptr<const Dataset> images, absl::Time opened, int* reads) const {
    const auto counting = std::make_shared<CountingDataset>(std::move(images));
    const absl::StatusOr<Digest> digest =
        DigestStamps(StampDirectory()).PairDigestOf({counting, counting, {}}, opened);
    EXPECT_THAT(digest, IsOk());
    EXPECT_EQ(*digest, PairDigest(*ContentDigest(*counting), *ContentDigest(*counting)))
        << "a kept digest is not that of the files";
    *reads = counting->reads() - 2 * static_cast<int>(counting->size());
    return *digest;
  }

  // Writes to the file as it lies there, and gives it back the time that it had.
  void ChangeInPlace(const std::string& path, absl::string_view bytes) const {
    struct stat info = {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    std::fstream(path, std::ios::in | std::ios::out) << bytes;
    const timespec times[] = {info.st_atim, info.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  TempDir directory_;
  // So much later that no file can change unseen any more.
  const absl::Time later_;
};

TEST_F(DigestStampsTest, TheNextProgramReadsNothing) {
  int reads = 0;
  const Digest first = Start(&reads);
  EXPECT_EQ(reads, 6);
  EXPECT_EQ(Start(&reads), first);
  EXPECT_EQ(reads, 0);
  EXPECT_THAT(Stamps(), SizeIs(1));
}

TEST_F(DigestStampsTest, AFileChangedInPlaceIsReadAgain) {
  int reads = 0;
  const Digest first = Start(&reads);
  ChangeInPlace(Path("b.jpg"), "CONTENT");  // Size, inode and time are what they were.
  EXPECT_NE(Start(&reads), first);
  EXPECT_EQ(reads, 6);
}

TEST_F(DigestStampsTest, AFileReplacedByAnotherIsReadAgain) {
  int reads = 0;
  const Digest first = Start(&reads);
  WriteFileAt(Path("new"), "CONTENT of b.jpg");
  ASSERT_EQ(rename(Path("new").c_str(), Path("b.jpg").c_str()), 0);
  EXPECT_NE(Start(&reads), first);
  EXPECT_EQ(reads, 6);
}

TEST_F(DigestStampsTest, FilesThatChangePlacesAreReadAgain) {
  int reads = 0;
  const Digest first = Start(&reads);
  ASSERT_EQ(rename(Path("a.jpg").c_str(), Path("x").c_str()), 0);
  ASSERT_EQ(rename(Path("b.jpg").c_str(), Path("a.jpg").c_str()), 0);
  ASSERT_EQ(rename(Path("x").c_str(), Path("b.jpg").c_str()), 0);
  EXPECT_NE(Start(&reads), first);
  EXPECT_EQ(reads, 6);
}

TEST_F(DigestStampsTest, OtherLabelsAreAnotherDataSet) {
  int reads = 0;
  const Digest first = Start(&reads);
  EXPECT_NE(Start(&reads, {1, 1, 0}), first);
  EXPECT_EQ(reads, 6);
}

TEST_F(DigestStampsTest, ADamagedStampIsNotBelieved) {
  int reads = 0;
  Start(&reads);
  const std::string stamp = JoinPath(StampDirectory(), Stamps().front());
  const std::string text = ReadFile(stamp).value();
  std::string other = text;
  other[other.find("content sha256:") + 20] = 'x';
  for (const std::string& damaged : {other, text.substr(0, 40), std::string(), text + "more"}) {
    WriteFileAt(stamp, damaged);
    Start(&reads);
    EXPECT_EQ(reads, 6) << damaged;
    EXPECT_EQ(ReadFile(stamp).value(), text) << "the stamp is written anew";
  }
}

TEST_F(DigestStampsTest, WhatHasJustChangedIsNotKept) {
  int reads = 0;
  StartWith(Files({"a.jpg", "b.jpg"}, {0, 1}), SystemClock().WallNow(), &reads);
  EXPECT_THAT(Stamps(), IsEmpty());
  StartWith(Files({"a.jpg", "b.jpg"}, {0, 1}), later_, &reads);
  EXPECT_EQ(reads, 4);
  EXPECT_THAT(Stamps(), SizeIs(1));
}

TEST_F(DigestStampsTest, TarFilesCountAsFiles) {
  WriteFileAt(Path("train-0.tar"), TarBytes({{"a.jpg", "first"}, {"a.cls", "0"}}));
  const auto open = [&] {
    return std::make_shared<TarShards>(IndexTarShards({Path("train-0.tar")}, 1 << 20).value(), 2);
  };
  int reads = 0;
  const Digest first = StartWith(open(), later_, &reads);
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(StartWith(open(), later_, &reads), first);
  EXPECT_EQ(reads, 0);
  WriteFileAt(Path("train-0.tar"), TarBytes({{"a.jpg", "FIRST"}, {"a.cls", "0"}}));
  EXPECT_NE(StartWith(open(), later_, &reads), first);
  EXPECT_EQ(reads, 2);
}

TEST_F(DigestStampsTest, ImagesInMemoryAreReadEachTime) {
  int reads = 0;
  StartWith(MakeDataset(4, 2, {1, 2, 2}), later_, &reads);
  EXPECT_GT(reads, 0);
  EXPECT_THAT(Stamps(), IsEmpty());
}

TEST_F(DigestStampsTest, WithoutAFolderNothingIsKept) {
  const auto images = Files({"a.jpg", "b.jpg"}, {0, 1});
  EXPECT_THAT(DigestStamps("").PairDigestOf({images, images, {}}, later_), IsOk());
  EXPECT_THAT(Stamps(), IsEmpty());
}

TEST_F(DigestStampsTest, AFolderThatCannotBeWrittenIsNoFault) {
  WriteFileAt(StampDirectory(), "a file is in the way");
  const auto images = Files({"a.jpg", "b.jpg"}, {0, 1});
  EXPECT_THAT(DigestStamps(StampDirectory()).PairDigestOf({images, images, {}}, later_), IsOk());
}

TEST_F(DigestStampsTest, AMissingFileIsAnError) {
  const auto images = Files({"a.jpg", "gone.jpg"}, {0, 1});
  EXPECT_THAT(DigestStamps(StampDirectory()).PairDigestOf({images, images, {}}, later_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("gone.jpg")));
}

TEST_F(DigestStampsTest, TheOldestStampsGo) {
  for (int i = 0; i < 300; ++i) WriteFileAt(JoinPath(StampDirectory(), absl::StrCat(i)), "old");
  int reads = 0;
  Start(&reads);
  EXPECT_THAT(Stamps(), SizeIs(256));
  Start(&reads);
  EXPECT_EQ(reads, 0);
}

}  // namespace
}  // namespace distill::data
