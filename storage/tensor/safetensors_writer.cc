// Decides the layout: the header lists names in order, and the data holds wider elements first, so
// that every tensor of a mapped file is aligned to its element although the format allows no gaps.
#include "storage/tensor/safetensors_writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/tensor/safetensors_header.h"

namespace distill::storage {
namespace {

// Tells whether `text` is well-formed UTF-8 (RFC 3629), as JSON demands.
bool IsUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto byte = [&text](size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned lead = byte(i);
    size_t length = 1;
    uint32_t point = lead;
    if (lead >= 0x80) {
      if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
        point = lead & 0x1f;
      } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        point = lead & 0x0f;
      } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        point = lead & 0x07;
      } else {
        return false;
      }
    }
    if (text.size() - i < length) return false;
    for (size_t j = 1; j < length; ++j) {
      if ((byte(i + j) & 0xc0) != 0x80) return false;
      point = (point << 6) | (byte(i + j) & 0x3fU);
    }
    const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
    i += length;
  }
  return true;
}

absl::Status RefuseTensor(absl::string_view name, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("cannot add tensor: ", reason, "; entry=\"",
                                                 absl::CHexEscape(name.substr(0, 80)), "\""));
}

}  // namespace

absl::Status SafetensorsWriter::Add(absl::string_view name, const TensorView& tensor) {
  if (name.empty() || name.size() > kMaxTensorNameBytes || name == kMetadataKey || !IsUtf8(name)) {
    return RefuseTensor(name, absl::StrCat("a name is 1 to ", kMaxTensorNameBytes,
                                           " bytes of UTF-8 and not ", kMetadataKey));
  }
  if (tensor.shape.size() > kMaxTensorRank) return RefuseTensor(name, "too many dimensions");
  const absl::StatusOr<uint64_t> size = TensorSizeBytes(tensor.dtype, tensor.shape);
  if (!size.ok()) return RefuseTensor(name, size.status().message());
  if (tensor.bytes.size() != *size) {
    return RefuseTensor(name, absl::StrCat("bytes do not fit dtype and shape, got ",
                                           tensor.bytes.size(), " want ", *size));
  }
  if (!tensors_.emplace(std::string(name), tensor).second) {
    return RefuseTensor(name, "the name is taken");
  }
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::SetMetadata(absl::string_view key, absl::string_view value) {
  if (!IsUtf8(key) || !IsUtf8(value)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot set metadata: not UTF-8; key=\"",
                                                   absl::CHexEscape(key.substr(0, 80)), "\""));
  }
  metadata_[std::string(key)] = std::string(value);
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Stream(
    const std::function<absl::Status(absl::string_view)>& sink) const {
  using Item = std::pair<const std::string, TensorView>;
  std::vector<const Item*> layout;
  layout.reserve(tensors_.size());
  for (const Item& item : tensors_) layout.push_back(&item);
  std::stable_sort(layout.begin(), layout.end(), [](const Item* a, const Item* b) {
    return DTypeSizeBytes(a->second.dtype) > DTypeSizeBytes(b->second.dtype);
  });
  SafetensorsHeader header;
  header.metadata = metadata_;
  uint64_t end = 0;
  for (const Item* item : layout) {
    const uint64_t begin = end;
    end += item->second.bytes.size();
    header.entries[item->first] = {item->second.dtype, item->second.shape, begin, end};
  }
  const std::string json = FormatSafetensorsHeader(header);
  if (json.size() > kMaxSafetensorsHeaderBytes || layout.size() > kMaxTensors) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write safetensors: too many tensors or too much metadata; "
                     "header_bytes=",
                     json.size(), " max_header_bytes=", kMaxSafetensorsHeaderBytes,
                     " tensors=", layout.size(), " max_tensors=", kMaxTensors));
  }
  char length[8];  // Little-endian.
  for (size_t i = 0; i < sizeof(length); ++i) length[i] = static_cast<char>(json.size() >> (8 * i));
  DISTILL_RETURN_IF_ERROR(sink(absl::string_view(length, sizeof(length))));
  DISTILL_RETURN_IF_ERROR(sink(json));
  for (const Item* item : layout) DISTILL_RETURN_IF_ERROR(sink(item->second.bytes));
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsWriter::Written> SafetensorsWriter::WriteFile(
    const std::string& path) const {
  DISTILL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  DigestBuilder digest;
  uint64_t size_bytes = 0;
  DISTILL_RETURN_IF_ERROR(Stream([&](absl::string_view bytes) {
    digest.Append(bytes);
    size_bytes += bytes.size();
    return file.Append(bytes);
  }));
  DISTILL_RETURN_IF_ERROR(file.Commit());
  return Written{digest.Finish(), size_bytes};
}

absl::StatusOr<std::string> SafetensorsWriter::Serialize() const {
  std::string file;
  DISTILL_RETURN_IF_ERROR(Stream([&file](absl::string_view bytes) {
    file.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }));
  return file;
}

absl::StatusOr<SafetensorsWriter::Written> SafetensorsWriter::Measure() const {
  DigestBuilder digest;
  uint64_t size_bytes = 0;
  DISTILL_RETURN_IF_ERROR(Stream([&](absl::string_view bytes) {
    digest.Append(bytes);
    size_bytes += bytes.size();
    return absl::OkStatus();
  }));
  return Written{digest.Finish(), size_bytes};
}

}  // namespace distill::storage
