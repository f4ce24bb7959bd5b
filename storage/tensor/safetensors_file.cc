// Finds the header and hands out views.
#include "storage/tensor/safetensors_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_context.h"
#include "base/status_macros.h"

namespace distill::storage {

namespace {

uint64_t LoadLittleEndian64(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 8; i > 0; --i) value = (value << 8) | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

// Tells where the first element stands whose exponent bits, `mask`, are all ones: in each of the
// IEEE formats and in bfloat16 that is exactly NaN and infinity. Counts whole blocks first, since
// that is a loop which compilers vectorise.
template <typename Bits>
std::optional<uint64_t> FindAllOnes(absl::string_view bytes, Bits mask) {
  constexpr size_t kBlock = 1024;
  const size_t count = bytes.size() / sizeof(Bits);
  Bits block[kBlock];
  for (size_t start = 0; start < count; start += kBlock) {
    const size_t length = std::min(kBlock, count - start);
    std::memcpy(block, bytes.data() + start * sizeof(Bits), length * sizeof(Bits));
    unsigned found = 0;
    for (size_t i = 0; i < length; ++i) found += (block[i] & mask) == mask ? 1U : 0U;
    if (found == 0) continue;
    for (size_t i = 0; i < length; ++i) {
      if ((block[i] & mask) == mask) return start + i;
    }
  }
  return std::nullopt;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::unique_ptr<const FileBytes> contents, std::string label)
    : contents_(std::move(contents)), label_(std::move(label)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<const FileBytes> contents, FileBytes::Map(path));
  SafetensorsFile file(std::move(contents), path);
  DISTILL_RETURN_IF_ERROR(file.Load());
  return file;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::string bytes, absl::string_view label) {
  SafetensorsFile file(std::make_unique<const FileBytes>(std::move(bytes)), std::string(label));
  DISTILL_RETURN_IF_ERROR(file.Load());
  return file;
}

absl::Status SafetensorsFile::Load() {
  const absl::string_view bytes = contents_->bytes();
  const std::string context = absl::StrCat("cannot read safetensors ", label_);
  constexpr uint64_t kLengthBytes = 8;
  if (bytes.size() < kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat(context, ": file is truncated, fetch it again; size_bytes=", bytes.size()));
  }
  const uint64_t header_size = LoadLittleEndian64(bytes);
  if (header_size > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        context, ": not a safetensors file, or a header of unreasonable size; header_bytes=",
        header_size, " max_header_bytes=", kMaxSafetensorsHeaderBytes));
  }
  if (header_size > bytes.size() - kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat(context, ": file is truncated, fetch it again; header_bytes=", header_size,
                     " size_bytes=", bytes.size()));
  }
  data_begin_ = kLengthBytes + header_size;
  absl::StatusOr<SafetensorsHeader> header =
      ParseSafetensorsHeader(bytes.substr(kLengthBytes, header_size), bytes.size() - data_begin_);
  if (!header.ok()) return Annotate(header.status(), context);
  header_ = *std::move(header);
  return absl::OkStatus();
}

TensorView SafetensorsFile::ViewOf(const SafetensorsEntry& entry) const {
  return {entry.dtype, entry.shape,
          contents_->bytes().substr(data_begin_ + entry.begin, entry.end - entry.begin)};
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(header_.entries.size());
  for (const auto& [name, entry] : header_.entries) names.push_back(name);
  return names;
}

bool SafetensorsFile::Contains(absl::string_view name) const {
  return header_.entries.count(std::string(name)) > 0;
}

absl::StatusOr<TensorView> SafetensorsFile::Find(absl::string_view name) const {
  const auto found = header_.entries.find(std::string(name));
  if (found == header_.entries.end()) {
    return absl::NotFoundError(absl::StrCat("cannot find tensor: the file has none of that name; ",
                                            "file=", label_,
                                            " entry=", absl::CHexEscape(name.substr(0, 80))));
  }
  return ViewOf(found->second);
}

std::optional<uint64_t> FindNonFinite(const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::kF64:
      return FindAllOnes<uint64_t>(tensor.bytes, 0x7ff0000000000000ULL);
    case DType::kF32:
      return FindAllOnes<uint32_t>(tensor.bytes, 0x7f800000U);
    case DType::kF16:
      return FindAllOnes<uint16_t>(tensor.bytes, 0x7c00);
    case DType::kBF16:
      return FindAllOnes<uint16_t>(tensor.bytes, 0x7f80);
    default:
      return std::nullopt;
  }
}

std::optional<NonFinite> FindNonFinite(const SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    const absl::StatusOr<TensorView> tensor = file.Find(name);
    if (!tensor.ok()) continue;  // Cannot be: the name came from the file.
    const std::optional<uint64_t> index = FindNonFinite(*tensor);
    if (index.has_value()) return NonFinite{name, *index};
  }
  return std::nullopt;
}

}  // namespace distill::storage
