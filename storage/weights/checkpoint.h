// A file of weights in whichever format it comes: safetensors, or PyTorch's zip format.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/tensor/pth_file.h"
#include "storage/tensor/safetensors_file.h"

namespace distill::storage {

// Immutable once made, so thread-safe; movable, and a moved-to file keeps all views valid.
class Checkpoint {
 public:
  using Place = PthFile::Place;

  // Tells the formats apart by content. Errors: those of the two readers.
  static absl::StatusOr<Checkpoint> Open(const std::string& path);

  // See PthFile; a safetensors file has one place, the root, with one key for each tensor.
  std::vector<std::string> Keys(const Place& place) const;
  std::optional<absl::string_view> KindAt(const Place& place) const;
  std::optional<std::string> TextAt(const Place& place) const;
  std::optional<int64_t> IntegerAt(const Place& place) const;
  absl::StatusOr<std::map<std::string, StridedTensor>> Tensors(const Place& place) const;

  // Of a safetensors file; empty otherwise.
  std::map<std::string, std::string> metadata() const;
  bool is_safetensors() const { return safetensors_.has_value(); }
  const std::string& label() const;

 private:
  explicit Checkpoint(PthFile file) : pth_(std::move(file)) {}
  explicit Checkpoint(SafetensorsFile file) : safetensors_(std::move(file)) {}

  // Exactly one.
  std::optional<PthFile> pth_;
  std::optional<SafetensorsFile> safetensors_;
};

// "model_stages/2" as a place; the empty text is the root.
Checkpoint::Place ParsePlace(absl::string_view text);
std::string FormatPlace(const Checkpoint::Place& place);

}  // namespace distill::storage
