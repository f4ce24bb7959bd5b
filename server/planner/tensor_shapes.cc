#include "server/planner/tensor_shapes.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace distill::server {
namespace {

void AddNorm(const std::string& name, int64_t width, TensorShapes& shapes) {
  shapes[absl::StrCat(name, ".weight")] = {width};
  shapes[absl::StrCat(name, ".bias")] = {width};
}

void AddLinear(const std::string& name, int64_t in, int64_t out, bool bias, TensorShapes& shapes) {
  shapes[absl::StrCat(name, ".weight")] = {out, in};
  if (bias) shapes[absl::StrCat(name, ".bias")] = {out};
}

void AddBlock(const v1::VitSpec& vit, const std::string& name, TensorShapes& shapes) {
  const int64_t width = vit.embed_dim();
  const int64_t hidden = std::llround(vit.embed_dim() * vit.mlp_ratio());
  AddNorm(absl::StrCat(name, ".norm1"), width, shapes);
  AddLinear(absl::StrCat(name, ".attn.qkv"), width, 3 * width, vit.qkv_bias(), shapes);
  AddLinear(absl::StrCat(name, ".attn.proj"), width, width, true, shapes);
  AddNorm(absl::StrCat(name, ".norm2"), width, shapes);
  AddLinear(absl::StrCat(name, ".mlp.fc1"), width, hidden, true, shapes);
  AddLinear(absl::StrCat(name, ".mlp.fc2"), hidden, width, true, shapes);
}

// A stage whose blocks are numbered from `first_block`.
TensorShapes Stage(const v1::VitSpec& vit, const ImageGeometry& geometry, int stage,
                   int first_block) {
  const int64_t width = vit.embed_dim();
  TensorShapes shapes;
  if (stage == 0) {
    shapes["cls_token"] = {1, 1, width};
    shapes["pos_embed"] = {1, geometry.tokens(), width};
    shapes["patch_embed.proj.weight"] = {width, geometry.channels, geometry.patch_size,
                                         geometry.patch_size};
    shapes["patch_embed.proj.bias"] = {width};
  }
  for (int b = 0; b < vit.stage_depths(stage); ++b) {
    AddBlock(vit, absl::StrCat("blocks.", first_block + b), shapes);
  }
  if (stage + 1 == vit.stage_depths_size()) {
    AddNorm("norm", width, shapes);
    AddLinear("head", width, geometry.classes, true, shapes);
  }
  return shapes;
}

}  // namespace

TensorShapes StageTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry, int stage) {
  return Stage(vit, geometry, stage, 0);
}

TensorShapes WholeTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  TensorShapes whole;
  for (int s = 0; s < vit.stage_depths_size(); ++s) {
    for (auto& [name, shape] : Stage(vit, geometry, s, 0)) {
      const bool at_root = name == "cls_token" || name == "pos_embed";
      whole[at_root ? name : absl::StrCat("stages.", s, ".", name)] = shape;
    }
  }
  return whole;
}

TensorShapes FlatTensorShapes(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  TensorShapes flat;
  int first_block = 0;
  for (int s = 0; s < vit.stage_depths_size(); ++s) {
    flat.merge(Stage(vit, geometry, s, first_block));
    first_block += vit.stage_depths(s);
  }
  return flat;
}

}  // namespace distill::server
