#include "server/planner/shapes.h"

#include <algorithm>
#include <cmath>

#include "storage/weights/stage_depths.h"

namespace distill::server {
namespace {

int64_t Linear(int64_t in, int64_t out, bool bias = true) { return in * out + (bias ? out : 0); }
int64_t LayerNorm(int64_t width) { return 2 * width; }

int64_t HiddenWidth(const v1::VitSpec& vit) {
  return static_cast<int64_t>(std::llround(vit.embed_dim() * vit.mlp_ratio()));
}

int64_t AttentionHalf(const v1::VitSpec& vit) {
  const int64_t width = vit.embed_dim();
  return 2 * LayerNorm(width) + Linear(width, 3 * width, vit.qkv_bias()) + Linear(width, width);
}

int64_t Mlp(const v1::VitSpec& vit) {
  const int64_t width = vit.embed_dim();
  return Linear(width, HiddenWidth(vit)) + Linear(HiddenWidth(vit), width);
}

// The gate, with a bias where m2mKD's has one; noisy top-k learns its noise.
int64_t Router(const v1::VmoeSpec& vmoe) {
  const int64_t width = vmoe.backbone().embed_dim();
  switch (vmoe.router().kind()) {
    case v1::ROUTER_KIND_NOISY_TOP_K:
      return 2 * Linear(width, vmoe.experts(), /*bias=*/false);
    case v1::ROUTER_KIND_VMOE:
    case v1::ROUTER_KIND_EXPERT_CHOICE:
      return Linear(width, vmoe.experts(), /*bias=*/false);
    default:
      return Linear(width, vmoe.experts());
  }
}

int64_t Embedding(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const int64_t width = vit.embed_dim();
  const int64_t patch = int64_t{geometry.patch_size} * geometry.patch_size * geometry.channels;
  return Linear(patch, width) + width + geometry.tokens() * width;
}

int64_t Classifier(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  return LayerNorm(vit.embed_dim()) + Linear(vit.embed_dim(), geometry.classes);
}

int64_t PlainBlock(const v1::VitSpec& vit) { return AttentionHalf(vit) + Mlp(vit); }

// What the first and the last stage have besides blocks.
int64_t Ends(const v1::VitSpec& vit, const ImageGeometry& geometry, bool first, bool last) {
  return (first ? Embedding(vit, geometry) : 0) + (last ? Classifier(vit, geometry) : 0);
}

// What a mixture of experts has more than the MLP in its place.
int64_t MixtureSurplus(const v1::VmoeSpec& vmoe) {
  return Router(vmoe) + (vmoe.experts() - 1) * Mlp(vmoe.backbone());
}

int64_t PreStitch(const v1::VmoeSpec& vmoe, int meta_width) {
  return LayerNorm(meta_width) + Linear(meta_width, vmoe.backbone().embed_dim());
}

int64_t PostStitch(const v1::VmoeSpec& vmoe, int meta_width) {
  const int64_t width = vmoe.backbone().embed_dim();
  return LayerNorm(width) + Linear(width, meta_width);
}

// One modulated linear layer: the weight, what scales its input by the code, and the scale's gain.
int64_t ModulatedLinear(int64_t in, int64_t out, int64_t code, bool bias) {
  return Linear(in, out, bias) + in * code + 1;
}

// Sizes of a NAC's parts. Every part has its own formula so that modules and the whole network are
// sums of the same terms.
class NacParts {
 public:
  NacParts(const v1::NacSpec& nac, const ImageGeometry& geometry)
      : nac_(nac), geometry_(geometry) {}

  int64_t Tokenizer() const {
    const int stages = nac_.tokenizer_depths_size();
    if (stages == 0) return 0;  // Tasks of other modules do not know the tokenizer.
    int64_t parameters = 0;
    int64_t previous = geometry_.channels;
    for (int s = 0; s < stages; ++s) {
      const int64_t width = nac_.state_dim() >> (stages - s);
      const int64_t kernel = s == 0 ? nac_.tokenizer_stem() : 2;
      // The first convolution is followed by its norm, the others come after theirs.
      parameters +=
          Linear(previous * kernel * kernel, width) + LayerNorm(s == 0 ? width : previous);
      parameters += nac_.tokenizer_depths(s) * ConvolutionBlock(width);
      previous = width;
    }
    const int64_t side = geometry_.image_size / (int64_t{nac_.tokenizer_stem()} << (stages - 1));
    return parameters + nac_.grid_channels() * side * side;
  }

  int64_t ReadIn() const {
    const int64_t tokens = nac_.state_dim() / 2 + nac_.grid_channels();
    return LayerNorm(state()) + LayerNorm(tokens) + Modulated(state(), inner(), false) +
           2 * Modulated(tokens, inner(), false) + Modulated(inner(), state(), true) + state() +
           FeedForward();
  }

  // Attention over a common norm, and the feed-forward network: what a mediator module has.
  int64_t Mediator() const {
    return LayerNorm(state()) + 3 * Modulated(state(), inner(), false) +
           Modulated(inner(), state(), true) + state() + FeedForward();
  }

  // As a mediator, with a norm for each side.
  int64_t ReadOut() const { return Mediator() + LayerNorm(state()); }

  int64_t Seeder() const { return LayerNorm(code()) + 2 * Linear(code(), state()); }

  int64_t OutputHead() const { return Linear(state(), 1) + Linear(state(), geometry_.classes); }

