// From an architecture file to networks with weights: what runs a model, a module or a hybrid
// without the task that made it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distill/v1/architecture.pb.h"
#include "worker/models/network.h"

namespace distill::training {

// One network of a chain and its place.
struct ChainLink {
  std::string name;          // Of its output: "stage.<position>", or "network" for one undivided.
  int64_t position = 0;      // Among the modules.
  bool is_meta = false;      // A frozen module of a hybrid's meta model.
  bool whole_names = false;  // Its file has whole-model names.
  std::unique_ptr<models::Network> network;
};

// Builds what `architecture` (resolved) describes: one link for each module that runs, in order.
// Parameters are of type `dtype` and have no useful values yet.
// Errors: kInvalidArgument naming the field.
absl::StatusOr<std::vector<ChainLink>> BuildChain(const v1::ArchitectureDescription& architecture,
                                                  torch::ScalarType dtype);

// Fills the links that `is_meta` selects from a file, by module, whole-model or flat names; of
// tensors under both names, the two must be equal. Errors: those of ReadTensorFile;
// kInvalidArgument listing every missing, unexpected and reshaped tensor.
absl::Status LoadChain(const v1::ArchitectureDescription& architecture, const std::string& path,
                       bool is_meta, std::vector<ChainLink>& chain);

// The name of tensor `name` of `link` in its file.
std::string FileName(const ChainLink& link, const std::string& name);

}  // namespace distill::training
