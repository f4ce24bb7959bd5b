// How fast one thread makes training batches of Fashion-MNIST, and corrupted test images.

#include <cstdio>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "worker/data/batch_loader.h"
#include "worker/data/corruption.h"
#include "worker/data/idx_reader.h"

namespace distill::data {
namespace {

double ImagesPerSecond(std::shared_ptr<const Dataset> dataset, const TransformConfig& transform) {
  const SystemClock clock;
  LoaderConfig config;
  config.transform = transform;
  config.threads = 0;
  const auto loader = BatchLoader::Create(std::move(dataset), config, clock).value();
  const MonotonicTime start = clock.Now();
  int64_t images = 0;
  while (auto batch = loader->Next().value()) {
    images += static_cast<int64_t>(batch->labels.size());
    loader->Recycle(*std::move(batch));
  }
  return static_cast<double>(images) / absl::ToDoubleSeconds(clock.Now() - start);
}

void Run() {
  const std::shared_ptr<const Dataset> train = ReadIdxDataset({}).value();
  TransformConfig crop_and_flip;
  crop_and_flip.crop_padding = 2;
  crop_and_flip.flip_probability = 0.5;
  TransformConfig all = crop_and_flip;
  all.erase_probability = 0.25;
  std::printf("{\"loader_plain_images_per_second\": %.0f}\n", ImagesPerSecond(train, {}));
  std::printf("{\"loader_crop_flip_images_per_second\": %.0f}\n",
              ImagesPerSecond(train, crop_and_flip));
  std::printf("{\"loader_all_transforms_images_per_second\": %.0f}\n", ImagesPerSecond(train, all));

  IdxSource source;
  source.split = Split::kTest;
  const std::shared_ptr<const Dataset> test = ReadIdxDataset(source).value();
  for (const CorruptionKind kind : AllCorruptions()) {
    const std::shared_ptr<const Dataset> corrupted =
        CorruptedDataset::Create(test, {kind, 3, 0}).value();
    const absl::string_view name = CorruptionName(kind);
    std::printf("{\"loader_%.*s_images_per_second\": %.0f}\n", static_cast<int>(name.size()),
                name.data(), ImagesPerSecond(corrupted, {}));
  }
}

}  // namespace
}  // namespace distill::data

int main() { distill::data::Run(); }
