#include "worker/data/idx_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/counter_random.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/data/test_images.h"
#include "worker/data/scan.h"

namespace distill::data {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The four classes of the data set that these tests write: two images of each, 2 x 3 pixels.
constexpr int kClasses = 4;
constexpr absl::string_view kLabels("\0\1\2\3\0\1\2\3", 8);

class IdxReaderTest : public testing::Test {
 protected:
  IdxReaderTest() {
    for (int i = 0; i < 8 * 6; ++i) pixels_.push_back(static_cast<char>(i * 5));
  }

  std::string Images() const { return IdxBytes({8, 2, 3}, pixels_); }
  std::string Labels() const { return IdxBytes({8}, kLabels); }

  void Write(absl::string_view name, absl::string_view bytes) const {
    ASSERT_THAT(WriteFileAtomically(directory_.Join(name), bytes), IsOk());
  }
  void WriteTrain(absl::string_view images, absl::string_view labels) const {
    Write("train-images-idx3-ubyte", images);
    Write("train-labels-idx1-ubyte", labels);
  }
  absl::StatusOr<std::unique_ptr<Dataset>> ReadTrain(uint64_t max_bytes = 1 << 20) const {
    return ReadIdxDataset({directory_.path(), Split::kTrain, kClasses, max_bytes});
  }

  TempDir directory_;
  std::string pixels_;
};

TEST_F(IdxReaderTest, ReadsPlainAndCompressedFilesAlike) {
  WriteTrain(Images(), Labels());
  Write("t10k-images-idx3-ubyte.gz", Gzip(Images()));
  Write("t10k-labels-idx1-ubyte.gz", Gzip(Labels()));
  const auto plain = ReadTrain();
  const auto compressed = ReadIdxDataset({directory_.path(), Split::kTest, kClasses, 1 << 20});
  ASSERT_THAT(plain, IsOk());
  ASSERT_THAT(compressed, IsOk());
  EXPECT_EQ((*plain)->size(), 8);
  EXPECT_TRUE((*plain)->shape() == (ImageShape{1, 2, 3}));
  EXPECT_EQ((*plain)->Label(6), 2);
  std::vector<uint8_t> image(6);
  ASSERT_THAT((*plain)->Read(1, absl::MakeSpan(image)), IsOk());
  EXPECT_THAT(image, ElementsAre(30, 35, 40, 45, 50, 55));
  EXPECT_EQ(ContentDigest(**plain).value(), ContentDigest(**compressed).value());
}

TEST_F(IdxReaderTest, NamesTheFileThatIsMissing) {
  EXPECT_THAT(ReadTrain().status(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr(directory_.path()),
                             HasSubstr("install the package dataset-fashion-mnist"))));
  Write("train-images-idx3-ubyte", Images());
  EXPECT_THAT(ReadTrain().status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("train-labels-idx1-ubyte")));
}

struct HostileCase {
  const char* name;
  std::string images;
  std::string labels;
  const char* message;
};

TEST_F(IdxReaderTest, RefusesHostileFiles) {
  const std::string images = Images();
  const std::string labels = Labels();
  std::string wrong_magic = images;
  wrong_magic[3] = 1;
  std::string out_of_range(kLabels);
  out_of_range[5] = 4;
  std::string empty_class(kLabels);
  empty_class[3] = empty_class[7] = 0;
  const std::string huge(16, '\xff');
  const std::string packed = Gzip(images);
  std::string damaged = packed;
  damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);  // The checksum.
  const HostileCase cases[] = {
      {"empty", "", labels, "header is cut short; got_bytes=0 want_bytes=16"},
      {"magic", wrong_magic, labels, "got=0x00000801 want=0x00000803"},
      {"labels for images", labels, labels, "wrong magic number"},
      {"truncated", images.substr(0, 40), labels, "file is cut short"},
      {"trailing", images + "x", labels, "bytes follow the last entry"},
      {"zero side", IdxBytes({8, 0, 3}, ""), labels, "impossible sizes; images=8 height=0"},
      {"sides", IdxBytes({8, 65536, 65536}, ""), labels, "impossible sizes"},
      {"above limit", IdxBytes({4000000, 2, 3}, ""), labels, "exceed the size limit"},
      {"sizes overflow", IdxBytes({0xffffffff, 0xffff, 0xffff}, ""), labels, "size limit"},
      {"all ones", huge, labels, "wrong magic number"},
      {"fewer labels", images, IdxBytes({7}, kLabels.substr(0, 7)), "labels=7 images=8"},
      {"labels lie", images, IdxBytes({1000000}, kLabels), "declared_bytes=1000000"},
      {"label range", images, IdxBytes({8}, out_of_range), "entry=5 label=4 classes=4"},
      {"empty class", images, IdxBytes({8}, empty_class), "a class has no image; class=3"},
      {"cut gzip", packed.substr(0, packed.size() - 10), labels, "cut short"},
      {"gzip checksum", damaged, labels, "incorrect data check"},
      {"gzip trailing", packed + "x", labels, "other bytes follow the compressed stream"},
      {"gzip content trailing", Gzip(images + "x"), labels, "bytes follow the last entry"},
      {"gzip header only", "\x1f\x8b", labels, "cut short"},
  };
  for (const HostileCase& hostile : cases) {
    SCOPED_TRACE(hostile.name);
    WriteTrain(hostile.images, hostile.labels);
    EXPECT_THAT(ReadTrain().status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(hostile.message), HasSubstr("file="))));
  }
}

