// Writes safetensors files whose bytes are a function of their content, so that equal weights have
// equal digests wherever and in whatever order they were added.
//
//   SafetensorsWriter writer;
//   DISTILL_RETURN_IF_ERROR(writer.Add("head.weight", {DType::kF32, {10, 64}, bytes}));
//   DISTILL_ASSIGN_OR_RETURN(const SafetensorsWriter::Written written, writer.WriteFile(path));
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// One thread at a time.
class SafetensorsWriter {
 public:
  struct Written {
    Digest digest;
    uint64_t size_bytes = 0;
  };

  // Adds a tensor, whose bytes must stay valid until the last write. kInvalidArgument for a name
  // that is empty, too long, not UTF-8, reserved or taken, or bytes that do not fit the shape.
  absl::Status Add(absl::string_view name, const TensorView& tensor);
  // Sets one entry of "__metadata__". Time, host and attempt do not belong there: they would
  // change the digest. kInvalidArgument when not UTF-8.
  absl::Status SetMetadata(absl::string_view key, absl::string_view value);

  // Streams the file to `path`: complete and durable when OK is returned, otherwise absent or as it
  // was. Blocks. Errors: those of base/file.h (kResourceExhausted: disk full);
  // kInvalidArgument when the header would exceed the limit.
  absl::StatusOr<Written> WriteFile(const std::string& path) const;
  // Returns the same bytes in memory.
  absl::StatusOr<std::string> Serialize() const;
  // Returns the size and digest that the file will have, without writing it.
  absl::StatusOr<Written> Measure() const;

 private:
  // Hands the file to `sink` piece by piece.
  absl::Status Stream(const std::function<absl::Status(absl::string_view)>& sink) const;

  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace distill::storage
