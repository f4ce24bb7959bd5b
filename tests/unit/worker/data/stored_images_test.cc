// Batches and squares of images that vary in size, sound and corrupt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/data/image_fixtures.h"
#include "tests/unit/worker/data/test_images.h"
#include "worker/data/batch_loader.h"
#include "worker/data/corruption.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/square_dataset.h"
#include "worker/data/subset.h"

namespace distill::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StoredImagesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 12; ++i) {
      const Bitmap picture = MakePicture(60 + 3 * i, 90 - 2 * i, i);
      WriteFileAt(Path(i), i % 3 == 0 ? PngBytes(picture) : JpegBytes(picture));
    }
    Reopen();
  }

  void Reopen() {
    DatasetOptions options;
    options.path = directory_.path();
    options.format = DatasetFormat::kImageFolderTest;
    auto pair = OpenDataset(options);
    ASSERT_THAT(pair, IsOk());
    dataset_ = pair->test;
  }

  std::string Path(int i) const {
    return directory_.Join(absl::StrCat(i < 6 ? "a" : "b", "/", i + 10, ".jpg"));
  }

  void Spoil(int i) { WriteFileAt(Path(i), "no image"); }

  static LoaderConfig Training() {
    LoaderConfig config;
    config.batch_size = 4;
    config.seed = 3;
    config.end_epoch = 2;
    config.transform.input_size = 40;
    config.transform.random_resized_crop = 0.08;
    config.transform.flip_probability = 0.5;
    config.transform.rand_augment.operations = 2;
    config.transform.erase_probability = 0.25;
    config.transform.mean = {0.485, 0.456, 0.406};
    config.transform.deviation = {0.229, 0.224, 0.225};
    return config;
  }

  static LoaderConfig Evaluation() {
    LoaderConfig config;
    config.batch_size = 5;
    config.last_batch = LastBatch::kKeep;
    config.sampler.kind = SamplerKind::kSequential;
    config.transform.input_size = 40;
    return config;
  }

  absl::StatusOr<std::vector<Batch>> Drain(const LoaderConfig& config) {
    auto loader = BatchLoader::Create(dataset_, config, clock_);
    if (!loader.ok()) return loader.status();
    std::vector<Batch> batches;
    while (true) {
      auto batch = (*loader)->Next();
      if (!batch.ok()) return batch.status();
      if (!batch->has_value()) break;
      batches.push_back(**std::move(batch));
    }
    skipped_ = (*loader)->skipped();
    EXPECT_EQ((*loader)->shape(), (ImageShape{3, 40, 40}));
    return batches;
  }

  TempDir directory_;
  std::shared_ptr<const Dataset> dataset_;
  SystemClock clock_;
  SkippedImages skipped_;
};

void ExpectSame(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].indices, b[i].indices);
    EXPECT_EQ(a[i].labels, b[i].labels);
    EXPECT_EQ(a[i].values, b[i].values);
  }
}

TEST_F(StoredImagesTest, BitsOfAllAugmentationsDoNotDependOnThreads) {
  const auto want = Drain(Training());
  ASSERT_THAT(want, IsOk());
  ASSERT_EQ(want->size(), 6U);
  EXPECT_EQ((*want)[0].values.size(), 4U * 3 * 40 * 40);
  for (const int threads : {0, 3}) {
    LoaderConfig config = Training();
    config.threads = threads;
    const auto got = Drain(config);
    ASSERT_THAT(got, IsOk());
    ExpectSame(*got, *want);
  }
}

TEST_F(StoredImagesTest, EachRepeatIsAugmentedAnew) {
  LoaderConfig config = Training();
  config.sampler.repeats = 2;
  const auto batches = Drain(config);
  ASSERT_THAT(batches, IsOk());
  const Batch& batch = (*batches)[0];
  EXPECT_EQ(batch.indices[0], batch.indices[1]);
  EXPECT_NE(batch.indices[1], batch.indices[2]);
  const size_t size = 3 * 40 * 40;
  EXPECT_NE(std::vector<float>(batch.values.begin(), batch.values.begin() + size),
            std::vector<float>(batch.values.begin() + size, batch.values.begin() + 2 * size));
}

