#include "storage/archive/tar_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/archive/tar_format.h"

namespace distill::storage {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kMostPaxBytes = kMostTarNameBytes + 64;

absl::Status Damaged(absl::string_view reason, const std::string& name) {
  return absl::DataLossError(absl::StrCat("cannot unpack tar file: ", reason, "; entry=", name));
}

// A new file, which nobody else has open.
class NewFile {
 public:
  static absl::StatusOr<NewFile> Create(const std::string& path) {
    const int descriptor =
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (descriptor < 0) return ErrnoStatus(errno, "create", path);
    return NewFile(descriptor, path);
  }
  NewFile(NewFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  absl::Status Append(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "write", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

 private:
  NewFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::string path_;
};

class Unpacker {
 public:
  Unpacker(const std::string& path, const std::string& directory, const TarLimits& limits)
      : archive_(path, std::ios::binary), directory_(directory), limits_(limits) {}

  absl::StatusOr<TarContent> Run() {
    if (!archive_) return absl::NotFoundError("cannot unpack tar file: it is not there");
    std::string long_name;
    while (true) {
      DISTILL_ASSIGN_OR_RETURN(const std::string block, ReadExactly(kTarBlockBytes));
      if (block == std::string(kTarBlockBytes, '\0')) return content_;
      DISTILL_ASSIGN_OR_RETURN(TarHeader header, DecodeTarHeader(block));
      if (header.kind == TarEntryKind::kPaxHeader) {
        if (header.size_bytes > kMostPaxBytes || !long_name.empty()) {
          return Damaged("a pax header is out of place", header.name);
        }
        DISTILL_ASSIGN_OR_RETURN(const std::string pax, ReadPadded(header.size_bytes));
        DISTILL_ASSIGN_OR_RETURN(long_name, DecodePaxName(pax));
        continue;
      }
      if (!long_name.empty()) header.name = std::exchange(long_name, std::string());
      DISTILL_RETURN_IF_ERROR(UnpackFile(header));
    }
  }

 private:
  absl::StatusOr<std::string> ReadExactly(uint64_t size) {
    std::string bytes(static_cast<size_t>(size), '\0');
    archive_.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!archive_) return absl::DataLossError("cannot unpack tar file: it is cut short");
    return bytes;
  }
  absl::StatusOr<std::string> ReadPadded(uint64_t size) {
    DISTILL_ASSIGN_OR_RETURN(std::string bytes, ReadExactly(size + TarPaddingBytes(size)));
    bytes.resize(static_cast<size_t>(size));
    return bytes;
  }

  absl::Status UnpackFile(const TarHeader& header) {
    const absl::Status name = CheckTarName(header.name);
    if (!name.ok()) return absl::DataLossError(name.message());
    content_.files += 1;
    if (content_.files > limits_.max_files ||
        header.size_bytes > limits_.max_bytes - content_.bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot unpack tar file: it holds more than announced; entry=", header.name));
    }
    content_.bytes += header.size_bytes;
    const std::string path = JoinPath(directory_, header.name);
    DISTILL_RETURN_IF_ERROR(CreateDirectories(path.substr(0, path.rfind('/'))));
    absl::StatusOr<NewFile> file = NewFile::Create(path);
    if (absl::IsAlreadyExists(file.status())) return Damaged("a file is in it twice", header.name);
    DISTILL_RETURN_IF_ERROR(file.status());
    for (uint64_t left = header.size_bytes; left > 0;) {
      DISTILL_ASSIGN_OR_RETURN(const std::string piece, ReadExactly(std::min(left, kPieceBytes)));
      DISTILL_RETURN_IF_ERROR(file->Append(piece));
      left -= piece.size();
    }
    return ReadExactly(TarPaddingBytes(header.size_bytes)).status();
  }

  std::ifstream archive_;
  const std::string directory_;
  const TarLimits limits_;
  TarContent content_;
};

}  // namespace

absl::StatusOr<TarContent> UnpackTar(const std::string& path, const std::string& directory,
                                     const TarLimits& limits) {
  return Unpacker(path, directory, limits).Run();
}

}  // namespace distill::storage
