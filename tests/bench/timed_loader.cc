// How fast one thread makes training batches of an image folder with every augmentation; for
// loader_bench.py.
//
//   timed_loader FOLDER SIDE IMAGES   prints {"images_per_second": ...}

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "worker/data/batch_loader.h"
#include "worker/data/dataset_factory.h"

namespace distill::data {
namespace {

// The paper's recipe.
LoaderConfig Recipe(int side) {
  LoaderConfig config;
  config.batch_size = 32;
  config.threads = 0;
  config.end_epoch = int64_t{1} << 20;
  config.transform.input_size = side;
  config.transform.random_resized_crop = 0.08;
  config.transform.flip_probability = 0.5;
  config.transform.rand_augment.operations = 2;
  config.transform.erase_probability = 0.25;
  config.transform.mean = {0.485, 0.456, 0.406};
  config.transform.deviation = {0.229, 0.224, 0.225};
  return config;
}

int Run(const char* folder, int side, int64_t wanted) {
  DatasetOptions options;
  options.path = folder;
  options.format = DatasetFormat::kImageFolderTest;
  const absl::StatusOr<DatasetPair> pair = OpenDataset(options);
  if (!pair.ok()) {
    std::fprintf(stderr, "%s\n", pair.status().ToString().c_str());
    return 1;
  }
  const SystemClock clock;
  const auto loader = BatchLoader::Create(pair->test, Recipe(side), clock).value();
  int64_t images = -1;  // The first batch warms up.
  MonotonicTime start = clock.Now();
  while (images < wanted) {
    std::optional<Batch> batch = loader->Next().value();
    if (images < 0) start = clock.Now();
    images = images < 0 ? 0 : images + static_cast<int64_t>(batch->labels.size());
    loader->Recycle(*std::move(batch));
  }
  std::printf("{\"images_per_second\": %.1f}\n",
              static_cast<double>(images) / absl::ToDoubleSeconds(clock.Now() - start));
  return 0;
}

}  // namespace
}  // namespace distill::data

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: timed_loader FOLDER SIDE IMAGES\n");
    return 2;
  }
  return distill::data::Run(argv[1], std::atoi(argv[2]), std::atoll(argv[3]));
}
