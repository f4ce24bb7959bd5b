#include "worker/data/cifar_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/data/annotation_files.h"
#include "worker/data/random_access_file.h"

namespace distill::data {
namespace {

constexpr ImageShape kShape{3, 32, 32};
constexpr uint64_t kMostTextBytes = 1 << 20;

struct Records {
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> labels;
};

absl::Status BadFile(const std::string& path, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot read data set: ", cause, "; file=", path));
}

// Appends the records of one file. `label_bytes` precede the pixels; the last of them counts.
absl::Status AppendFile(const std::string& path, size_t label_bytes, int classes,
                        uint64_t max_bytes, Records* records) {
  DISTILL_ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(path));
  const size_t image_bytes = static_cast<size_t>(kShape.pixels());
  const size_t record_bytes = label_bytes + image_bytes;
  if (file.size() == 0 || file.size() % record_bytes != 0) {
    return BadFile(path, absl::StrCat("the file is not made of whole records; bytes=", file.size(),
                                      " record_bytes=", record_bytes));
  }
  if (file.size() > max_bytes - std::min<uint64_t>(max_bytes, records->pixels.size())) {
    return BadFile(path, absl::StrCat("the images exceed the size limit; limit_bytes=", max_bytes));
  }
  const uint64_t count = file.size() / record_bytes;
  std::vector<uint8_t> record(record_bytes);
  records->pixels.reserve(records->pixels.size() + count * image_bytes);
  for (uint64_t i = 0; i < count; ++i) {
    DISTILL_RETURN_IF_ERROR(file.ReadAt(i * record_bytes, absl::MakeSpan(record)));
    const uint8_t label = record[label_bytes - 1];
    if (label >= classes) {
      return BadFile(path, absl::StrCat("label is out of range; record=", i,
                                        " label=", static_cast<int>(label), " classes=", classes));
    }
    records->labels.push_back(label);
    records->pixels.insert(records->pixels.end(), record.begin() + static_cast<long>(label_bytes),
                           record.end());
  }
  return absl::OkStatus();
}

std::vector<std::string> FilesOf(CifarKind kind, Split split) {
  if (kind == CifarKind::kCifar100) return {split == Split::kTrain ? "train.bin" : "test.bin"};
  if (split == Split::kTest) return {"test_batch.bin"};
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
          "data_batch_5.bin"};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> ReadCifarDataset(const CifarSource& source) {
  const int own_classes = source.kind == CifarKind::kCifar10 ? 10 : 100;
  const int classes = source.classes == 0 ? own_classes : source.classes;
  if (classes < 1 || classes > own_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read data set: number of classes must be 1 to ", own_classes,
                     ", or 0; classes=", source.classes));
  }
  const size_t label_bytes = source.kind == CifarKind::kCifar10 ? 1 : 2;
  Records records;
  for (const std::string& name : FilesOf(source.kind, source.split)) {
    DISTILL_RETURN_IF_ERROR(AppendFile(JoinPath(source.directory, name), label_bytes, classes,
                                       source.max_bytes, &records));
  }
  DISTILL_ASSIGN_OR_RETURN(
      std::unique_ptr<Dataset> dataset,
      MemoryDataset::Create(kShape, classes, std::move(records.pixels), std::move(records.labels)));
  const std::vector<int64_t> counts = CountPerClass(*dataset);
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) {
      return BadFile(source.directory,
                     absl::StrCat("a class has no image; class=", c, " classes=", classes,
                                  " split=", source.split == Split::kTrain ? "train" : "test"));
    }
  }
  return dataset;
}

absl::StatusOr<std::vector<std::string>> ReadCifarClassNames(const std::string& directory,
                                                             CifarKind kind) {
  const std::string path = JoinPath(
      directory, kind == CifarKind::kCifar10 ? "batches.meta.txt" : "fine_label_names.txt");
  if (!FileExists(path)) return std::vector<std::string>();
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostTextBytes));
  return ParseClassNames(text);
}

}  // namespace distill::data
