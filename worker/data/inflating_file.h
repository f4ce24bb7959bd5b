// Reads a file that may or may not be gzip-compressed, as a stream of decoded bytes in bounded
// memory. Which of the two it is, its first two bytes tell.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

struct z_stream_s;

namespace distill::data {

// One thread only.
class InflatingFile {
 public:
  // kNotFound when there is no such file, otherwise as base/file.h maps errno.
  static absl::StatusOr<InflatingFile> Open(const std::string& path);

  InflatingFile(InflatingFile&&) noexcept;
  InflatingFile& operator=(InflatingFile&&) noexcept;
  ~InflatingFile();

  const std::string& path() const { return path_; }

  // The most bytes that a file of this size can decode to (deflate packs at most 1032 to 1). A
  // header that promises more is lying, and no memory needs to be set aside for it.
  uint64_t MaxDecodedBytes() const;

  // Fills `out` and returns its size; less only when the file ends first, 0 once it has ended.
  // kInvalidArgument when the compressed stream is damaged, cut short or followed by other bytes.
  absl::StatusOr<size_t> Read(absl::Span<uint8_t> out);

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const;
  };
  struct EndInflate {
    void operator()(z_stream_s* stream) const;
  };

  InflatingFile(std::string path, std::unique_ptr<std::FILE, CloseFile> file, uint64_t size);

  // Reads more of the file into input_; leaves pending_ empty at its end.
  absl::Status FillInput();
  absl::StatusOr<size_t> ReadPlain(absl::Span<uint8_t> out);
  absl::StatusOr<size_t> ReadCompressed(absl::Span<uint8_t> out);

  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  uint64_t size_ = 0;
  std::vector<uint8_t> input_;
  absl::Span<const uint8_t> pending_;               // The part of input_ not used yet.
  std::unique_ptr<z_stream_s, EndInflate> stream_;  // Null for a file that is not compressed.
  bool ended_ = false;
};

}  // namespace distill::data
