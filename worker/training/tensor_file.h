// Tensors to and from safetensors files: the only form in which weights and checkpoints exist
// outside memory.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/state.h"

namespace distill::training {

using NamedTensors = models::StateMap;

struct TensorFile {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
};

// Reads and copies the tensors whose name starts with one of `prefixes`; all of them when there is
// none. kInvalidArgument when a floating-point tensor holds a NaN or an infinity, naming the tensor
// and the element; otherwise the errors of storage/tensor.
absl::StatusOr<TensorFile> ReadTensorFile(const std::string& path,
                                          const std::vector<std::string>& prefixes = {});

// Writes the file, complete and durable when OK. Its bytes are a function of the arguments.
absl::Status WriteTensorFile(const std::string& path, const TensorFile& file);

// "[2, 3]", for messages.
std::string ShapeText(const torch::Tensor& tensor);

}  // namespace distill::training
