// Opens a data set by its format's name: the one place that knows all formats.
//
//   folder holds                                                        train         test
//   kIdx              {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]
//   kCifar10          data_batch_{1..5}.bin, test_batch.bin
//   kCifar100         train.bin, test.bin (fine labels)
//   kImageFolder      <split>/<class>/**/image                           train        val, else
//   test kTinyImageNet     train/<class>/images/image, val/images/image and val/val_annotations.txt
//   kCub              images.txt, image_class_labels.txt, train_test_split.txt, images/
//   kTarShards        <split>-*.tar                                      train        val, else
//   test kImageFolderTest  <class>/**/image                                   none         all
//
// The first three are read into memory and have one shape. The others are indexed when opened: only
// names and labels are kept, about 100 bytes an image, and each image is read from its file when it
// is asked for. The order of the images, hence every index, follows from the names (kTinyImageNet's
// test images, kCub: from the text files; kTarShards: from the entries) and never from the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/dataset.h"

namespace distill::data {

constexpr int kMostClasses = 100000;

enum class DatasetFormat {
  kIdx,
  kCifar10,
  kCifar100,
  kImageFolder,
  kTinyImageNet,
  kCub,
  kTarShards,
  kImageFolderTest,
};

// What is done about an image that cannot be decoded.
enum class CorruptImagePolicy {
  kFail,  // The image is named in an error.
  // The image is left out where it would be counted, and replaced where a batch must be full
  // (batch_loader.h).
  kSkip,
};

struct DatasetOptions {
  std::string path;
  DatasetFormat format = DatasetFormat::kIdx;
  // Labels must be below; 0: as the files say. Formats that name their classes must have exactly so
  // many.
  int classes = 0;
  // Bound on what is held in memory: pixels of kIdx and the CIFARs, the index of the others.
  uint64_t max_bytes = uint64_t{2} << 30;
};

struct DatasetPair {
  std::shared_ptr<const Dataset> train;  // Null when there are only test images.
  std::shared_ptr<const Dataset> test;
  // By label: folder names, WordNet ids, the lines of a file of names; empty when there are none.
  std::vector<std::string> class_names;
};

// Blocks on the disk. Errors name the file or folder, the line or entry at fault, and the reason:
//   kNotFound         the folder or a file that the format needs is missing
//   kInvalidArgument  a file is cut short, damaged or inconsistent, a label is out of range, a
//   class
//                     has no image, the splits' classes differ, too many images for max_bytes
absl::StatusOr<DatasetPair> OpenDataset(const DatasetOptions& options);

}  // namespace distill::data
