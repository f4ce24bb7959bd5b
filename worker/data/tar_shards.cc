#include "worker/data/tar_shards.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/random_access_file.h"
#include "worker/data/tar_index.h"

namespace distill::data {
namespace {

constexpr int kMostLabel = kMostClasses - 1;
constexpr uint64_t kMostLabelBytes = 20;

absl::Status BadEntry(absl::string_view name, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat(cause, "; entry=", name));
}

// Gathers the samples of one tar file.
class ShardReader {
 public:
  ShardReader(const RandomAccessFile& file, int32_t shard, uint64_t max_bytes, TarShardIndex* index)
      : file_(file), shard_(shard), max_bytes_(max_bytes), index_(index) {}

  absl::Status Add(const TarEntry& entry) {
    // The key ends at the first dot of the file's own name.
    const size_t slash = entry.name.rfind('/');
    const size_t dot = entry.name.find('.', slash == std::string::npos ? 0 : slash + 1);
    if (dot == std::string::npos) return absl::OkStatus();
    const std::string key = entry.name.substr(0, dot);
    const std::string ending = absl::AsciiStrToLower(entry.name.substr(dot));
    if (key != key_) {
      DISTILL_RETURN_IF_ERROR(FinishSample());
      key_ = key;
    }
    if (ending == ".cls") return AddLabel(entry);
    if (ending != ".jpg" && ending != ".jpeg" && ending != ".png") return absl::OkStatus();
    if (image_.has_value()) return BadEntry(entry.name, "the sample has two images");
    if (entry.size > kMostImageFileBytes) {
      return BadEntry(entry.name, absl::StrCat("the image is too large; bytes=", entry.size));
    }
    image_ = entry;
    return absl::OkStatus();
  }

  absl::Status FinishSample() {
    if (image_.has_value() != label_.has_value()) {
      return BadEntry(key_,
                      image_.has_value()
                          ? "the sample has no .cls beside its image; pack with tar --sort=name"
                          : "the sample has no .jpg, .jpeg or .png beside its label; pack with tar "
                            "--sort=name");
    }
    if (image_.has_value()) {
      const uint64_t bytes = (index_->places.size() + 1) * sizeof(TarShardIndex::Place);
      if (bytes > max_bytes_) return BadEntry(key_, "the index exceeds the memory for it");
      DISTILL_RETURN_IF_ERROR(index_->images.Add(image_->name, *label_));
      index_->places.push_back({image_->offset, static_cast<uint32_t>(image_->size), shard_});
    }
    image_.reset();
    label_.reset();
    return absl::OkStatus();
  }

 private:
  absl::Status AddLabel(const TarEntry& entry) {
    if (label_.has_value()) return BadEntry(entry.name, "the sample has two labels");
    std::vector<uint8_t> bytes(entry.size <= kMostLabelBytes ? entry.size : 0);
    DISTILL_RETURN_IF_ERROR(file_.ReadAt(entry.offset, absl::MakeSpan(bytes)));
    int label = -1;
    const absl::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!absl::SimpleAtoi(text, &label) || label < 0 || label > kMostLabel) {
      return BadEntry(entry.name, absl::StrCat("the label is no number from 0 to ", kMostLabel));
    }
    label_ = label;
    return absl::OkStatus();
  }

  const RandomAccessFile& file_;
  const int32_t shard_;
  const uint64_t max_bytes_;
  TarShardIndex* const index_;
  std::string key_;
  std::optional<TarEntry> image_;
  std::optional<int> label_;
};

}  // namespace

absl::StatusOr<TarShardIndex> IndexTarShards(std::vector<std::string> shards, uint64_t max_bytes) {
  TarShardIndex index(max_bytes);
  index.shards = std::move(shards);
  for (size_t i = 0; i < index.shards.size(); ++i) {
    DISTILL_ASSIGN_OR_RETURN(const RandomAccessFile file, RandomAccessFile::Open(index.shards[i]));
    ShardReader reader(file, static_cast<int32_t>(i), max_bytes, &index);
    absl::Status status =
        WalkTar(file, [&reader](const TarEntry& entry) { return reader.Add(entry); });
    if (status.ok()) status = reader.FinishSample();
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("cannot read data set: file=", index.shards[i]));
    }
  }
  return index;
}

TarShards::TarShards(TarShardIndex index, int classes)
    : index_(std::move(index)), classes_(classes) {}

int64_t TarShards::Label(int64_t index) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  return index_.images.Label(index);
}

absl::Status TarShards::Read(int64_t, absl::Span<uint8_t>) const {
  return absl::FailedPreconditionError("cannot read image: images may differ in size");
}

absl::Status TarShards::Fetch(int64_t index, StoredImage* image) const {
  DISTILL_CHECK(index >= 0 && index < size(), "samplers yield indices of this data set");
  const TarShardIndex::Place& place = index_.places[static_cast<size_t>(index)];
  DISTILL_ASSIGN_OR_RETURN(const RandomAccessFile file,
                           RandomAccessFile::Open(index_.shards[static_cast<size_t>(place.shard)]));
  image->form = StoredImage::Form::kEncoded;
  image->shape = {};
  image->bytes.resize(place.size);
  return file.ReadAt(place.offset, absl::MakeSpan(image->bytes));
}

std::string TarShards::NameOf(int64_t index) const {
  const TarShardIndex::Place& place = index_.places[static_cast<size_t>(index)];
  return absl::StrCat(index_.shards[static_cast<size_t>(place.shard)], ":",
                      index_.images.Name(index));
}

absl::Status TarShards::VisitFiles(
    absl::FunctionRef<absl::Status(const std::string&)> visit) const {
  for (const std::string& shard : index_.shards) DISTILL_RETURN_IF_ERROR(visit(shard));
  return absl::OkStatus();
}

}  // namespace distill::data
