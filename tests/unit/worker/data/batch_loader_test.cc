#include "worker/data/batch_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/data/test_images.h"

namespace distill::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ImageShape kShape{2, 6, 5};

// Reads like its base until it comes to `bad_index`.
class FailingDataset : public Dataset {
 public:
  FailingDataset(std::shared_ptr<const Dataset> base, int64_t bad_index)
      : base_(std::move(base)), bad_index_(bad_index) {}
  int64_t size() const override { return base_->size(); }
  int classes() const override { return base_->classes(); }
  const ImageShape& shape() const override { return base_->shape(); }
  int64_t Label(int64_t index) const override { return base_->Label(index); }
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override {
    if (index == bad_index_) return absl::DataLossError("bad sector");
    return base_->Read(index, pixels);
  }

 private:
  const std::shared_ptr<const Dataset> base_;
  const int64_t bad_index_;
};

// Time that passes only while someone looks: each Now() is a millisecond later.
class TickingClock : public Clock {
 public:
  MonotonicTime Now() const override { return {absl::Milliseconds(++ticks_)}; }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }

 private:
  mutable int ticks_ = 0;
};

LoaderConfig TrainingConfig() {
  LoaderConfig config;
  config.batch_size = 4;
  config.seed = 11;
  config.end_epoch = 3;
  config.transform.crop_padding = 2;
  config.transform.flip_probability = 0.5;
  config.transform.erase_probability = 0.5;
  config.transform.mean = {0.3, 0.4};
  config.transform.deviation = {0.2, 0.5};
  return config;
}

class BatchLoaderTest : public testing::Test {
 protected:
  std::unique_ptr<BatchLoader> Load(const LoaderConfig& config) {
    auto loader = BatchLoader::Create(dataset_, config, clock_);
    EXPECT_THAT(loader, IsOk());
    return *std::move(loader);
  }

  // Takes all batches to the end.
  std::vector<Batch> Drain(const LoaderConfig& config, bool recycle = false) {
    auto loader = Load(config);
    std::vector<Batch> batches;
    while (true) {
      auto batch = loader->Next();
      EXPECT_THAT(batch, IsOk());
      if (!batch.ok() || !batch->has_value()) return batches;
      batches.push_back(**batch);
      if (recycle) loader->Recycle(**std::move(batch));
    }
  }

  std::shared_ptr<const Dataset> dataset_ = MakeDataset(18, 3, kShape);
  SystemClock clock_;
};

void ExpectSame(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.values, b.values);
}

TEST_F(BatchLoaderTest, BitsDoNotDependOnThreadsPrefetchOrRecycling) {
  const std::vector<Batch> want = Drain(TrainingConfig());
  ASSERT_EQ(want.size(), 12U);  // 18 / 4 = 4 full batches, 3 epochs.
  for (const int threads : {0, 2, 5}) {
    for (const int prefetch : {1, 3, 20}) {
      LoaderConfig config = TrainingConfig();
      config.threads = threads;
      config.prefetch = prefetch;
      const std::vector<Batch> got = Drain(config, /*recycle=*/true);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) ExpectSame(got[i], want[i]);
    }
  }
}

TEST_F(BatchLoaderTest, ContinuesAtAnyStepAsIfNeverStopped) {
  const std::vector<Batch> want = Drain(TrainingConfig());
  for (int64_t start = 0; start <= 12; ++start) {
    LoaderConfig config = TrainingConfig();
    config.first_epoch = start / 4;
    config.first_step = start % 4;
    const std::vector<Batch> got = Drain(config);
    ASSERT_EQ(got.size(), want.size() - static_cast<size_t>(start));
    for (size_t i = 0; i < got.size(); ++i) {
      ExpectSame(got[i], want[i + static_cast<size_t>(start)]);
    }
  }
}

TEST_F(BatchLoaderTest, AugmentationIsThatOfTheSampleWhateverItsBatch) {
  LoaderConfig one_each = TrainingConfig();
  one_each.batch_size = 1;
  one_each.sampler.kind = SamplerKind::kSequential;
  one_each.end_epoch = 1;
  const std::vector<Batch> singles = Drain(one_each);
  const size_t pixels = static_cast<size_t>(kShape.pixels());
  for (const Batch& batch : Drain(TrainingConfig())) {
    if (batch.epoch != 0) continue;
    for (size_t i = 0; i < batch.indices.size(); ++i) {
      const std::vector<float> image(batch.values.begin() + static_cast<int64_t>(i * pixels),
                                     batch.values.begin() + static_cast<int64_t>((i + 1) * pixels));
      EXPECT_EQ(image, singles[static_cast<size_t>(batch.indices[i])].values);
      EXPECT_EQ(batch.labels[i], dataset_->Label(batch.indices[i]));
    }
  }
}

