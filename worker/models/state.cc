// Maps parameters to reference names and back.
#include "worker/models/state.h"

#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace distill::models {
namespace {

constexpr absl::string_view kExperts = ".moe.experts.";

bool IsStitch(const std::string& name) {
  return absl::StrContains(name, ".pre_stitch.") || absl::StrContains(name, ".post_stitch.");
}

bool IsHead(const std::string& name) {
  return absl::StartsWith(name, "head.") || absl::StrContains(name, ".head.");
}

absl::Status Import(const std::vector<NamedTensor>& targets, const StateMap& state,
                    const ImportOptions& options) {
  return ImportTensors(
      targets, state, [&](const std::string& name) { return options.keep_head && IsHead(name); },
      [&](const std::string& name) { return options.drop_stitches && IsStitch(name); });
}

}  // namespace

absl::Status ImportTensors(const std::vector<NamedTensor>& targets, const StateMap& state,
                           const std::function<bool(const std::string&)>& may_miss,
                           const std::function<bool(const std::string&)>& may_drop) {
  std::vector<std::string> faults;
  std::set<std::string> known;
  for (const NamedTensor& target : targets) {
    known.insert(target.name);
    const auto found = state.find(target.name);
    if (found == state.end()) {
      if (may_miss(target.name)) continue;
      faults.push_back(absl::StrCat("missing ", target.name));
    } else if (found->second.sizes() != target.tensor.sizes()) {
      faults.push_back(absl::StrCat("shape of ", target.name, " got=[",
                                    absl::StrJoin(found->second.sizes(), ","), "] want=[",
                                    absl::StrJoin(target.tensor.sizes(), ","), "]"));
    } else if (!torch::isfinite(found->second).all().item<bool>()) {
      faults.push_back(absl::StrCat("value that is not finite in ", target.name));
    }
  }
  for (const auto& [name, tensor] : state) {
    if (known.count(name) > 0 || may_drop(name)) continue;
    faults.push_back(absl::StrCat("unexpected ", name));
  }
  if (!faults.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot load weights: they do not fit the model; ", faults.size(),
                     " faults: ", absl::StrJoin(faults, "; ")));
  }
  const torch::NoGradGuard no_gradient;
  for (const NamedTensor& target : targets) {
    const auto found = state.find(target.name);
    if (found != state.end()) torch::Tensor(target.tensor).copy_(found->second);
  }
  return absl::OkStatus();
}

void AppendByFileNames(const std::string& name, const torch::Tensor& tensor,
                       std::vector<NamedTensor>* result) {
  const size_t at = name.find(std::string(kExperts));
  if (at == std::string::npos) {
    result->push_back({name, tensor});
    return;
  }
  const std::string head = name.substr(0, at + kExperts.size());
  const std::string tail = name.substr(at + kExperts.size());
  for (int64_t e = 0; e < tensor.size(0); ++e) {
    result->push_back({absl::StrCat(head, e, ".", tail), tensor.narrow(0, e, 1)});
  }
}

std::vector<NamedTensor> ExportState(const VitStage& stage) {
  std::vector<NamedTensor> result;
  for (const auto& parameter : stage->named_parameters()) {
    AppendByFileNames(parameter.key(), parameter.value().detach(), &result);
  }
  return result;
}

std::vector<NamedTensor> ExportState(const StagedModel& model) {
  std::vector<NamedTensor> result;
  for (int64_t s = 0; s < model.stage_count(); ++s) {
    for (NamedTensor& tensor : ExportState(model.stages()[static_cast<size_t>(s)])) {
      result.push_back({WholeName(s, tensor.name), std::move(tensor.tensor)});
    }
  }
  return result;
}

std::vector<NamedTensor> ExportFlatState(const StagedModel& model) {
  std::vector<NamedTensor> result;
  int64_t first_block = 0;
  for (const VitStage& stage : model.stages()) {
    for (NamedTensor& tensor : ExportState(stage)) {
      std::vector<std::string> parts = absl::StrSplit(tensor.name, absl::MaxSplits('.', 2));
      if (parts[0] == "blocks") parts[1] = absl::StrCat(first_block + std::stoll(parts[1]));
      result.push_back({absl::StrJoin(parts, "."), std::move(tensor.tensor)});
    }
    first_block += static_cast<int64_t>(stage->config().blocks.size());
  }
  return result;
}

absl::Status ImportState(const VitStage& stage, const StateMap& state,
                         const ImportOptions& options) {
  return Import(ExportState(stage), state, options);
}

absl::Status ImportState(const StagedModel& model, const StateMap& state,
                         const ImportOptions& options) {
  return Import(ExportState(model), state, options);
}

StateMap StageState(const StateMap& whole, int64_t stage) {
  StateMap result;
  const std::string prefix = absl::StrCat("stages.", stage, ".");
  for (const auto& [name, tensor] : whole) {
    if (absl::StartsWith(name, prefix)) {
      result[name.substr(prefix.size())] = tensor;
    } else if (stage == 0 && WholeName(0, name) == name) {
      result[name] = tensor;
    }
  }
  return result;
}

std::string WholeName(int64_t stage, const std::string& stage_name) {
  if (stage_name == "cls_token" || stage_name == "pos_embed") return stage_name;
  return absl::StrCat("stages.", stage, ".", stage_name);
}

StateMap ToMap(const std::vector<NamedTensor>& tensors) {
  StateMap result;
  for (const NamedTensor& tensor : tensors) result[tensor.name] = tensor.tensor;
  return result;
}

torch::Tensor ResizePositionEmbedding(const torch::Tensor& embedding, int64_t new_side,
                                      int64_t extra) {
  const int64_t width = embedding.size(2), positions = embedding.size(1) - extra;
  const int64_t side =
      static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(positions))));
  TORCH_CHECK(side * side == positions,
              "cannot resize position embedding: its grid is not square; positions=", positions);
  if (side == new_side) return embedding;
  const torch::Tensor grid =
      embedding.narrow(1, extra, positions).reshape({1, side, side, width}).permute({0, 3, 1, 2});
  const torch::Tensor resized =
      at::upsample_bicubic2d(grid, {new_side, new_side}, /*align_corners=*/false, c10::nullopt,
                             c10::nullopt)
          .permute({0, 2, 3, 1})
          .reshape({1, new_side * new_side, width});
  return torch::cat({embedding.narrow(1, 0, extra), resized}, 1);
}

}  // namespace distill::models