TEST_F(StoredImagesTest, EvaluationSeesTheSquareOfEachImage) {
  const auto batches = Drain(Evaluation());
  ASSERT_THAT(batches, IsOk());
  ASSERT_EQ(batches->size(), 3U);
  EXPECT_EQ((*batches)[2].labels.size(), 2U);
  const auto square = SquareDataset::Create(dataset_, 40);
  ASSERT_THAT(square, IsOk());
  std::vector<uint8_t> pixels(3 * 40 * 40);
  ASSERT_THAT((*square)->Read(6, absl::MakeSpan(pixels)), IsOk());
  for (size_t i = 0; i < pixels.size(); ++i) {
    ASSERT_FLOAT_EQ((*batches)[1].values[pixels.size() + i], static_cast<float>(pixels[i]) / 255);
  }
}

TEST_F(StoredImagesTest, CorruptionsAndSubsetsApplyToSquares) {
  EXPECT_THAT(CorruptedDataset::Create(dataset_, {CorruptionKind::kGaussianBlur, 2, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("differ in size")));
  std::shared_ptr<const Dataset> square = SquareDataset::Create(dataset_, 40).value();
  std::shared_ptr<const Dataset> spoilt =
      CorruptedDataset::Create(square, {CorruptionKind::kGaussianBlur, 2, 0}).value();
  const auto subset = SubsetDataset::Create(spoilt, {SubsetRule::kBalanced, 4, 1});
  ASSERT_THAT(subset, IsOk());
  std::vector<uint8_t> pixels(3 * 40 * 40);
  EXPECT_THAT((*subset)->Read(3, absl::MakeSpan(pixels)), IsOk());
  EXPECT_THAT((*subset)->NameOf(0), HasSubstr(directory_.path()));
}

// Evaluation corrupts squares and loads them with the same input_size.
TEST_F(StoredImagesTest, SquaresAreNotCutOutTwice) {
  const std::shared_ptr<const Dataset> square = SquareDataset::Create(dataset_, 40).value();
  EXPECT_EQ(SquareDataset::Create(square, 40).value(), square);
  const auto want = Drain(Evaluation());
  ASSERT_THAT(want, IsOk());
  dataset_ = SubsetDataset::Create(square, SubsetSpec()).value();
  const auto got = Drain(Evaluation());
  ASSERT_THAT(got, IsOk());
  ExpectSame(*got, *want);
}

TEST_F(StoredImagesTest, SmallPixelImagesAreEnlargedWhenAskedTo) {
  dataset_ = MakeDataset(12, 3, {1, 14, 14});
  LoaderConfig config = Evaluation();
  config.transform.input_size = 14;
  auto loader = BatchLoader::Create(dataset_, config, clock_);
  ASSERT_THAT(loader, IsOk());
  EXPECT_EQ((*loader)->shape(), (ImageShape{1, 14, 14}));
  config = Training();
  config.transform.mean = config.transform.deviation = {0.5};
  loader = BatchLoader::Create(dataset_, config, clock_);
  ASSERT_THAT(loader, IsOk());
  EXPECT_EQ((*loader)->shape(), (ImageShape{1, 40, 40}));
  EXPECT_THAT((*loader)->Next(), IsOk());
}

TEST_F(StoredImagesTest, ACorruptImageFailsTheBatchByName) {
  Spoil(7);
  EXPECT_THAT(Drain(Training()),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("neither JPEG nor PNG"), HasSubstr(Path(7)))));
  EXPECT_THAT(Drain(Evaluation()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(Path(7))));
}

