#include "server/planner/shapes.h"

#include <algorithm>
#include <cmath>

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

// Parameters of each stage of a model whose block b has `block_parameters(b)`.
template <typename BlockParameters>
std::vector<int64_t> StageParameters(const v1::VitSpec& vit, const ImageGeometry& geometry,
                                     BlockParameters block_parameters) {
  std::vector<int64_t> stages;
  int block = 0;
  for (const int depth : vit.stage_depths()) {
    int64_t parameters = 0;
    for (int i = 0; i < depth; ++i) parameters += block_parameters(block++);
    stages.push_back(parameters);
  }
  if (!stages.empty()) {
    stages.front() += Embedding(vit, geometry);
    stages.back() += Classifier(vit, geometry);
  }
  return stages;
}

int64_t Sum(const std::vector<int64_t>& values) {
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  return sum;
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

ParameterCounts CountParameters(const v1::VitSpec& vit, const ImageGeometry& geometry) {
  const int64_t block = AttentionHalf(vit) + Mlp(vit);
  ParameterCounts counts;
  counts.modules = StageParameters(vit, geometry, [&](int) { return block; });
  counts.total = Sum(counts.modules);
  return counts;
}

ParameterCounts CountParameters(const v1::VmoeSpec& vmoe, const ImageGeometry& geometry,
                                int meta_width) {
  const v1::VitSpec& backbone = vmoe.backbone();
  const int64_t width = backbone.embed_dim();
  const int64_t plain = AttentionHalf(backbone) + Mlp(backbone);
  const int64_t mixture = AttentionHalf(backbone) + Router(vmoe) + vmoe.experts() * Mlp(backbone);
  const auto block_parameters = [&](int block) {
    const auto& moe_blocks = vmoe.moe_blocks();
    const bool is_mixture =
        std::find(moe_blocks.begin(), moe_blocks.end(), block) != moe_blocks.end();
    return is_mixture ? mixture : plain;
  };
  ParameterCounts counts;
  counts.modules = StageParameters(backbone, geometry, block_parameters);
  counts.total = Sum(counts.modules);
  const int64_t pre_stitch = LayerNorm(meta_width) + Linear(meta_width, width);
  const int64_t post_stitch = LayerNorm(width) + Linear(width, meta_width);
  for (size_t i = 0; i < counts.modules.size(); ++i) {
    const bool first = i == 0;
    const bool last = i + 1 == counts.modules.size();
    const int64_t stitches = (first ? 0 : pre_stitch) + (last ? 0 : post_stitch);
    counts.modules[i] += stitches;
    if (vmoe.keep_stitches()) counts.total += stitches;
  }
  return counts;
}

ParameterCounts CountParameters(const v1::NacSpec& nac, int modules, const ImageGeometry& geometry,
                                int meta_width) {
  const NacParts parts(nac, geometry);
  const int64_t pre_stitch = Linear(meta_width, nac.state_dim());
  const int64_t post_stitch = Linear(nac.state_dim(), meta_width);
  ParameterCounts counts;
  counts.modules.assign(static_cast<size_t>(modules),
                        pre_stitch + parts.Mediator() + post_stitch + parts.ModuleCode());
  counts.modules.front() = parts.Tokenizer() + parts.ReadIn() + post_stitch + parts.ModuleCode();
  counts.modules.back() = pre_stitch + parts.ReadOut() + parts.OutputHead() + parts.ModuleCode();
  // Every layer of the whole network has a bandwidth beside what its module has.
  const int64_t layers = nac.share_layers() ? 1 : modules - 2;
  counts.total = parts.Tokenizer() + parts.ReadIn() + layers * (parts.Mediator() + 1) +
                 parts.ReadOut() + 1 + parts.Seeder() + parts.OutputHead() + parts.Latents();
  if (nac.keep_stitches()) {
    counts.total += LayerNorm(nac.state_dim()) + (modules - 1) * (pre_stitch + post_stitch);
  }
  return counts;
}

ParameterCounts CountParameters(const v1::StudentSpec& student, int modules,
                                const ImageGeometry& geometry, int meta_width) {
  if (student.has_vit()) return CountParameters(student.vit(), geometry);
  if (student.has_nac()) return CountParameters(student.nac(), modules, geometry, meta_width);
  return CountParameters(student.vmoe(), geometry, meta_width);
}

}  // namespace distill::server
