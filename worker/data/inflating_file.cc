#include "worker/data/inflating_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill::data {
namespace {

constexpr size_t kInputBytes = 64 * 1024;
constexpr uint64_t kMostDeflateRatio = 1032;
constexpr int kGzipWindowBits = 15 + 16;  // zlib's way to say: gzip header and trailer expected.

absl::Status Damaged(const std::string& path, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot decompress file: ", cause, "; file=", path,
                   "; replace it by an undamaged copy, or by the uncompressed file"));
}

}  // namespace

void InflatingFile::CloseFile::operator()(std::FILE* file) const { std::fclose(file); }

void InflatingFile::EndInflate::operator()(z_stream_s* stream) const {
  inflateEnd(stream);
  delete stream;
}

InflatingFile::InflatingFile(std::string path, std::unique_ptr<std::FILE, CloseFile> file,
                             uint64_t size)
    : path_(std::move(path)), file_(std::move(file)), size_(size), input_(kInputBytes) {}

InflatingFile::InflatingFile(InflatingFile&&) noexcept = default;
InflatingFile& InflatingFile::operator=(InflatingFile&&) noexcept = default;
InflatingFile::~InflatingFile() = default;

absl::StatusOr<InflatingFile> InflatingFile::Open(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) return ErrnoStatus(errno, "open", path);
  InflatingFile result(path, std::move(file), size);
  DISTILL_RETURN_IF_ERROR(result.FillInput());
  const absl::Span<const uint8_t> head = result.pending_;
  if (head.size() >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
    auto stream = std::make_unique<z_stream>();
    if (inflateInit2(stream.get(), kGzipWindowBits) != Z_OK) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot decompress file: out of memory; file=", path));
    }
    result.stream_.reset(stream.release());
  }
  return result;
}

uint64_t InflatingFile::MaxDecodedBytes() const {
  return stream_ == nullptr ? size_ : size_ * kMostDeflateRatio;
}

absl::Status InflatingFile::FillInput() {
  const size_t count = std::fread(input_.data(), 1, input_.size(), file_.get());
  if (count == 0 && std::ferror(file_.get()) != 0) return ErrnoStatus(errno, "read", path_);
  pending_ = absl::MakeConstSpan(input_.data(), count);
  return absl::OkStatus();
}

absl::StatusOr<size_t> InflatingFile::Read(absl::Span<uint8_t> out) {
  return stream_ == nullptr ? ReadPlain(out) : ReadCompressed(out);
}

absl::StatusOr<size_t> InflatingFile::ReadPlain(absl::Span<uint8_t> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    if (pending_.empty()) {
      DISTILL_RETURN_IF_ERROR(FillInput());
      if (pending_.empty()) break;
    }
    const size_t count = std::min(pending_.size(), out.size() - filled);
    std::copy_n(pending_.begin(), count, out.begin() + filled);
    pending_.remove_prefix(count);
    filled += count;
  }
  return filled;
}

absl::StatusOr<size_t> InflatingFile::ReadCompressed(absl::Span<uint8_t> out) {
  size_t filled = 0;
  while (filled < out.size() && !ended_) {
    if (pending_.empty()) {
      DISTILL_RETURN_IF_ERROR(FillInput());
      if (pending_.empty()) return Damaged(path_, "the compressed stream is cut short");
    }
    stream_->next_in = const_cast<uint8_t*>(pending_.data());
    stream_->avail_in = static_cast<uInt>(pending_.size());
    stream_->next_out = out.data() + filled;
    const size_t room = std::min<size_t>(out.size() - filled, 1U << 30);
    stream_->avail_out = static_cast<uInt>(room);
    const int result = inflate(stream_.get(), Z_NO_FLUSH);
    pending_.remove_prefix(pending_.size() - stream_->avail_in);
    filled += room - stream_->avail_out;
    if (result == Z_STREAM_END) {
      ended_ = true;
      if (pending_.empty()) DISTILL_RETURN_IF_ERROR(FillInput());
      if (!pending_.empty()) return Damaged(path_, "other bytes follow the compressed stream");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return Damaged(path_, stream_->msg != nullptr ? stream_->msg : "invalid data");
    }
  }
  return filled;
}

}  // namespace distill::data
