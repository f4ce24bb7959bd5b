// Builds and runs a whole NAC.
#include "worker/models/nac/nac.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

constexpr double kEpsilon = 1e-5;

// Places of random numbers within the network. Layer l and stitch l have places of their own under
// kLayers and kStitches.
enum Place : int64_t {
  kSeedInput,
  kSeedMediators,
  kSeedOutput,
  kReadIn,
  kLayers,
  kReadOut,
  kPooling,
  kStitches
};

// Places within a layer.
enum LayerPlace : int64_t { kReceiverCodes, kSenderCodes, kLayer };

}  // namespace

KeptStitchesImpl::KeptStitchesImpl(const NacConfig& config, torch::nn::Module* graph)
    : drop_path_(config.drop_path),
      norm_(graph->register_module("stitch_norm", LayerNorm(config.state_dim, kEpsilon))) {
  auto list = graph->register_module("stitch_pairs", torch::nn::ModuleList());
  for (int64_t i = 0; i <= config.layers; ++i) {
    pairs_.emplace_back(Linear(config.state_dim, config.kept_stitch_width),
                        Linear(config.kept_stitch_width, config.state_dim));
    torch::nn::ModuleList pair;
    pair->push_back(pairs_.back().first);
    pair->push_back(pairs_.back().second);
    list->push_back(pair);
  }
}

torch::Tensor KeptStitchesImpl::forward(const torch::Tensor& x, int64_t index,
                                        const ForwardContext& context) {
  auto& [to_stitch, from_stitch] = pairs_[static_cast<size_t>(index)];
  const torch::Tensor branch = from_stitch(torch::gelu(to_stitch(norm_(x))));
  return x + DropPath(branch, drop_path_, context.At(index));
}

NacImpl::NacImpl(const NacConfig& config) : config_(config) {
  input_tokenizer_ = register_module("input_tokenizer", ImageTokenizer(config));
  auto graphs = register_module("latent_graphs", torch::nn::ModuleList());
  auto graph = std::make_shared<torch::nn::Module>();
  graphs->push_back(graph);
  input_latents_ = graph->register_module("input_latents", Latents(config.input_latents, config));
  mediator_latents_ =
      graph->register_module("mediator_latents", Latents(config.mediator_latents, config));
  output_latents_ =
      graph->register_module("output_latents", Latents(config.output_latents, config));
  latent_seeder_ = graph->register_module("latent_seeder", LatentSeeder(config));
  read_in_ = graph->register_module("read_in", ReadIn(config, config.layer_scale));
  torch::nn::ModuleList layers;
  graph->register_module("propagators", layers);
  const int64_t count = config.share_layers ? 1 : config.layers;
  for (int64_t l = 0; l < count; ++l) {
    propagators_.emplace_back(config, LatentLayerRole::kPropagator);
    layers->push_back(propagators_.back());
  }
  read_out_ = graph->register_module("read_out", LatentLayer(config, LatentLayerRole::kReadOut));
  if (config.kept_stitch_width > 0) stitches_ = KeptStitches(config, graph.get());
  output_tokenizer_ = register_module("output_tokenizer", OutputPooling(config));
}

torch::Tensor NacImpl::forward(const torch::Tensor& pixels, const ForwardContext& context,
                               NacTrace* trace) {
  return Classify(Features(pixels, context, trace));
}

torch::Tensor NacImpl::Features(const torch::Tensor& pixels, const ForwardContext& context,
                                NacTrace* trace) {
  const int64_t batch = pixels.size(0);
  const torch::Tensor tokens = input_tokenizer_(pixels);
  const torch::Tensor seeded = latent_seeder_(input_latents_->codes, batch, context.At(kSeedInput));
  const torch::Tensor mediators =
      latent_seeder_(mediator_latents_->codes, batch, context.At(kSeedMediators));
  const torch::Tensor outputs =
      latent_seeder_(output_latents_->codes, batch, context.At(kSeedOutput));

  const ForwardContext reading = context.At(kReadIn);
  const torch::Tensor codes =
      NoisyCodes(input_latents_->codes, config_.code_noise, reading.At(kReceiverCodes));
  torch::Tensor input_states = read_in_(seeded, codes, tokens, reading.At(kLayer));
  if (!stitches_.is_empty()) input_states = stitches_(input_states, 0, context.At(kStitches));

  const torch::Tensor mediator_states = PassMessages(input_states, mediators, context);
  const torch::Tensor output_states =
      ReadOut(input_states, mediator_states, outputs, context.At(kReadOut));
  if (trace != nullptr) *trace = {tokens, input_states, mediator_states, output_states};
  return output_tokenizer_->Pool(output_states, context.At(kPooling));
}

