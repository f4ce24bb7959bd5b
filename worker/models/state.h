// Weights by name. The names and shapes at this boundary are the reference implementation's;
// inside, experts are stacked, and this is the only place that knows.
//
// Names of one stage:      cls_token, pos_embed, patch_embed.proj.*, blocks.<local>.*, norm.*,
//                          head.*; experts as blocks.<b>.moe.experts.<e>.{htoh4,h4toh}.{weight
//                          [1, out, in], bias [1, out]}
// Names of a whole model:  cls_token, pos_embed, then stages.<s>.<the rest>
// Flat names (as timm):    the stage names, with blocks counted over the whole model
#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/models/staged_model.h"

namespace distill::models {

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;
};

using StateMap = std::map<std::string, torch::Tensor>;

// The parameters of `stage`, in the order in which they were made. The tensors are detached and
// share memory with the stage: writing to them changes it, and a copy must be taken to keep them.
std::vector<NamedTensor> ExportState(const VitStage& stage);

// The parameters of `model`, by whole-model names resp. flat names; as above.
std::vector<NamedTensor> ExportState(const StagedModel& model);
std::vector<NamedTensor> ExportFlatState(const StagedModel& model);

struct ImportOptions {
  // Leaves out stitches of `state` that the stage does not have (assembly of students).
  bool drop_stitches = false;
  // Lets the classifier keep its values when `state` has none (few-shot training).
  bool keep_head = false;
};

// Copies `state` into `targets`, converting to their type; all or nothing. Targets that `may_miss`
// names keep their values when `state` has none; entries that `may_drop` names need no target.
// Errors: as ImportState.
absl::Status ImportTensors(const std::vector<NamedTensor>& targets, const StateMap& state,
                           const std::function<bool(const std::string&)>& may_miss,
                           const std::function<bool(const std::string&)>& may_drop);

// Copies `state` into the parameters, converting to their type. All or nothing.
// Errors: kInvalidArgument listing every missing, unexpected and wrongly shaped tensor, and every
// one that holds a value that is not finite.
absl::Status ImportState(const VitStage& stage, const StateMap& state,
                         const ImportOptions& options = {});
absl::Status ImportState(const StagedModel& model, const StateMap& state,
                         const ImportOptions& options = {});

// The state of one stage out of a whole model's, by stage names, and the other way round.
StateMap StageState(const StateMap& whole, int64_t stage);
std::string WholeName(int64_t stage, const std::string& stage_name);

StateMap ToMap(const std::vector<NamedTensor>& tensors);

// Appends `tensor`, a parameter of a stage or something of its shape such as its gradient, by the
// names that parameters have in files: stacked experts one by one.
void AppendByFileNames(const std::string& name, const torch::Tensor& tensor,
                       std::vector<NamedTensor>* result);

// Resizes a position embedding [1, extra + side^2, D] to a grid of new_side^2: bicubic, corners not
// aligned; the `extra` leading tokens are kept.
torch::Tensor ResizePositionEmbedding(const torch::Tensor& embedding, int64_t new_side,
                                      int64_t extra = 1);

}  // namespace distill::models
