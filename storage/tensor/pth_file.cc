// Puts the zip directory and the pickle together.
#include "storage/tensor/pth_file.h"

#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_context.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

using Kind = PickleValue::Kind;

constexpr absl::string_view kPickleName = "data.pkl";

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, 80)), "\"");
}

std::string PlaceText(const PthFile::Place& place) {
  return place.empty() ? "the top" : absl::StrCat("\"", absl::StrJoin(place, "\" / \""), "\"");
}

// What torch.save wrote before version 1.6: pickles one after the other, or a tar archive.
bool IsOldFormat(absl::string_view bytes) {
  return absl::StartsWith(bytes, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9") ||
         (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") ||
         absl::StartsWith(bytes, "\x80\x02");
}

// Copies elements in row-major order, dimension `d` onward.
void CopyStrided(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides, size_t d,
                 const char* from, size_t element, std::string* to) {
  if (d == shape.size()) {
    to->append(from, element);
    return;
  }
  for (int64_t i = 0; i < shape[d]; ++i) {
    CopyStrided(shape, strides, d + 1, from + static_cast<size_t>(i * strides[d]) * element,
                element, to);
  }
}

uint64_t CountElements(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t size : shape) count *= static_cast<uint64_t>(size);
  return count;
}

}  // namespace

StridedTensor::StridedTensor(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> strides,
                             absl::string_view storage, int64_t offset)
    : dtype_(dtype),
      shape_(std::move(shape)),
      strides_(std::move(strides)),
      storage_(storage),
      offset_(offset) {}

bool StridedTensor::is_dense() const {
  int64_t expected = 1;
  for (size_t d = shape_.size(); d > 0; --d) {
    if (shape_[d - 1] != 1 && strides_[d - 1] != expected) return false;
    expected *= shape_[d - 1];
  }
  return true;
}

TensorView StridedTensor::Dense(std::string* copy) const {
  const size_t element = DTypeSizeBytes(dtype_);
  const size_t size = CountElements(shape_) * element;
  if (size == 0) return {dtype_, shape_, absl::string_view()};
  const size_t begin = static_cast<size_t>(offset_) * element;
  if (is_dense()) return {dtype_, shape_, storage_.substr(begin, size)};
  copy->clear();
  copy->reserve(size);
  CopyStrided(shape_, strides_, 0, storage_.data() + begin, element, copy);
  return {dtype_, shape_, *copy};
}

absl::StatusOr<PthFile> PthFile::Open(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<const FileBytes> contents, FileBytes::Map(path));
  PthFile file(std::move(contents), path);
  DISTILL_RETURN_IF_ERROR(
      Annotate(file.Load(), absl::StrCat("cannot read PyTorch checkpoint ", path)));
  return file;
}

absl::StatusOr<PthFile> PthFile::Parse(std::string bytes, absl::string_view label) {
  PthFile file(std::make_unique<const FileBytes>(std::move(bytes)), std::string(label));
  DISTILL_RETURN_IF_ERROR(
      Annotate(file.Load(), absl::StrCat("cannot read PyTorch checkpoint ", label)));
  return file;
}

absl::Status PthFile::Load() {
  const absl::string_view bytes = contents_->bytes();
  if (IsOldFormat(bytes)) {
    return absl::InvalidArgumentError(
        "it has the format from before PyTorch 1.6; load it there and save it again with "
        "torch.save, or as safetensors");
  }
  DISTILL_ASSIGN_OR_RETURN(entries_, ReadStoredZip(bytes));
  // All entries lie in one folder, whose name is that under which the file was saved.
  const ZipEntry* pickle = nullptr;
  for (const auto& [name, entry] : entries_) {
    if (!absl::EndsWith(name, absl::StrCat("/", kPickleName))) continue;
    if (pickle != nullptr) return absl::InvalidArgumentError("it holds more than one data.pkl");
    pickle = &entry;
    folder_ = name.substr(0, name.size() - kPickleName.size());
  }
  if (pickle == nullptr) {
    return absl::InvalidArgumentError("it is a zip archive without data.pkl, not a checkpoint");
  }
  for (const auto& [name, entry] : entries_) {
    if (absl::StartsWith(name, absl::StrCat(folder_, "code/")) ||
        name == absl::StrCat(folder_, "constants.pkl")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "it is a TorchScript archive, which holds code; save the model's state_dict; entry=",
          Quoted(name)));
    }
  }
  for (const auto& [name, entry] : entries_) {
    if (!entry.is_compressed) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "an entry is compressed, and PyTorch stores entries as they are; save it again "
        "with torch.save; entry=",
        Quoted(name)));
  }
  const auto order = entries_.find(absl::StrCat(folder_, "byteorder"));
  if (order != entries_.end() && order->second.bytes != "little") {
    return absl::InvalidArgumentError("its numbers are not little-endian");
  }
  const std::string pickle_name = absl::StrCat(folder_, kPickleName);
  DISTILL_RETURN_IF_ERROR(CheckCrc32(pickle_name, *pickle));
  absl::StatusOr<Pickle> read = ReadPickle(pickle->bytes);
  if (!read.ok()) {
    return absl::Status(read.status().code(),
                        absl::StrCat(read.status().message(), "; entry=", Quoted(pickle_name)));
  }
  pickle_ = *std::move(read);
  return CheckStorages();
}

