#include "storage/archive/tar_writer.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/archive/tar_format.h"

namespace distill::storage {
namespace {

constexpr size_t kLongestPlainName = 100;
// What ustar's eleven octal digits hold.
constexpr uint64_t kMostFileBytes = (uint64_t{1} << 33) - 1;

}  // namespace

absl::Status TarWriter::BeginFile(absl::string_view name, uint64_t size_bytes) {
  DISTILL_RETURN_IF_ERROR(CheckTarName(name));
  if (size_bytes > kMostFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write tar file: a file is too large; name=", name,
                     " size_bytes=", size_bytes, " limit=", kMostFileBytes));
  }
  DISTILL_RETURN_IF_ERROR(EndFile());
  std::string short_name(name);
  if (name.size() > kLongestPlainName) {
    const std::string pax = EncodePaxName(name);
    DISTILL_RETURN_IF_ERROR(
        sink_(EncodeTarHeader({"pax-name", pax.size(), TarEntryKind::kPaxHeader})));
    DISTILL_RETURN_IF_ERROR(sink_(pax));
    DISTILL_RETURN_IF_ERROR(sink_(std::string(TarPaddingBytes(pax.size()), '\0')));
    short_name = "long-name";
  }
  missing_bytes_ = size_bytes;
  padding_bytes_ = TarPaddingBytes(size_bytes);
  return sink_(EncodeTarHeader({short_name, size_bytes, TarEntryKind::kFile}));
}

absl::Status TarWriter::Append(absl::string_view bytes) {
  if (bytes.size() > missing_bytes_) {
    return absl::FailedPreconditionError("cannot write tar file: a file became longer meanwhile");
  }
  missing_bytes_ -= bytes.size();
  return sink_(bytes);
}

absl::Status TarWriter::EndFile() {
  if (missing_bytes_ > 0) {
    return absl::FailedPreconditionError("cannot write tar file: a file became shorter meanwhile");
  }
  const size_t padding = padding_bytes_;
  padding_bytes_ = 0;
  return padding == 0 ? absl::OkStatus() : sink_(std::string(padding, '\0'));
}

absl::Status TarWriter::Finish() {
  DISTILL_RETURN_IF_ERROR(EndFile());
  return sink_(std::string(2 * kTarBlockBytes, '\0'));
}

}  // namespace distill::storage