TEST_F(StoredImagesTest, TrainingReplacesCorruptImagesByTheNext) {
  const auto sound = Drain(Training());
  ASSERT_THAT(sound, IsOk());
  Spoil(7);
  Spoil(8);
  Spoil(11);
  for (const int threads : {0, 3}) {
    LoaderConfig config = Training();
    config.threads = threads;
    config.corrupt_images = CorruptImagePolicy::kSkip;
    const auto batches = Drain(config);
    ASSERT_THAT(batches, IsOk());
    ASSERT_EQ(batches->size(), sound->size());
    for (size_t i = 0; i < batches->size(); ++i) {
      std::vector<int64_t> want = (*sound)[i].indices;
      for (int64_t& index : want) {
        if (index == 7 || index == 8) index = 9;
        if (index == 11) index = 0;
      }
      EXPECT_EQ((*batches)[i].indices, want);
      for (size_t k = 0; k < want.size(); ++k) {
        EXPECT_EQ((*batches)[i].labels[k], want[k] < 6 ? 0 : 1);
      }
    }
    EXPECT_EQ(skipped_.count, 3);
    ASSERT_EQ(skipped_.named.size(), 3U);
    EXPECT_THAT(skipped_.named[0], HasSubstr(Path(7)));
  }
}

TEST_F(StoredImagesTest, EvaluationLeavesCorruptImagesOut) {
  for (const int i : {0, 5, 6, 7, 8, 9}) Spoil(i);
  for (const int threads : {0, 2}) {
    LoaderConfig config = Evaluation();
    config.threads = threads;
    config.corrupt_images = CorruptImagePolicy::kSkip;
    const auto batches = Drain(config);
    ASSERT_THAT(batches, IsOk());
    ASSERT_EQ(batches->size(), 2U);  // Of the second nothing is left.
    EXPECT_THAT((*batches)[0].indices, ElementsAre(1, 2, 3, 4));
    EXPECT_EQ((*batches)[0].values.size(), 4U * 3 * 40 * 40);
    EXPECT_THAT((*batches)[1].indices, ElementsAre(10, 11));
    EXPECT_EQ(skipped_.count, 6);
  }
}

TEST_F(StoredImagesTest, AMissingFileIsNotSkipped) {
  ASSERT_EQ(std::remove(Path(3).c_str()), 0);
  LoaderConfig config = Evaluation();
  config.corrupt_images = CorruptImagePolicy::kSkip;
  EXPECT_THAT(Drain(config), StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path(3))));
}

TEST_F(StoredImagesTest, GivesUpWhenNothingIsSound) {
  for (int i = 0; i < 12; ++i) Spoil(i);
  LoaderConfig config = Training();
  config.corrupt_images = CorruptImagePolicy::kSkip;
  EXPECT_THAT(Drain(config), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(StoredImagesTest, RefusesTransformsThatDoNotFit) {
  const auto expect_refused = [this](auto change, const std::string& why) {
    LoaderConfig config = Training();
    change(config.transform);
    EXPECT_THAT(Drain(config), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  };
  expect_refused([](TransformConfig& t) { t.input_size = 0; }, "transform.input_size");
  expect_refused([](TransformConfig& t) { t.input_size = -1; }, "input_size");
  expect_refused([](TransformConfig& t) { t.random_resized_crop = 1.5; }, "random_resized_crop");
  expect_refused([](TransformConfig& t) { t.crop_padding = 4; }, "excludes crop_padding");
  expect_refused([](TransformConfig& t) { t.rand_augment.operations = 16; }, "operations");
  expect_refused([](TransformConfig& t) { t.rand_augment.magnitude = 11; }, "magnitude");
  expect_refused([](TransformConfig& t) { t.color_jitter = 2; }, "color_jitter");
  expect_refused([](TransformConfig& t) { t.mean = {0.5}; }, "one entry per channel");
  expect_refused(
      [](TransformConfig& t) {
        t.random_resized_crop = 0;
        t.input_size = 0;
      },
      "they may differ in size");
}

}  // namespace
}  // namespace distill::data