absl::Status PthFile::CheckStorages() const {
  for (const PickleTensor& tensor : pickle_.tensors) {
    const std::string name = absl::StrCat(folder_, "data/", tensor.storage);
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) {
      return absl::DataLossError(absl::StrCat("a storage is missing; entry=", Quoted(name)));
    }
    const absl::StatusOr<uint64_t> size = TensorSizeBytes(tensor.dtype, {tensor.storage_elements});
    if (!size.ok() || entry->second.bytes.size() != *size) {
      return absl::InvalidArgumentError(
          absl::StrCat("a storage has not the size that the pickle says; entry=", Quoted(name),
                       " bytes=", entry->second.bytes.size(), " elements=", tensor.storage_elements,
                       " dtype=", DTypeName(tensor.dtype)));
    }
  }
  return absl::OkStatus();
}

std::optional<uint32_t> PthFile::Child(const PickleValue& parent, const std::string& step) const {
  if (parent.kind == Kind::kList || parent.kind == Kind::kTuple) {
    for (size_t i = 0; i < parent.items.size(); ++i) {
      if (step == absl::StrCat(i)) return parent.items[i];
    }
    return std::nullopt;
  }
  if (parent.kind != Kind::kDict) return std::nullopt;
  for (size_t i = 0; i + 1 < parent.items.size(); i += 2) {
    const PickleValue& key = pickle_.values[parent.items[i]];
    if ((key.kind == Kind::kText && key.text == step) ||
        (key.kind == Kind::kInteger && absl::StrCat(key.integer) == step)) {
      return parent.items[i + 1];
    }
  }
  return std::nullopt;
}

const PickleValue* PthFile::At(const Place& place) const {
  const PickleValue* value = &pickle_.values[pickle_.root];
  for (const std::string& step : place) {
    const std::optional<uint32_t> child = Child(*value, step);
    if (!child.has_value()) return nullptr;
    value = &pickle_.values[*child];
  }
  return value;
}

std::vector<std::string> PthFile::Keys(const Place& place) const {
  std::vector<std::string> keys;
  const PickleValue* const value = At(place);
  if (value == nullptr) return keys;
  if (value->kind == Kind::kList || value->kind == Kind::kTuple) {
    for (size_t i = 0; i < value->items.size(); ++i) keys.push_back(absl::StrCat(i));
  } else if (value->kind == Kind::kDict) {
    for (size_t i = 0; i + 1 < value->items.size(); i += 2) {
      const PickleValue& key = pickle_.values[value->items[i]];
      keys.push_back(key.kind == Kind::kText ? std::string(key.text) : absl::StrCat(key.integer));
    }
  }
  return keys;
}

std::optional<absl::string_view> PthFile::KindAt(const Place& place) const {
  const PickleValue* const value = At(place);
  if (value == nullptr) return std::nullopt;
  return PickleKindName(value->kind);
}

std::optional<std::string> PthFile::TextAt(const Place& place) const {
  const PickleValue* const value = At(place);
  if (value == nullptr || value->kind != Kind::kText) return std::nullopt;
  return std::string(value->text);
}

std::optional<int64_t> PthFile::IntegerAt(const Place& place) const {
  const PickleValue* const value = At(place);
  if (value == nullptr || value->kind != Kind::kInteger) return std::nullopt;
  return value->integer;
}

absl::StatusOr<StridedTensor> PthFile::TensorOf(const PickleTensor& tensor) const {
  const ZipEntry& entry = entries_.at(absl::StrCat(folder_, "data/", tensor.storage));
  return StridedTensor(tensor.dtype, tensor.shape, tensor.strides, entry.bytes, tensor.offset);
}

absl::StatusOr<std::map<std::string, StridedTensor>> PthFile::Tensors(const Place& place) const {
  const std::string context = absl::StrCat("cannot read tensors of ", label_);
  const PickleValue* const value = At(place);
  if (value == nullptr || value->kind != Kind::kDict) {
    return absl::NotFoundError(
        absl::StrCat(context, ": there is no dictionary at ", PlaceText(place)));
  }
  std::map<std::string, StridedTensor> tensors;
  std::set<absl::string_view> verified;
  for (size_t i = 0; i + 1 < value->items.size(); i += 2) {
    const PickleValue& key = pickle_.values[value->items[i]];
    const PickleValue& item = pickle_.values[value->items[i + 1]];
    const std::string name =
        key.kind == Kind::kText ? std::string(key.text) : absl::StrCat(PickleKindName(key.kind));
    if (key.kind != Kind::kText || item.kind != Kind::kTensor) {
      return absl::InvalidArgumentError(
          absl::StrCat(context, ": not a tensor by name; place=", PlaceText(place),
                       " entry=", Quoted(name), " kind=", PickleKindName(item.kind)));
    }
    const PickleTensor& tensor = pickle_.tensors[item.tensor];
    if (verified.insert(tensor.storage).second) {
      const std::string storage = absl::StrCat(folder_, "data/", tensor.storage);
      DISTILL_RETURN_IF_ERROR(Annotate(CheckCrc32(storage, entries_.at(storage)), context));
    }
    DISTILL_ASSIGN_OR_RETURN(StridedTensor strided, TensorOf(tensor));
    if (!tensors.emplace(name, std::move(strided)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(context, ": a name stands twice; entry=", Quoted(name)));
    }
  }
  return tensors;
}

}  // namespace distill::storage