  int64_t Latents() const {
    const int64_t latents =
        int64_t{nac_.input_latents()} + nac_.mediator_latents() + nac_.output_latents();
    return latents * (int64_t{nac_.signature_dim()} + nac_.code_dim());
  }

  // Learned codes belong to the module.
  int64_t ModuleCode() const {
    return nac_.codes() == v1::NAC_CODES_LEARNED || nac_.codes() == v1::NAC_CODES_TRANSFERRED
               ? code()
               : 0;
  }

 private:
  int64_t state() const { return nac_.state_dim(); }
  int64_t code() const { return nac_.code_dim(); }
  int64_t inner() const { return int64_t{nac_.heads()} * nac_.head_dim(); }

  int64_t Modulated(int64_t in, int64_t out, bool bias) const {
    return ModulatedLinear(in, out, code(), bias);
  }

  // Depthwise 7 x 7, norm, fourfold MLP, layer scale.
  static int64_t ConvolutionBlock(int64_t width) {
    return Linear(49, width) + LayerNorm(width) + Linear(width, 4 * width) +
           Linear(4 * width, width) + width;
  }

  int64_t FeedForward() const {
    const int64_t hidden = std::llround(nac_.ffn_capacity_factor() * nac_.state_dim());
    return LayerNorm(state()) + Modulated(state(), 2 * hidden, true) +
           Modulated(hidden, state(), true) + state();
  }

  const v1::NacSpec& nac_;
  const ImageGeometry& geometry_;
};

}  // namespace

int64_t CountParameters(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  return vit.depth() * PlainBlock(vit) + Ends(vit, geometry, /*first=*/true, /*last=*/true);
}

int64_t CountModuleParameters(const v1::VitSpec& vit, int modules, int index,
                              const ImageGeometry& geometry) {
  return storage::StageDepth(vit, modules, index) * PlainBlock(vit) +
         Ends(vit, geometry, index == 0, index + 1 == modules);
}

int64_t CountParameters(const v1::VmoeSpec& vmoe, int modules, const ImageGeometry& geometry,
                        int meta_width) {
  int64_t total =
      CountParameters(vmoe.backbone(), geometry) + vmoe.moe_blocks_size() * MixtureSurplus(vmoe);
  if (vmoe.keep_stitches()) {
    total += (modules - 1) * (PreStitch(vmoe, meta_width) + PostStitch(vmoe, meta_width));
  }
  return total;
}

int64_t CountModuleParameters(const v1::VmoeSpec& vmoe, int modules, int index,
                              const ImageGeometry& geometry, int meta_width) {
  const int64_t begin = storage::FirstBlock(vmoe.backbone(), modules, index);
  const int64_t end = begin + storage::StageDepth(vmoe.backbone(), modules, index);
  const int64_t mixtures =
      std::count_if(vmoe.moe_blocks().begin(), vmoe.moe_blocks().end(),
                    [&](int64_t block) { return block >= begin && block < end; });
  return CountModuleParameters(vmoe.backbone(), modules, index, geometry) +
         mixtures * MixtureSurplus(vmoe) + (index == 0 ? 0 : PreStitch(vmoe, meta_width)) +
         (index + 1 == modules ? 0 : PostStitch(vmoe, meta_width));
}

int64_t CountParameters(const v1::NacSpec& nac, int modules, const ImageGeometry& geometry,
                        int meta_width) {
  const NacParts parts(nac, geometry);
  // Every layer of the whole network has a bandwidth beside what its module has.
  const int64_t layers = nac.share_layers() ? 1 : modules - 2;
  int64_t total = parts.Tokenizer() + parts.ReadIn() + layers * (parts.Mediator() + 1) +
                  parts.ReadOut() + 1 + parts.Seeder() + parts.OutputHead() + parts.Latents();
  if (nac.keep_stitches()) {
    total += LayerNorm(nac.state_dim()) + (modules - 1) * (Linear(meta_width, nac.state_dim()) +
                                                           Linear(nac.state_dim(), meta_width));
  }
  return total;
}

int64_t CountModuleParameters(const v1::NacSpec& nac, int modules, int index,
                              const ImageGeometry& geometry, int meta_width) {
  const NacParts parts(nac, geometry);
  const bool first = index == 0;
  const bool last = index + 1 == modules;
  const int64_t stitches = (first ? 0 : Linear(meta_width, nac.state_dim())) +
                           (last ? 0 : Linear(nac.state_dim(), meta_width));
  if (first) return parts.Tokenizer() + parts.ReadIn() + stitches + parts.ModuleCode();
  if (last) return parts.ReadOut() + parts.OutputHead() + stitches + parts.ModuleCode();
  return parts.Mediator() + stitches + parts.ModuleCode();
}

int64_t CountParameters(const v1::StudentSpec& student, int modules, const ImageGeometry& geometry,
                        int meta_width) {
  if (student.has_vit()) return CountParameters(student.vit(), geometry);
  if (student.has_nac()) return CountParameters(student.nac(), modules, geometry, meta_width);
  return CountParameters(student.vmoe(), modules, geometry, meta_width);
}

int64_t CountModuleParameters(const v1::StudentSpec& student, int modules, int index,
                              const ImageGeometry& geometry, int meta_width) {
  if (student.has_vit()) return CountModuleParameters(student.vit(), modules, index, geometry);
  if (student.has_nac()) {
    return CountModuleParameters(student.nac(), modules, index, geometry, meta_width);
  }
  return CountModuleParameters(student.vmoe(), modules, index, geometry, meta_width);
}

}  // namespace distill::server
