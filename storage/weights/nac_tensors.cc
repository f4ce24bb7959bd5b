// Lays out the tensors of NACs, part by part.
#include "storage/weights/nac_tensors.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distill::storage {
namespace {

constexpr char kGraph[] = "latent_graphs.0.";

class Layout {
 public:
  explicit Layout(const v1::ArchitectureDescription& architecture)
      : architecture_(architecture), nac_(architecture.nac()) {}

  TensorShapes Whole() {
    AddTokenizer("input_tokenizer");
    AddLatents("input_latents", nac_.input_latents());
    AddLatents("mediator_latents", nac_.mediator_latents());
    AddLatents("output_latents", nac_.output_latents());
    const std::string seeder = absl::StrCat(kGraph, "latent_seeder");
    AddPair(seeder + ".layernorm", {nac_.code_dim()});
    AddPair(seeder + ".code_to_state_mu", {nac_.state_dim(), nac_.code_dim()});
    AddPair(seeder + ".code_to_state_logvar", {nac_.state_dim(), nac_.code_dim()});
    AddReadIn(absl::StrCat(kGraph, "read_in."));
    const int layers = nac_.share_layers() ? 1 : architecture_.modules() - 2;
    for (int l = 0; l < layers; ++l) {
      AddLayer(absl::StrCat(kGraph, "propagators.", l, "."), /*two_norms=*/false,
               /*has_links=*/true);
    }
    AddLayer(absl::StrCat(kGraph, "read_out."), /*two_norms=*/true, /*has_links=*/true);
    if (architecture_.stitch_width() > 0) AddKeptStitches();
    AddPooling("output_tokenizer");
    return std::move(shapes_);
  }

  TensorShapes Module() {
    const bool is_first = architecture_.module_index() == 0;
    const bool is_last = architecture_.module_index() + 1 == architecture_.modules();
    const int64_t state = nac_.state_dim(), stitch = architecture_.stitch_width();
    shapes_["codes"] = {1, nac_.code_dim()};
    if (is_first || is_last) shapes_["states"] = {1, state};
    if (is_first) {
      AddTokenizer("tokenizer");
      AddReadIn("read_in.");
    } else {
      AddPair("pre_stitch", {state, stitch});
      AddLayer("", /*two_norms=*/is_last, /*has_links=*/false);
    }
    if (is_last) {
      AddPooling("tokenizer");
    } else {
      AddPair("post_stitch", {stitch, state});
    }
    return std::move(shapes_);
  }

 private:
  // A weight, and a bias as long as its first dimension.
  void AddPair(const std::string& name, std::vector<int64_t> weight) {
    shapes_[name + ".bias"] = {weight.front()};
    shapes_[name + ".weight"] = std::move(weight);
  }

  void AddLatents(const std::string& name, int64_t count) {
    shapes_[absl::StrCat(kGraph, name, ".signatures_")] = {count, nac_.signature_dim()};
    shapes_[absl::StrCat(kGraph, name, ".codes_")] = {count, nac_.code_dim()};
  }

  void AddModFc(const std::string& name, int64_t in, int64_t out, bool bias) {
    shapes_[name + ".native_weight"] = {out, in};
    if (bias) shapes_[name + ".native_bias"] = {out};
    shapes_[name + ".scale.weight"] = {in, nac_.code_dim()};
    shapes_[name + ".scale_gain"] = {};
  }

  void AddFeedForward(const std::string& name) {
    const int64_t state = nac_.state_dim();
    const int64_t hidden = static_cast<int64_t>(
        std::nearbyint(nac_.ffn_capacity_factor() * static_cast<double>(state)));
    AddPair(name + ".layernorm", {state});
    AddModFc(name + ".ffn.0", state, 2 * hidden, true);
    AddModFc(name + ".ffn.2", hidden, state, true);
    shapes_[name + ".layer_scale.gamma"] = {state};
  }