TEST_F(BatchLoaderTest, AugmentationDiffersBetweenEpochsAndRepeats) {
  LoaderConfig config = TrainingConfig();
  config.batch_size = 18;
  config.sampler.kind = SamplerKind::kSequential;
  config.end_epoch = 2;
  const std::vector<Batch> epochs = Drain(config);
  ASSERT_EQ(epochs.size(), 2U);
  EXPECT_NE(epochs[0].values, epochs[1].values);

  dataset_ = MakeDataset(256, 3, kShape);
  config.batch_size = 1;
  config.end_epoch = 1;
  config.sampler.kind = SamplerKind::kReference;
  config.sampler.repeats = 3;
  const std::vector<Batch> repeats = Drain(config);
  ASSERT_EQ(repeats[0].indices, repeats[1].indices);
  EXPECT_NE(repeats[0].values, repeats[1].values);
}

TEST_F(BatchLoaderTest, EvaluationKeepsTheLastPartialBatch) {
  LoaderConfig config;
  config.batch_size = 4;
  config.last_batch = LastBatch::kKeep;
  config.sampler.kind = SamplerKind::kSequential;
  const std::vector<Batch> batches = Drain(config);
  ASSERT_EQ(batches.size(), 5U);
  EXPECT_THAT(batches.back().indices, ElementsAre(16, 17));
  EXPECT_EQ(batches.back().values.size(), 2U * 60U);
}

TEST_F(BatchLoaderTest, ReadErrorComesOutAtItsBatchAndStays) {
  dataset_ = std::make_shared<FailingDataset>(dataset_, 9);
  for (const int threads : {0, 1, 3}) {
    LoaderConfig config;
    config.batch_size = 4;
    config.threads = threads;
    config.sampler.kind = SamplerKind::kSequential;
    auto loader = Load(config);
    EXPECT_THAT(loader->Next(), IsOk());
    EXPECT_THAT(loader->Next(), IsOk());
    for (int call = 0; call < 2; ++call) {
      EXPECT_THAT(loader->Next().status(),
                  StatusIs(absl::StatusCode::kDataLoss,
                           AllOf(HasSubstr("epoch=0 step=2 sample=9"), HasSubstr("bad sector"))));
    }
  }
}

TEST_F(BatchLoaderTest, StopUnblocksAndJoins) {
  for (const int threads : {0, 1, 4}) {
    LoaderConfig config = TrainingConfig();
    config.end_epoch = 1000000;
    config.threads = threads;
    auto loader = Load(config);
    EXPECT_THAT(loader->Next(), IsOk());
    loader->Stop();
    loader->Stop();
    EXPECT_THAT(loader->Next().status(), StatusIs(absl::StatusCode::kCancelled, HasSubstr("stop")));
  }
}

TEST_F(BatchLoaderTest, CanBeDestroyedWhileBusy) {
  LoaderConfig config = TrainingConfig();
  config.end_epoch = 1000000;
  config.threads = 3;
  for (int i = 0; i < 20; ++i) Load(config);
}

TEST_F(BatchLoaderTest, CountsTheTimeSpentMakingBatchesInTheCaller) {
  TickingClock clock;
  LoaderConfig config = TrainingConfig();
  config.threads = 0;
  auto loader = BatchLoader::Create(dataset_, config, clock).value();
  ASSERT_THAT(loader->Next(), IsOk());
  ASSERT_THAT(loader->Next(), IsOk());
  EXPECT_EQ(loader->time_waited(), absl::Milliseconds(2));
}

TEST_F(BatchLoaderTest, NamesTheFieldThatIsOutOfRange) {
  const auto status = [&](auto change) {
    LoaderConfig config = TrainingConfig();
    change(config);
    return BatchLoader::Create(dataset_, config, clock_).status();
  };
  const auto refuses = [](const char* field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field));
  };
  EXPECT_THAT(status([](auto& c) { c.batch_size = 0; }), refuses("loader.batch_size"));
  EXPECT_THAT(status([](auto& c) { c.batch_size = 19; }), refuses("got=19 images=18"));
  EXPECT_THAT(status([](auto& c) { c.threads = -1; }), refuses("loader.threads"));
  EXPECT_THAT(status([](auto& c) { c.prefetch = 0; }), refuses("loader.prefetch"));
  EXPECT_THAT(status([](auto& c) { c.first_epoch = 4; }), refuses("loader.first_epoch"));
  EXPECT_THAT(status([](auto& c) { c.first_step = 5; }), refuses("loader.first_step"));
  EXPECT_THAT(status([](auto& c) { c.sampler.ranks = 0; }), refuses("sampler.rank"));
  EXPECT_THAT(status([](auto& c) { c.transform.flip_probability = 2; }), refuses("transform.flip"));
}

}  // namespace
}  // namespace distill::data
