// Reads safetensors files, the format in which every weight is stored and exported: 8 bytes
// little-endian header length, JSON header, raw tensors. Strict: a file that the reference
// implementation or this reader would have to guess about is refused.
//
//   DISTILL_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
//   DISTILL_ASSIGN_OR_RETURN(const TensorView weight, file.Find("blocks.0.mlp.fc1.weight"));
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/tensor/file_bytes.h"
#include "storage/tensor/safetensors_header.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// Immutable once made, so thread-safe; movable, and a moved-to file keeps all views valid.
class SafetensorsFile {
 public:
  // Maps the file, which must not be changed meanwhile (blobs never are), and reads the header
  // only; pages of tensors are read when touched. Blocks. Errors: those of base/file.h;
  // kInvalidArgument for a malformed file, kDataLoss for a truncated one.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  // Same for bytes in memory. `label` stands for the file in error messages.
  static absl::StatusOr<SafetensorsFile> Parse(std::string bytes,
                                               absl::string_view label = "<memory>");

  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  // The names of all tensors, in order.
  std::vector<std::string> names() const;
  bool Contains(absl::string_view name) const;
  // Returns the tensor; its bytes live as long as this file. kNotFound.
  absl::StatusOr<TensorView> Find(absl::string_view name) const;
  // The "__metadata__" map, empty when there is none.
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // The path or label, for messages.
  const std::string& label() const { return label_; }

 private:
  SafetensorsFile(std::unique_ptr<const FileBytes> contents, std::string label);
  // Reads the header out of the contents.
  absl::Status Load();
  TensorView ViewOf(const SafetensorsEntry& entry) const;

  std::unique_ptr<const FileBytes> contents_;
  std::string label_;
  SafetensorsHeader header_;
  uint64_t data_begin_ = 0;
};

struct NonFinite {
  std::string name;
  uint64_t index = 0;  // Of the element, in row-major order.
};

// Returns the index of the first NaN or infinity, nullopt when there is none or the elements are
// integers.
std::optional<uint64_t> FindNonFinite(const TensorView& tensor);
// Returns the first one of the file, by name. Reads all floating-point tensors.
std::optional<NonFinite> FindNonFinite(const SafetensorsFile& file);

}  // namespace distill::storage
