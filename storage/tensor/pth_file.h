// Reads PyTorch checkpoints in the zip format of torch.save (PyTorch 1.6 and later) without
// PyTorch and without running what they hold.
//
//   DISTILL_ASSIGN_OR_RETURN(const PthFile file, PthFile::Open(path));
//   DISTILL_ASSIGN_OR_RETURN(const auto weights, file.Tensors({"model"}));
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
#include "storage/tensor/pth_pickle.h"
#include "storage/tensor/stored_zip.h"
#include "storage/tensor/tensor_view.h"

namespace distill::storage {

// A tensor whose elements may lie apart, in bytes that belong to the file.
class StridedTensor {
 public:
  StridedTensor(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> strides,
                absl::string_view storage, int64_t offset);

  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  // Whether the elements follow each other in row-major order.
  bool is_dense() const;
  // Returns a dense view: of the file's own bytes if it is dense, else of a copy put into `copy`,
  // which must then outlive the view.
  TensorView Dense(std::string* copy) const;

 private:
  DType dtype_;
  std::vector<int64_t> shape_;
  std::vector<int64_t> strides_;  // In elements.
  absl::string_view storage_;
  int64_t offset_;  // In elements.
};

// Immutable once made, so thread-safe; movable, and a moved-to file keeps all views valid.
class PthFile {
 public:
  // Maps the file, which must not be changed meanwhile, and reads its directory and its pickle.
  // Blocks. Errors: those of base/file.h; kInvalidArgument for a malformed file, one of the format
  // before 1.6, or one that names code; kDataLoss for a truncated or corrupt one. All name the
  // file and the entry.
  static absl::StatusOr<PthFile> Open(const std::string& path);
  // Same for bytes in memory. `label` stands for the file in error messages.
  static absl::StatusOr<PthFile> Parse(std::string bytes, absl::string_view label = "<memory>");

  // A place in the file is given by the steps from its root to it: keys of dictionaries, indices of
  // lists. Integer keys are given in digits.
  using Place = std::vector<std::string>;

  // The keys of the dictionary, or indices of the list, at `place`; empty when there is neither.
  std::vector<std::string> Keys(const Place& place) const;
  // "dict", "tensor", ...; nullopt when nothing is there.
  std::optional<absl::string_view> KindAt(const Place& place) const;
  std::optional<std::string> TextAt(const Place& place) const;
  std::optional<int64_t> IntegerAt(const Place& place) const;

  // Returns the tensors of the dictionary at `place` by name, their storages verified against their
  // checksums. kNotFound when there is no dictionary; kInvalidArgument when it holds anything but
  // tensors under texts, or one name twice; kDataLoss for a corrupt storage.
  absl::StatusOr<std::map<std::string, StridedTensor>> Tensors(const Place& place) const;

  const std::string& label() const { return label_; }

 private:
  PthFile(std::unique_ptr<const FileBytes> contents, std::string label)
      : contents_(std::move(contents)), label_(std::move(label)) {}
  absl::Status Load();
  absl::Status CheckStorages() const;
  const PickleValue* At(const Place& place) const;
  std::optional<uint32_t> Child(const PickleValue& parent, const std::string& step) const;
  absl::StatusOr<StridedTensor> TensorOf(const PickleTensor& tensor) const;

  std::unique_ptr<const FileBytes> contents_;
  std::string label_;
  std::string folder_;  // Of all entries, with the slash.
  std::map<std::string, ZipEntry> entries_;
  Pickle pickle_;
};

}  // namespace distill::storage
