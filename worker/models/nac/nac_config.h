// What a Neural Attentive Circuit (arXiv 2210.08031) looks like: plain structs, checked by one
// function that names the field that is wrong.
//
// A NAC of `layers` propagation layers is made of layers + 2 modules, in this order: the read-in,
// one mediator module per layer, the read-out. Each can be distilled on its own (NacModuleConfig)
// and carried into the whole network (transfer.h).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace distill::models {

// What becomes of a link that is cut by the truncation when training samples the links.
enum class CutLinks {
  kRemoved,    // exactly as in evaluation
  kReference,  // keeps the tiny weight that clamping its probability to 1.2e-7 leaves it
};

// How the bandwidth of a layer's kernel follows from its parameter.
enum class BandwidthForm {
  // softplus(20 * parameter) / 20: always positive, and the parameter itself from 1 on and nearly
  // so
  // (within 0.001) from 0.2 on, so that weights mean the same with either form.
  kPositive,
  kFree,  // the reference: the parameter, which may become negative and turn the kernel over
};

// Where the code of a module under distillation comes from, and what becomes of it.
enum class ModuleCodes {
  kConstant,     // drawn once, never trained; the whole network draws its own (the reference)
  kLearned,      // trained along; the whole network draws its own all the same
  kTransferred,  // trained along; the latents of the whole network start around it
};

struct NacConfig {
  int64_t image_size = 28;  // pixels, square
  int64_t channels = 1;
  int64_t classes = 10;

  int64_t state_dim = 64;
  int64_t code_dim = 64;
  int64_t signature_dim = 64;
  int64_t input_latents = 16;
  int64_t mediator_latents = 64;
  int64_t output_latents = 16;
  int64_t layers = 2;         // propagation layers
  bool share_layers = false;  // all layers have the same weights

  int64_t heads = 4;
  int64_t head_dim = 16;
  bool qkv_bias = false;
  double ffn_capacity_factor = 2.0;  // hidden width of the feed-forward network / state_dim
  bool geglu = true;

  // ConvNeXt tokenizer. Stage s of n has width state_dim / 2^(n-s) and tokenizer_depths[s] blocks.
  // The stem is a convolution with kernel and stride `tokenizer_stem`; each further stage halves
  // the side of the grid. What does not fill a whole cell at the right and at the bottom is not
  // seen.
  std::vector<int64_t> tokenizer_depths = {1, 1};
  int64_t tokenizer_stem = 4;
  int64_t grid_channels = 64;  // learned position channels beside the features of each token

  double layer_scale = 0.1;  // start of all layer scales but that of the read-in's attention
  double scale_gain = 0.1;   // start of the weight of codes in ModFC
  double drop_path = 0.0;    // of propagators and mediator modules
  double code_noise = 0.05;  // half width of the noise on codes in training, relative
  bool state_noise = true;   // states are drawn around their mean; without, their mean

  double truncation = 0.9;        // links between signatures farther apart are cut
  bool sample_links = true;       // in training; without, their probabilities are used
  double link_temperature = 0.5;  // of the relaxed Bernoulli distribution
  CutLinks cut_links = CutLinks::kRemoved;
  BandwidthForm bandwidth_form = BandwidthForm::kPositive;
  // Evaluation draws states and pooling weights as training does (the reference) instead of taking
  // means and the plain softmax. Its numbers come from ForwardContext::random then too.
  bool stochastic_evaluation = false;
  bool gumbel_pooling = true;  // in training; without, the plain softmax

  // Keeps what stitches are left of distillation between the modules, as residual branches of this
  // hidden width. 0: none.
  int64_t kept_stitch_width = 0;
};

// One of the modules of a NAC, alone, between stages of another model.
enum class NacModuleKind { kReadIn, kMediator, kReadOut };

struct NacModuleConfig {
  NacConfig nac;
  NacModuleKind kind = NacModuleKind::kMediator;
  int64_t stitch_width = 0;  // token width of the model around the module
  ModuleCodes codes = ModuleCodes::kConstant;
  // Starts the layer scale of the read-in's feed-forward network at 1e-6 as the reference does,
  // which does not hand the common setting to it, instead of at nac.layer_scale.
  bool reference_read_in_scale = false;
};

// Errors: kInvalidArgument naming the field that is wrong.
absl::Status CheckNacConfig(const NacConfig& config);
absl::Status CheckNacModuleConfig(const NacModuleConfig& config);

// The kind of module `index` of 0 .. layers + 1.
NacModuleKind NacModuleKindAt(const NacConfig& config, int64_t index);

// Side of the grid of tokens, and width of a token.
int64_t TokenSide(const NacConfig& config);
int64_t TokenWidth(const NacConfig& config);
// Width of stage `stage` of the tokenizer.
int64_t TokenizerWidth(const NacConfig& config, size_t stage);
// heads * head_dim, and the hidden width of the feed-forward networks.
int64_t AttentionWidth(const NacConfig& config);
int64_t FeedForwardWidth(const NacConfig& config);

}  // namespace distill::models
