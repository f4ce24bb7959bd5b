#include "worker/data/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/idx_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/data/image_fixtures.h"

namespace distill::data {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ScanTest : public testing::Test {
 protected:
  // 12 images of two classes, alternately 20 by 30 and 25 by 30.
  void SetUp() override {
    options_.path = directory_.path();
    options_.format = DatasetFormat::kImageFolderTest;
    for (int i = 0; i < 12; ++i) {
      WriteFileAt(Path(i), PngBytes(MakePicture(i % 2 == 0 ? 20 : 25, 30, i)));
    }
  }

  std::string Path(int i) {
    return directory_.Join(absl::StrCat(i < 4 ? "a" : "b", "/", i + 10, ".png"));
  }

  TempDir directory_;
  DatasetOptions options_;
};

TEST_F(ScanTest, TellsWhatIsThere) {
  const auto facts = InspectDataset(options_);
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->test_images, 12);
  EXPECT_EQ(facts->train_images, 0);
  EXPECT_EQ(facts->classes, 2);
  EXPECT_THAT(facts->test.images_per_class, ElementsAre(4, 8));
  EXPECT_EQ(facts->test.smallest_height, 20);
  EXPECT_EQ(facts->test.largest_height, 25);
  EXPECT_EQ(facts->shape, (ImageShape{3, 0, 0}));
  double sum = 0;
  double count = 0;
  for (int i = 0; i < 12; ++i) {
    const Bitmap picture = MakePicture(i % 2 == 0 ? 20 : 25, 30, i);
    for (size_t k = 1; k < picture.bytes(); k += 4) sum += picture.data()[k];
    count += static_cast<double>(picture.bytes()) / 4;
  }
  EXPECT_THAT(facts->test.statistics.mean[1], DoubleNear(sum / count / 255, 1e-12));
}

TEST_F(ScanTest, DoesNotDependOnThreads) {
  const auto want = InspectDataset(options_);
  ASSERT_THAT(want, IsOk());
  for (const int threads : {2, 5}) {
    ScanOptions scan;
    scan.threads = threads;
    const auto got = InspectDataset(options_, scan);
    ASSERT_THAT(got, IsOk());
    EXPECT_EQ(got->digest, want->digest);
    EXPECT_EQ(got->test.statistics.mean, want->test.statistics.mean);
    EXPECT_EQ(got->test.statistics.deviation, want->test.statistics.deviation);
  }
}

TEST_F(ScanTest, DigestIsThatOfTheFilesWithoutDecodingThem) {
  const auto facts = InspectDataset(options_);
  ASSERT_THAT(facts, IsOk());
  const auto pair = OpenDataset(options_);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(ContentDigest(*pair->test).value(), facts->test.digest);
  WriteFileAt(Path(3), PngBytes(MakePicture(20, 30, 77)));
  EXPECT_NE(ContentDigest(*pair->test).value(), facts->test.digest);
}

TEST_F(ScanTest, NamesTheFirstCorruptImageOrCountsThemAll) {
  WriteFileAt(Path(5), PngBytes(MakePicture(20, 30, 5)).substr(0, 200));
  WriteFileAt(Path(2), "");
  for (const int threads : {1, 3}) {
    ScanOptions scan;
    scan.threads = threads;
    EXPECT_THAT(InspectDataset(options_, scan),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("the file is empty"), HasSubstr(Path(2)))));
    scan.corrupt_images = CorruptImagePolicy::kSkip;
    const auto facts = InspectDataset(options_, scan);
    ASSERT_THAT(facts, IsOk());
    EXPECT_EQ(facts->test.images, 12);
    EXPECT_EQ(facts->test.corrupt_images_total, 2);
    ASSERT_EQ(facts->test.corrupt_images.size(), 2U);
    EXPECT_EQ(facts->test.corrupt_images[1].name, Path(5));
    EXPECT_THAT(facts->test.corrupt_images[1].reason, HasSubstr("cut short"));
  }
}

TEST_F(ScanTest, ImagesOfOneSizeHaveAShape) {
  for (int i = 0; i < 12; ++i) WriteFileAt(Path(i), PngBytes(MakePicture(24, 24, i)));
  const auto facts = InspectDataset(options_);
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->shape, (ImageShape{3, 24, 24}));
}

TEST_F(ScanTest, ReportsProgressAndStopsWhenTold) {
  ScanOptions scan;
  int64_t last = 0;
  scan.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 12);
    EXPECT_GT(done, last);
    last = done;
    return true;
  };
  ASSERT_THAT(InspectDataset(options_, scan), IsOk());
  EXPECT_EQ(last, 12);
  scan.progress = [](int64_t, int64_t) { return false; };
  EXPECT_THAT(InspectDataset(options_, scan), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(ScanTest, RefusesAnEmptyNumberOfThreads) {
  ScanOptions scan;
  scan.threads = 0;
  EXPECT_THAT(InspectDataset(options_, scan),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("scan.threads")));
}

TEST_F(ScanTest, AgreesWithWhatATrainerComputesOfPixels) {
  TempDir idx;
  WriteIdxDataset(idx.path());
  DatasetOptions options;
  options.path = idx.path();
  const auto facts = InspectDataset(options);
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->shape, (ImageShape{1, 14, 14}));
  const auto pair = OpenDataset(options);
  ASSERT_THAT(pair, IsOk());
  EXPECT_EQ(facts->digest,
            PairDigest(ContentDigest(*pair->train).value(), ContentDigest(*pair->test).value()));
  const auto statistics = ComputeStatistics(*pair->train);
  ASSERT_THAT(statistics, IsOk());
  EXPECT_EQ(facts->train.statistics.mean, statistics->mean);
  EXPECT_EQ(facts->train.statistics.deviation, statistics->deviation);
}

}  // namespace
}  // namespace distill::data
