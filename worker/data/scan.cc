#include "worker/data/scan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "worker/data/image_decoder.h"

namespace distill::data {
namespace {

constexpr size_t kMostNamed = 1000;
constexpr int kMostThreads = 256;
// Images between two calls of the progress function.
constexpr int64_t kProgressEvery = 256;
// Images that threads may be ahead of the slowest one; bounds the memory of those that wait for it.
constexpr int64_t kMostAhead = 16;

// What decoding one image tells.
struct Reading {
  StoredImage stored;
  absl::Status status;  // kDataLoss: corrupt; anything else ends the scan.
  ImageSize size;
  std::vector<uint64_t> sums;
  std::vector<uint64_t> squares;
};

// Decodes image after image; each thread has one.
class Reader {
 public:
  explicit Reader(const Dataset& dataset) : dataset_(dataset) {}

  void Read(int64_t index, Reading* reading) {
    const size_t channels = static_cast<size_t>(dataset_.channels());
    reading->sums.assign(channels, 0);
    reading->squares.assign(channels, 0);
    reading->status = dataset_.Fetch(index, &reading->stored);
    if (!reading->status.ok()) return;
    if (reading->stored.form == StoredImage::Form::kPixels) {
      reading->size = {reading->stored.shape.height, reading->stored.shape.width};
      AddPlanes(reading);
    } else {
      reading->status = Decode(reading);
    }
  }

 private:
  static void AddPlanes(Reading* reading) {
    const size_t plane = static_cast<size_t>(reading->size.pixels());
    for (size_t c = 0; c < reading->sums.size(); ++c) {
      Add(reading->stored.bytes.data() + c * plane, plane, 1, &reading->sums[c],
          &reading->squares[c]);
    }
  }

  absl::Status Decode(Reading* reading) {
    DISTILL_ASSIGN_OR_RETURN(reading->size, decoder_.Open(reading->stored));
    const Box all = {0, 0, reading->size.width, reading->size.height};
    DISTILL_ASSIGN_OR_RETURN(const DecodedBox decoded, decoder_.Decode({all, 0, 0}));
    for (int y = 0; y < decoded.pixels.height; ++y) {
      for (size_t c = 0; c < reading->sums.size(); ++c) {
        Add(decoded.pixels.Row(y) + c, static_cast<size_t>(decoded.pixels.width),
            kBitmapBytesPerPixel, &reading->sums[c], &reading->squares[c]);
      }
    }
    return absl::OkStatus();
  }

  static void Add(const uint8_t* values, size_t count, size_t step, uint64_t* sum,
                  uint64_t* squares) {
    // 32 bits hold the squares of 2^16 pixels.
    for (size_t start = 0; start < count; start += 1U << 16) {
      uint32_t part = 0;
      uint32_t part_squares = 0;
      for (size_t i = start; i < std::min(count, start + (1U << 16)); ++i) {
        const uint32_t value = values[i * step];
        part += value;
        part_squares += value * value;
      }
      *sum += part;
      *squares += part_squares;
    }
  }

  const Dataset& dataset_;
  ImageDecoder decoder_;
};

// Takes readings in any order and adds them up in the order of the images, so that nothing depends
// on the threads. Thread-safe.
class Scan {
 public:
  Scan(const Dataset& dataset, const ScanOptions& options)
      : dataset_(dataset), options_(options), digest_(dataset) {
    const size_t channels = static_cast<size_t>(dataset.channels());
    sums_.assign(channels, 0);
    squares_.assign(channels, 0);
    facts_.images = dataset.size();
    facts_.images_per_class = CountPerClass(dataset);
  }

  // Reads images until there are no more, or the scan has failed.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    Reader reader(dataset_);
    Reading reading;
    while (const std::optional<int64_t> index = Take()) {
      reader.Read(*index, &reading);
      Give(*index, &reading);
    }
  }

  absl::StatusOr<SplitFacts> Finish() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::optional<int64_t> Take() {
    MutexLock lock(mutex_);
    while (failure_.ok() && next_to_read_ < dataset_.size() &&
           next_to_read_ >= next_to_add_ + kMostAhead) {
      changed_.Wait(mutex_);
    }
    if (!failure_.ok() || next_to_read_ >= dataset_.size()) return std::nullopt;
    return next_to_read_++;
  }

