// Other projects' weights as ours: finds the weights in a checkpoint, gives them our names and
// type, and holds them against the architecture that they are said to have.
//
// Known: flat names (timm, DeiT); full checkpoints of Deep Incubation and m2mKD, which list every
// tensor by flat and by staged names; their `model_stages`; and module files with
// `block_state_dict`.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distill/v1/architecture.pb.h"
#include "storage/tensor/tensor_view.h"
#include "storage/weights/checkpoint.h"

namespace distill::storage {

struct ImportOptions {
  // Where in the checkpoint the weights are; nullopt: found.
  std::optional<Checkpoint::Place> place;
  // A position embedding of another grid is resized instead of refused.
  bool resize_positions = false;
  // The file's classifier, if any, is left out, and one of zeros takes its place.
  bool new_classifier = false;
  // A NAC module without code and state, as the reference's files are, gets standard normal ones
  // from this seed: those that a module of a job with this seed of its phase starts with. nullopt:
  // it is refused.
  std::optional<uint64_t> codes_seed;
};

// Weights under our names, in float32. Movable; its views live as long as it and the checkpoint.
struct ImportedWeights {
  std::map<std::string, TensorView> tensors;
  // What was done besides renaming, for people.
  std::vector<std::string> notes;
  std::deque<std::string> copies;  // Bytes of tensors that are not the checkpoint's own.
};

// Imports what `architecture` (resolved) describes: a whole network, or one module if it names one.
// Errors: kInvalidArgument listing every missing, unexpected, reshaped, differing or not finite
// tensor; those of Checkpoint::Tensors.
absl::StatusOr<ImportedWeights> ImportWeights(const Checkpoint& checkpoint,
                                              const v1::ArchitectureDescription& architecture,
                                              const ImportOptions& options);

// Whether the tensors of the file `label`, under our names, are those of the network that
// `architecture` describes. kInvalidArgument listing all that are missing, unexpected or reshaped.
absl::Status CheckFits(const std::map<std::string, TensorView>& tensors,
                       const v1::ArchitectureDescription& architecture, const std::string& label);

// Writes an artifact: the tensors, and metadata from which the network can be built again.
absl::Status WriteWeights(const std::map<std::string, TensorView>& tensors,
                          const v1::ArchitectureDescription& architecture, const std::string& path);

}  // namespace distill::storage