// A header may promise gigabytes; a file of some bytes must not make us set them aside.
TEST_F(IdxReaderTest, SetsNoMemoryAsideForSizesThatTheFileCannotHold) {
  WriteTrain(Gzip(IdxBytes({1000000, 1000, 1000}, "")), Labels());
  EXPECT_THAT(
      ReadTrain(uint64_t{1} << 50).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("declares more than it can hold")));
}

TEST_F(IdxReaderTest, SurvivesRandomDamage) {
  CounterRandom random(1);
  const std::string originals[] = {Images(), Gzip(Images())};
  for (int round = 0; round < 400; ++round) {
    std::string bytes = originals[round % 2];
    for (uint32_t change = random.Below(3) + 1; change > 0; --change) {
      bytes[random.Below(static_cast<uint32_t>(bytes.size()))] =
          static_cast<char>(random.Below(256));
    }
    bytes.resize(bytes.size() - random.Below(4));
    WriteTrain(bytes, Labels());
    const auto dataset = ReadTrain();
    if (dataset.ok()) {
      EXPECT_EQ((*dataset)->size(), 8);
    } else {
      EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << dataset.status();
    }
  }
}

TEST_F(IdxReaderTest, TakesTheClassesFromTheLabels) {
  WriteTrain(Images(), Labels());
  const auto dataset = ReadIdxDataset({directory_.path(), Split::kTrain});
  ASSERT_THAT(dataset, IsOk());
  EXPECT_EQ((*dataset)->classes(), kClasses);
}

TEST_F(IdxReaderTest, RefusesAnImpossibleNumberOfClasses) {
  EXPECT_THAT(ReadIdxDataset({directory_.path(), Split::kTrain, 257, 1 << 20}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("classes=257")));
}

// The data set that Debian ships; its digest is part of every task key, so it must never change.
TEST(FashionMnistTest, HasItsKnownContent) {
  const auto train = ReadIdxDataset({});
  ASSERT_THAT(train, IsOk());
  EXPECT_EQ((*train)->size(), 60000);
  EXPECT_TRUE((*train)->shape() == (ImageShape{1, 28, 28}));
  EXPECT_THAT(CountPerClass(**train), Each(6000));
  const auto statistics = ComputeStatistics(**train);
  ASSERT_THAT(statistics, IsOk());
  EXPECT_THAT(statistics->mean, ElementsAre(DoubleNear(0.2860406, 1e-7)));
  EXPECT_THAT(statistics->deviation, ElementsAre(DoubleNear(0.3530242, 1e-7)));
  EXPECT_EQ(ContentDigest(**train).value().str(),
            "sha256:ae3ddf2ea82adf872a1a5c8fee5c9a8f356117a78794594d3f12b52135809c7e");

  IdxSource source;
  source.split = Split::kTest;
  const auto test = ReadIdxDataset(source);
  ASSERT_THAT(test, IsOk());
  EXPECT_EQ((*test)->size(), 10000);
  EXPECT_THAT(CountPerClass(**test), Each(1000));
  EXPECT_EQ(ContentDigest(**test).value().str(),
            "sha256:cc325b16c4e37b761a74f999a3d80b1bc01311f3cd27b1fa44fd6b0a1f52805f");
}

TEST(FashionMnistTest, InspectionTellsItsFacts) {
  const auto facts = InspectDataset({IdxSource().directory, DatasetFormat::kIdx, 0, 1U << 30});
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->digest.str(),
            "sha256:26339b065015aa74c3553ca301f8b13e8493464bc9aef5919c4875585d4d27cf");
  EXPECT_TRUE(facts->shape == (ImageShape{1, 28, 28}));
  EXPECT_EQ(facts->classes, 10);
  EXPECT_EQ(facts->train_images, 60000);
  EXPECT_EQ(facts->test_images, 10000);
}

TEST_F(IdxReaderTest, InspectionRefusesSplitsThatDoNotFit) {
  WriteTrain(Images(), Labels());
  Write("t10k-images-idx3-ubyte", IdxBytes({8, 3, 2}, pixels_));
  Write("t10k-labels-idx1-ubyte", Labels());
  EXPECT_THAT(InspectDataset({directory_.path(), DatasetFormat::kIdx, 0, 1U << 30}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("do not fit together"),
                             HasSubstr("train=2x3 of 4 classes test=3x2 of 4 classes"))));
}

}  // namespace
}  // namespace distill::data