  // Queries from states, keys and values from senders of width `sender`.
  void AddAttention(const std::string& name, int64_t sender) {
    const int64_t state = nac_.state_dim(), width = int64_t{nac_.heads()} * nac_.head_dim();
    AddPair(name + ".receiver_layernorm", {state});
    AddModFc(name + ".query_compiler", state, width, false);
    AddModFc(name + ".key_compiler", sender, width, false);
    AddModFc(name + ".value_compiler", sender, width, false);
    AddModFc(name + ".exit_layer", width, state, true);
    shapes_[name + ".layer_scale.gamma"] = {state};
  }

  void AddReadIn(const std::string& prefix) {
    const int64_t token = TokenizerWidth(nac_.tokenizer_depths_size() - 1) + nac_.grid_channels();
    AddAttention(prefix + "read_in_attention", token);
    AddPair(prefix + "read_in_attention.sender_layernorm", {token});
    AddFeedForward(prefix + "ffn");
  }

  void AddLayer(const std::string& prefix, bool two_norms, bool has_links) {
    AddAttention(prefix + "latent_attention", nac_.state_dim());
    if (two_norms) AddPair(prefix + "latent_attention.sender_layernorm", {nac_.state_dim()});
    if (has_links) shapes_[prefix + "latent_attention.kernel.bandwidth"] = {};
    AddFeedForward(prefix + "ffn");
  }

  void AddPooling(const std::string& name) {
    AddPair(name + ".confidence_scorer", {1, nac_.state_dim()});
    AddPair(name + ".to_logits", {architecture_.classes(), nac_.state_dim()});
  }

  void AddKeptStitches() {
    const int64_t state = nac_.state_dim(), stitch = architecture_.stitch_width();
    AddPair(absl::StrCat(kGraph, "stitch_norm"), {state});
    for (int i = 0; i + 1 < architecture_.modules(); ++i) {
      const std::string pair = absl::StrCat(kGraph, "stitch_pairs.", i);
      AddPair(pair + ".0", {stitch, state});
      AddPair(pair + ".1", {state, stitch});
    }
  }

  int64_t TokenizerWidth(int stage) const {
    return nac_.state_dim() >> (nac_.tokenizer_depths_size() - stage);
  }

  void AddTokenizer(const std::string& name) {
    const std::string backbone = name + ".backbone.";
    for (int s = 0; s < nac_.tokenizer_depths_size(); ++s) {
      const int64_t width = TokenizerWidth(s), stem = nac_.tokenizer_stem();
      const std::string sampling = absl::StrCat(backbone, "downsample_layers.", s);
      if (s == 0) {
        AddPair(sampling + ".0", {width, architecture_.channels(), stem, stem});
        AddPair(sampling + ".1", {width});
      } else {
        AddPair(sampling + ".0", {width / 2});
        AddPair(sampling + ".1", {width, width / 2, 2, 2});
      }
      for (int b = 0; b < nac_.tokenizer_depths(s); ++b) {
        const std::string block = absl::StrCat(backbone, "stages.", s, ".", b);
        AddPair(block + ".dwconv", {width, 1, 7, 7});
        AddPair(block + ".norm", {width});
        AddPair(block + ".pwconv1", {4 * width, width});
        AddPair(block + ".pwconv2", {width, 4 * width});
        shapes_[block + ".gamma"] = {width};
      }
    }
    if (nac_.grid_channels() == 0) return;
    const int64_t side =
        architecture_.image_size() / nac_.tokenizer_stem() >> (nac_.tokenizer_depths_size() - 1);
    shapes_[name + ".positional_grid.grid"] = {nac_.grid_channels(), side, side};
  }

  const v1::ArchitectureDescription& architecture_;
  const v1::NacSpec& nac_;
  TensorShapes shapes_;
};

}  // namespace

TensorShapes NacTensors(const v1::ArchitectureDescription& architecture) {
  return Layout(architecture).Whole();
}

TensorShapes NacModuleTensors(const v1::ArchitectureDescription& architecture) {
  return Layout(architecture).Module();
}

}  // namespace distill::storage