  // Adds the reading, and those that waited for it; hands a used one back for its memory.
  void Give(int64_t index, Reading* reading) {
    MutexLock lock(mutex_);
    if (index != next_to_add_) {
      waiting_[index] = std::move(*reading);
      *reading = Reading();
      return;
    }
    AddNext(*reading);
    while (!waiting_.empty() && waiting_.begin()->first == next_to_add_) {
      AddNext(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
    }
    changed_.NotifyAll();
  }

  void AddNext(const Reading& reading) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddSize(const ImageSize& size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Dataset& dataset_;
  const ScanOptions& options_;

  Mutex mutex_;
  CondVar changed_;
  int64_t next_to_read_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_to_add_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, Reading> waiting_ ABSL_GUARDED_BY(mutex_);
  ContentDigestBuilder digest_ ABSL_GUARDED_BY(mutex_);
  SplitFacts facts_ ABSL_GUARDED_BY(mutex_);
  uint64_t pixels_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<uint64_t> sums_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> squares_ ABSL_GUARDED_BY(mutex_);
};

void Scan::AddSize(const ImageSize& size) {
  if (pixels_ == 0) {
    facts_.smallest_height = facts_.largest_height = size.height;
    facts_.smallest_width = facts_.largest_width = size.width;
  }
  facts_.smallest_height = std::min(facts_.smallest_height, size.height);
  facts_.largest_height = std::max(facts_.largest_height, size.height);
  facts_.smallest_width = std::min(facts_.smallest_width, size.width);
  facts_.largest_width = std::max(facts_.largest_width, size.width);
  pixels_ += static_cast<uint64_t>(size.pixels());
}

void Scan::AddNext(const Reading& reading) {
  const int64_t index = next_to_add_++;
  if (!failure_.ok()) return;
  const bool is_corrupt = absl::IsDataLoss(reading.status);
  if (!reading.status.ok() &&
      (!is_corrupt || options_.corrupt_images == CorruptImagePolicy::kFail)) {
    failure_ = is_corrupt ? CannotDecode(dataset_, index, reading.status) : reading.status;
    return;
  }
  digest_.Append(dataset_.Label(index), reading.stored);
  facts_.stored_bytes += static_cast<int64_t>(reading.stored.bytes.size());
  if (is_corrupt) {
    ++facts_.corrupt_images_total;
    if (facts_.corrupt_images.size() < kMostNamed) {
      facts_.corrupt_images.push_back(
          {dataset_.NameOf(index), std::string(reading.status.message())});
    }
  } else {
    AddSize(reading.size);
    for (size_t c = 0; c < sums_.size(); ++c) {
      sums_[c] += reading.sums[c];
      squares_[c] += reading.squares[c];
    }
  }
  const bool is_due = next_to_add_ % kProgressEvery == 0 || next_to_add_ == dataset_.size();
  if (is_due && options_.progress && !options_.progress(next_to_add_, dataset_.size())) {
    failure_ = absl::CancelledError("cannot read data set: the caller gave up");
  }
}

absl::StatusOr<SplitFacts> Scan::Finish() {
  MutexLock lock(mutex_);
  if (!failure_.ok()) return failure_;
  if (pixels_ == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read data set: not one image can be decoded; images=", facts_.images,
        facts_.corrupt_images.empty() ? ""
                                      : absl::StrCat(" first=", facts_.corrupt_images[0].name,
                                                     " reason=", facts_.corrupt_images[0].reason)));
  }
  for (size_t c = 0; c < sums_.size(); ++c) {
    const double count = static_cast<double>(pixels_);
    const double mean = static_cast<double>(sums_[c]) / count;
    const double variance = static_cast<double>(squares_[c]) / count - mean * mean;
    facts_.statistics.mean.push_back(mean / 255.0);
    facts_.statistics.deviation.push_back(std::sqrt(std::max(variance, 0.0)) / 255.0);
  }
  facts_.digest = digest_.Finish();
  return facts_;
}

ImageShape CommonShape(const Dataset& dataset, const SplitFacts& facts) {
  ImageShape shape = dataset.shape();
  if (facts.smallest_height == facts.largest_height &&
      facts.smallest_width == facts.largest_width) {
    shape.height = facts.largest_height;
    shape.width = facts.largest_width;
  }
  return shape;
}

}  // namespace

absl::StatusOr<SplitFacts> ScanImages(const Dataset& dataset, const ScanOptions& options) {
  if (options.threads < 1 || options.threads > kMostThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("scan.threads must be 1 to ", kMostThreads, "; got=", options.threads));
  }
  Scan scan(dataset, options);
  std::vector<std::thread> threads;
  for (int i = 1; i < options.threads; ++i) threads.emplace_back([&scan] { scan.Run(); });
  scan.Run();
  for (std::thread& thread : threads) thread.join();
  return scan.Finish();
}

absl::StatusOr<DatasetFacts> InspectDataset(const DatasetOptions& files,
                                            const ScanOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(const DatasetPair pair, OpenDataset(files));
  DatasetFacts facts;
  facts.classes = pair.test->classes();
  facts.class_names = pair.class_names;
  facts.train_images = pair.train == nullptr ? 0 : pair.train->size();
  facts.test_images = pair.test->size();
  ScanOptions part = options;
  const int64_t total = facts.train_images + facts.test_images;
  if (pair.train != nullptr) {
    if (options.progress) {
      part.progress = [&](int64_t done, int64_t) { return options.progress(done, total); };
    }
    DISTILL_ASSIGN_OR_RETURN(facts.train, ScanImages(*pair.train, part));
  }
  if (options.progress) {
    part.progress = [&](int64_t done, int64_t) {
      return options.progress(facts.train_images + done, total);
    };
  }
  DISTILL_ASSIGN_OR_RETURN(facts.test, ScanImages(*pair.test, part));
  facts.digest = PairDigest(facts.train.digest, facts.test.digest);
  facts.shape = CommonShape(*pair.test, facts.test);
  if (pair.train != nullptr && !(CommonShape(*pair.train, facts.train) == facts.shape)) {
    facts.shape.height = facts.shape.width = 0;
  }
  return facts;
}

}  // namespace distill::data
