#include "worker/training/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "storage/tensor/safetensors_file.h"
#include "storage/tensor/safetensors_writer.h"

namespace distill::training {
namespace {

struct TypePair {
  storage::DType stored;
  torch::ScalarType tensor;
};
constexpr TypePair kTypes[] = {
    {storage::DType::kF64, torch::kFloat64}, {storage::DType::kF32, torch::kFloat32},
    {storage::DType::kF16, torch::kFloat16}, {storage::DType::kBF16, torch::kBFloat16},
    {storage::DType::kI64, torch::kInt64},   {storage::DType::kI32, torch::kInt32},
    {storage::DType::kI16, torch::kInt16},   {storage::DType::kI8, torch::kInt8},
    {storage::DType::kU8, torch::kUInt8},    {storage::DType::kBool, torch::kBool},
};

absl::StatusOr<torch::ScalarType> TensorTypeOf(storage::DType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.stored == type) return pair.tensor;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("element type ", storage::DTypeName(type), " is not supported"));
}

absl::StatusOr<storage::DType> StoredTypeOf(torch::ScalarType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.tensor == type) return pair.stored;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("element type ", c10::toString(type), " is not supported"));
}

absl::string_view BytesOf(const torch::Tensor& tensor) {
  return absl::string_view(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
}

bool IsWanted(absl::string_view name, const std::vector<std::string>& prefixes) {
  return prefixes.empty() ||
         std::any_of(prefixes.begin(), prefixes.end(),
                     [name](const std::string& prefix) { return absl::StartsWith(name, prefix); });
}

}  // namespace

absl::StatusOr<TensorFile> ReadTensorFile(const std::string& path,
                                          const std::vector<std::string>& prefixes) {
  DISTILL_ASSIGN_OR_RETURN(const storage::SafetensorsFile file,
                           storage::SafetensorsFile::Open(path));
  TensorFile result;
  result.metadata = file.metadata();
  for (const std::string& name : file.names()) {
    if (!IsWanted(name, prefixes)) continue;
    DISTILL_ASSIGN_OR_RETURN(const storage::TensorView view, file.Find(name));
    if (const std::optional<uint64_t> element = storage::FindNonFinite(view)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot use weights of ", path, ": tensor ", name,
                       " holds a NaN or an infinity; element=", *element));
    }
    DISTILL_ASSIGN_OR_RETURN(const torch::ScalarType type, TensorTypeOf(view.dtype));
    torch::Tensor tensor = torch::empty(view.shape, torch::TensorOptions().dtype(type));
    if (!view.bytes.empty()) std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
    result.tensors.emplace(name, std::move(tensor));
  }
  return result;
}

absl::Status WriteTensorFile(const std::string& path, const TensorFile& file) {
  storage::SafetensorsWriter writer;
  // Keeps the contiguous copies alive until the file is written.
  std::vector<torch::Tensor> kept;
  for (const auto& [name, tensor] : file.tensors) {
    kept.push_back(tensor.detach().cpu().contiguous());
    DISTILL_ASSIGN_OR_RETURN(const storage::DType type, StoredTypeOf(tensor.scalar_type()));
    DISTILL_RETURN_IF_ERROR(
        writer.Add(name, {type, kept.back().sizes().vec(), BytesOf(kept.back())}));
  }
  for (const auto& [key, value] : file.metadata) {
    DISTILL_RETURN_IF_ERROR(writer.SetMetadata(key, value));
  }
  return writer.WriteFile(path).status();
}

std::string ShapeText(const torch::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

}  // namespace distill::training
