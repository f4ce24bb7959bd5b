// Builds and loads the networks of architecture files.
#include "worker/training/described_network.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "worker/models/nac/nac_network.h"
#include "worker/training/network_options.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

NetworkFrame FrameOf(const v1::ArchitectureDescription& architecture) {
  return {architecture.image_size(), architecture.channels(), architecture.patch_size(),
          architecture.classes(), architecture.modules()};
}

// The stages of the whole network; with stitches between them when there is a width for them.
absl::StatusOr<std::vector<models::StageConfig>> StagesOf(
    const v1::ArchitectureDescription& architecture) {
  models::VmoeConfig config;
  if (architecture.has_vmoe()) {
    DISTILL_ASSIGN_OR_RETURN(config, VmoeConfigOf(FrameOf(architecture), architecture.vmoe()));
  } else {
    config.vit = VitConfigOf(FrameOf(architecture), architecture.vit());
  }
  if (architecture.stitch_width() != 0) AddStitches(architecture.stitch_width(), &config);
  return models::StagesOf(config);
}

absl::StatusOr<std::vector<ChainLink>> BuildNac(const v1::ArchitectureDescription& architecture,
                                                torch::ScalarType dtype) {
  std::vector<ChainLink> chain;
  const NetworkFrame frame = FrameOf(architecture);
  if (!architecture.has_module_index()) {
    DISTILL_ASSIGN_OR_RETURN(models::NacConfig config, NacConfigOf(frame, architecture.nac()));
    config.kept_stitch_width = architecture.stitch_width();
    DISTILL_ASSIGN_OR_RETURN(models::Nac nac, models::CreateNac(config));
    nac->to(dtype);
    chain.push_back({"network", 0, false, false, std::make_unique<models::NacNetwork>(nac)});
    return chain;
  }
  const int64_t index = architecture.module_index();
  DISTILL_ASSIGN_OR_RETURN(
      const models::NacModuleConfig config,
      NacModuleConfigOf(frame, architecture.nac(), index, architecture.stitch_width()));
  DISTILL_ASSIGN_OR_RETURN(models::NacModule module, models::CreateNacModule(config));
  module->to(dtype);
  chain.push_back({absl::StrCat("stage.", index), index, false, false,
                   std::make_unique<models::NacModuleNetwork>(module)});
  return chain;
}

ChainLink StageLink(const models::StageConfig& config, int64_t position, bool is_meta,
                    bool whole_names) {
  return {absl::StrCat("stage.", position), position, is_meta, whole_names,
          std::make_unique<models::StageNetwork>(models::VitStage(config))};
}

absl::StatusOr<std::vector<ChainLink>> BuildStaged(
    const v1::ArchitectureDescription& architecture) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages, StagesOf(architecture));
  std::vector<ChainLink> chain;
  if (architecture.has_module_index()) {
    const int64_t index = architecture.module_index();
    chain.push_back(StageLink(stages[static_cast<size_t>(index)], index, false, false));
    return chain;
  }
  for (size_t s = 0; s < stages.size(); ++s) {
    chain.push_back(StageLink(stages[s], static_cast<int64_t>(s), false, true));
  }
  return chain;
}

// Puts the module that is there in its place in the meta model.
absl::Status AddMeta(const v1::ArchitectureDescription& architecture,
                     std::vector<ChainLink>* chain) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages,
                           StagesOf(storage::MetaOf(architecture)));
  std::vector<ChainLink> hybrid;
  for (size_t s = 0; s < stages.size(); ++s) {
    hybrid.push_back(StageLink(stages[s], static_cast<int64_t>(s), true, true));
    models::Freeze(*hybrid.back().network);
  }
  const auto position = static_cast<size_t>(chain->front().position);
  hybrid[position] = std::move(chain->front());
  *chain = std::move(hybrid);
  return absl::OkStatus();
}

// Moves `other` to `name`, where the same tensor may stand already.
void Rename(const std::string& other, const std::string& name, NamedTensors* tensors,
            std::vector<std::string>* faults) {
  const auto from = tensors->find(other);
  if (other == name || from == tensors->end()) return;
  const auto to = tensors->find(name);
  if (to == tensors->end()) {
    tensors->emplace(name, from->second);
  } else if (!to->second.equal(from->second)) {
    faults->push_back(absl::StrCat(name, " and ", other, " differ"));
  }
  tensors->erase(other);
}

