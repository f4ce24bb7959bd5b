// Lays out the tensors of staged networks.
#include "storage/weights/expected_tensors.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "storage/weights/architecture.h"
#include "storage/weights/nac_tensors.h"

namespace distill::storage {
namespace {

void AddPair(const std::string& name, std::vector<int64_t> weight, std::vector<int64_t> bias,
             TensorShapes& shapes) {
  shapes[absl::StrCat(name, ".weight")] = std::move(weight);
  shapes[absl::StrCat(name, ".bias")] = std::move(bias);
}

void AddStitch(const std::string& name, int64_t from, int64_t to, TensorShapes& shapes) {
  AddPair(absl::StrCat(name, ".ln"), {from}, {from}, shapes);
  AddPair(absl::StrCat(name, ".fc"), {to, from}, {to}, shapes);
}

void AddExperts(const v1::VmoeSpec& vmoe, const std::string& name, int64_t width, int64_t hidden,
                TensorShapes& shapes) {
  const int64_t experts = vmoe.experts();
  switch (vmoe.router().kind()) {
    case v1::ROUTER_KIND_NOISY_TOP_K:
      shapes[absl::StrCat(name, ".gate.w_gate")] = {width, experts};
      shapes[absl::StrCat(name, ".gate.w_noise")] = {width, experts};
      break;
    case v1::ROUTER_KIND_VMOE:
    case v1::ROUTER_KIND_EXPERT_CHOICE:
      shapes[absl::StrCat(name, ".gate.gate.weight")] = {experts, width};
      break;
    default:
      switch (vmoe.router().kind()) {
        case v1::ROUTER_KIND_NOISY_TOP_K:
          shapes[absl::StrCat(name, ".gate.w_gate")] = {width, experts};
          shapes[absl::StrCat(name, ".gate.w_noise")] = {width, experts};
          break;
        case v1::ROUTER_KIND_VMOE:
        case v1::ROUTER_KIND_EXPERT_CHOICE:
          shapes[absl::StrCat(name, ".gate.gate.weight")] = {experts, width};
          break;
        default:
          AddPair(absl::StrCat(name, ".gate.gate"), {experts, width}, {experts}, shapes);
      }
  }
  for (int64_t e = 0; e < experts; ++e) {
    const std::string expert = absl::StrCat(name, ".experts.", e);
    AddPair(absl::StrCat(expert, ".htoh4"), {1, hidden, width}, {1, hidden}, shapes);
    AddPair(absl::StrCat(expert, ".h4toh"), {1, width, hidden}, {1, width}, shapes);
  }
}

// Block `position` of the whole network under the name `name`.
void AddBlock(const v1::ArchitectureDescription& architecture, int64_t position,
              const std::string& name, TensorShapes& shapes) {
  const v1::VitSpec& vit = BackboneOf(architecture);
  const int64_t width = vit.embed_dim();
  const int64_t hidden = static_cast<int64_t>(std::floor(vit.embed_dim() * vit.mlp_ratio()));
  AddPair(absl::StrCat(name, ".norm1"), {width}, {width}, shapes);
  AddPair(absl::StrCat(name, ".norm2"), {width}, {width}, shapes);
  AddPair(absl::StrCat(name, ".attn.proj"), {width, width}, {width}, shapes);
  shapes[absl::StrCat(name, ".attn.qkv.weight")] = {3 * width, width};
  if (vit.qkv_bias()) shapes[absl::StrCat(name, ".attn.qkv.bias")] = {3 * width};
  if (HoldsExperts(architecture, position)) {
    AddExperts(architecture.vmoe(), absl::StrCat(name, ".moe"), width, hidden, shapes);
  } else {
    AddPair(absl::StrCat(name, ".mlp.fc1"), {hidden, width}, {hidden}, shapes);
    AddPair(absl::StrCat(name, ".mlp.fc2"), {width, hidden}, {width}, shapes);
  }
}

// Module `index`, its blocks numbered from `first_name`.
TensorShapes Module(const v1::ArchitectureDescription& architecture, int64_t index,
                    int64_t first_name) {
  const v1::VitSpec& vit = BackboneOf(architecture);
  const int64_t width = vit.embed_dim(), stitch = architecture.stitch_width();
  const int64_t depth = vit.stage_depths(static_cast<int>(index));
  const bool is_first = index == 0, is_last = index + 1 == architecture.modules();
  TensorShapes shapes;
  if (is_first) {
    const int64_t patch = architecture.patch_size(), side = architecture.image_size() / patch;
    shapes["cls_token"] = {1, 1, width};
    shapes["pos_embed"] = {1, side * side + 1, width};
    AddPair("patch_embed.proj", {width, architecture.channels(), patch, patch}, {width}, shapes);
  }
  const int64_t first = FirstBlock(vit, index);
  for (int64_t b = 0; b < depth; ++b) {
    const std::string name = absl::StrCat("blocks.", first_name + b);
    AddBlock(architecture, first + b, name, shapes);
    if (stitch == 0) continue;
    if (b == 0 && !is_first) AddStitch(absl::StrCat(name, ".pre_stitch"), stitch, width, shapes);
    if (b + 1 == depth && !is_last) {
      AddStitch(absl::StrCat(name, ".post_stitch"), width, stitch, shapes);
    }
  }
  if (is_last) {
    AddPair("norm", {width}, {width}, shapes);
    AddPair("head", {architecture.classes(), width}, {architecture.classes()}, shapes);
  }
  return shapes;
}

}  // namespace

TensorShapes ExpectedTensors(const v1::ArchitectureDescription& architecture) {
  if (architecture.has_nac()) {
    return architecture.has_module_index() ? NacModuleTensors(architecture)
                                           : NacTensors(architecture);
  }
  if (architecture.has_module_index()) return Module(architecture, architecture.module_index(), 0);
  TensorShapes shapes;
  for (int s = 0; s < architecture.modules(); ++s) {
    for (auto& [name, shape] : Module(architecture, s, 0)) shapes[WholeName(s, name)] = shape;
  }
  return shapes;
}

std::map<std::string, std::string> FlatNames(const v1::ArchitectureDescription& architecture) {
  std::map<std::string, std::string> flat;
  for (int s = 0; s < architecture.modules(); ++s) {
    const int64_t first = FirstBlock(BackboneOf(architecture), s);
    for (const auto& [name, shape] : Module(architecture, s, 0)) {
      std::vector<std::string> parts = absl::StrSplit(name, absl::MaxSplits('.', 2));
      if (parts[0] == "blocks") parts[1] = absl::StrCat(first + std::stoll(parts[1]));
      flat[WholeName(s, name)] = absl::StrJoin(parts, ".");
    }
  }
  return flat;
}

std::string WholeName(int64_t index, const std::string& name) {
  if (name == "cls_token" || name == "pos_embed") return name;
  return absl::StrCat("stages.", index, ".", name);
}

int64_t CountParameters(const TensorShapes& shapes) {
  int64_t count = 0;
  for (const auto& [name, shape] : shapes) {
    int64_t size = 1;
    for (const int64_t dimension : shape) size *= dimension;
    count += size;
  }
  return count;
}

}  // namespace distill::storage