LatentStates NacImpl::Senders(const torch::Tensor& input_states,
                              const torch::Tensor& mediator_states,
                              const ForwardContext& context) const {
  const torch::Tensor codes = torch::cat({input_latents_->codes, mediator_latents_->codes});
  return {torch::cat({input_states, mediator_states}, 1),
          NoisyCodes(codes, config_.code_noise, context)};
}

torch::Tensor NacImpl::PassMessages(const torch::Tensor& input_states,
                                    torch::Tensor mediator_states, const ForwardContext& context) {
  // The signatures are the same for all layers, and so are their distances.
  const torch::Tensor distances =
      CosineDistances(mediator_latents_->signatures,
                      torch::cat({input_latents_->signatures, mediator_latents_->signatures}));
  for (int64_t l = 0; l < config_.layers; ++l) {
    LatentLayer& layer = propagators_[config_.share_layers ? 0 : static_cast<size_t>(l)];
    const ForwardContext place = context.At(kLayers).At(l);
    const LatentStates receivers = {
        mediator_states,
        NoisyCodes(mediator_latents_->codes, config_.code_noise, place.At(kReceiverCodes))};
    mediator_states =
        layer(receivers, Senders(input_states, mediator_states, place.At(kSenderCodes)), distances,
              /*receivers_end_senders=*/true, place.At(kLayer));
    if (!stitches_.is_empty()) {
      mediator_states = stitches_(mediator_states, l + 1, context.At(kStitches));
    }
  }
  return mediator_states;
}

torch::Tensor NacImpl::ReadOut(const torch::Tensor& input_states,
                               const torch::Tensor& mediator_states,
                               const torch::Tensor& output_states, const ForwardContext& context) {
  const torch::Tensor distances =
      CosineDistances(output_latents_->signatures,
                      torch::cat({input_latents_->signatures, mediator_latents_->signatures}));
  const LatentStates receivers = {
      output_states,
      NoisyCodes(output_latents_->codes, config_.code_noise, context.At(kReceiverCodes))};
  return read_out_(receivers, Senders(input_states, mediator_states, context.At(kSenderCodes)),
                   distances, /*receivers_end_senders=*/false, context.At(kLayer));
}

torch::Tensor NacImpl::Signatures() const {
  return torch::cat(
      {input_latents_->signatures, mediator_latents_->signatures, output_latents_->signatures});
}

std::vector<torch::Tensor> NacImpl::Bandwidths() const {
  std::vector<torch::Tensor> bandwidths;
  for (const LatentLayer& layer : propagators_) {
    bandwidths.push_back(layer->attention()->kernel()->Bandwidth());
  }
  return bandwidths;
}

absl::Status NacImpl::SetMediatorSignatures(const torch::Tensor& signatures) {
  torch::Tensor target = mediator_latents_->signatures.detach();
  if (signatures.sizes() != target.sizes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot set signatures: they do not fit the mediators; got=[",
                     absl::StrJoin(signatures.sizes(), ","), "] want=[",
                     absl::StrJoin(target.sizes(), ","), "]"));
  }
  if (!torch::isfinite(signatures).all().item<bool>()) {
    return absl::InvalidArgumentError("cannot set signatures: a value is not finite");
  }
  target.copy_(signatures.detach());
  return absl::OkStatus();
}

absl::StatusOr<Nac> CreateNac(const NacConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckNacConfig(config));
  return Nac(config);
}

}  // namespace distill::models