// Gives the tensors of a whole staged network their whole-model names.
void FromOtherNames(const v1::ArchitectureDescription& architecture, NamedTensors* tensors,
                    std::vector<std::string>* faults) {
  for (const auto& [name, flat] : storage::FlatNames(architecture)) {
    Rename(flat, name, tensors, faults);
  }
  // The reference lists these beside the stages, and within the first as well.
  for (const char* const name : {"cls_token", "pos_embed"}) {
    Rename(absl::StrCat("stages.0.", name), name, tensors, faults);
  }
}

// Hands each link its tensors; what does not fit goes to `faults`.
std::vector<models::StateMap> Distribute(const std::vector<ChainLink>& chain, bool is_meta,
                                         const NamedTensors& tensors,
                                         std::vector<std::string>* faults) {
  std::vector<models::StateMap> states(chain.size());
  std::set<std::string> known;
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].is_meta != is_meta) continue;
    for (const models::NamedTensor& wanted : chain[i].network->State()) {
      const std::string name = FileName(chain[i], wanted.name);
      known.insert(name);
      const auto found = tensors.find(name);
      if (found == tensors.end()) {
        faults->push_back(absl::StrCat(name, " missing"));
      } else if (found->second.sizes() != wanted.tensor.sizes()) {
        faults->push_back(absl::StrCat(name, " of shape ", ShapeText(found->second), " instead of ",
                                       ShapeText(wanted.tensor)));
      } else {
        states[i].emplace(wanted.name, found->second);
      }
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (known.count(name) == 0) faults->push_back(absl::StrCat(name, " unexpected"));
  }
  return states;
}

// A hybrid's meta model is a file of a whole network, of which one module is not looked at.
void DropReplacedModule(const v1::ArchitectureDescription& architecture, NamedTensors* tensors) {
  const int64_t index = architecture.module_index();
  for (const auto& [name, tensor] : models::StageState(*tensors, index)) {
    tensors->erase(storage::WholeName(index, name));
  }
}

}  // namespace

std::string FileName(const ChainLink& link, const std::string& name) {
  return link.whole_names ? storage::WholeName(link.position, name) : name;
}

absl::StatusOr<std::vector<ChainLink>> BuildChain(const v1::ArchitectureDescription& architecture,
                                                  torch::ScalarType dtype) {
  DISTILL_ASSIGN_OR_RETURN(std::vector<ChainLink> chain, storage::IsStaged(architecture)
                                                             ? BuildStaged(architecture)
                                                             : BuildNac(architecture, dtype));
  if (architecture.has_meta()) DISTILL_RETURN_IF_ERROR(AddMeta(architecture, &chain));
  for (const ChainLink& link : chain) {
    for (models::NamedTensor& parameter : link.network->Parameters()) {
      parameter.tensor.set_data(parameter.tensor.to(dtype));
    }
  }
  return chain;
}

absl::Status LoadChain(const v1::ArchitectureDescription& architecture, const std::string& path,
                       bool is_meta, std::vector<ChainLink>& chain) {
  DISTILL_ASSIGN_OR_RETURN(TensorFile file, ReadTensorFile(path));
  std::vector<std::string> faults;
  const v1::ArchitectureDescription described =
      is_meta ? storage::MetaOf(architecture) : architecture;
  if (storage::IsStaged(described) && !described.has_module_index()) {
    FromOtherNames(described, &file.tensors, &faults);
  }
  if (is_meta) DropReplacedModule(architecture, &file.tensors);
  const std::vector<models::StateMap> states = Distribute(chain, is_meta, file.tensors, &faults);
  const std::string context = absl::StrCat("cannot load ", path);
  if (!faults.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(context, ": it does not fit the architecture; ", faults.size(),
                     faults.size() == 1 ? " fault: " : " faults: ", absl::StrJoin(faults, "; ")));
  }
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].is_meta != is_meta) continue;
    DISTILL_RETURN_IF_ERROR(Annotate(chain[i].network->Import(states[i], {}), context));
  }
  return absl::OkStatus();
}

}  // namespace distill::training
