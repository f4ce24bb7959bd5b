// Modules of a NAC alone.
#include "worker/models/nac/nac_module.h"

#include "base/status_macros.h"

namespace distill::models {
namespace {

// Places of random numbers within a module.
enum Place : int64_t { kLayer, kPooling };

constexpr double kReferenceReadInScale = 1e-6;

}  // namespace

NacModuleImpl::NacModuleImpl(const NacModuleConfig& config) : config_(config) {
  const NacConfig& nac = config.nac;
  const torch::Tensor codes = torch::zeros({1, nac.code_dim});
  codes_ = config.codes == ModuleCodes::kConstant ? register_buffer("codes", codes)
                                                  : register_parameter("codes", codes);
  if (config.kind != NacModuleKind::kMediator) {
    states_ = register_buffer("states", torch::zeros({1, nac.state_dim}));
  }
  if (config.kind == NacModuleKind::kReadIn) {
    tokenizer_ = register_module("tokenizer", ImageTokenizer(nac));
    read_in_ = register_module(
        "read_in",
        ReadIn(nac, config.reference_read_in_scale ? kReferenceReadInScale : nac.layer_scale));
  } else {
    const bool is_mediator = config.kind == NacModuleKind::kMediator;
    pre_stitch_ = register_module("pre_stitch", Linear(config.stitch_width, nac.state_dim));
    layer_ = LatentLayer(
        nac, is_mediator ? LatentLayerRole::kMediatorModule : LatentLayerRole::kReadOutModule);
    register_module("latent_attention", layer_->attention());
    register_module("ffn", layer_->ffn());
  }
  if (config.kind == NacModuleKind::kReadOut) {
    pooling_ = register_module("tokenizer", OutputPooling(nac));
  } else {
    post_stitch_ = register_module("post_stitch", Linear(nac.state_dim, config.stitch_width));
  }
}

torch::Tensor NacModuleImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  switch (config_.kind) {
    case NacModuleKind::kReadIn:
      return ReadImage(x, context);
    case NacModuleKind::kMediator:
      return Mediate(x, context);
    case NacModuleKind::kReadOut:
      return Classify(x, context);
  }
  return {};
}

torch::Tensor NacModuleImpl::ReadImage(const torch::Tensor& pixels, const ForwardContext& context) {
  const torch::Tensor tokens = tokenizer_(pixels);
  const torch::Tensor states = states_.unsqueeze(0).expand({pixels.size(0), -1, -1});
  return post_stitch_(read_in_(states, codes_, tokens, context.At(kLayer)));
}

torch::Tensor NacModuleImpl::Mediate(const torch::Tensor& x, const ForwardContext& context) {
  const LatentStates tokens = {pre_stitch_(x), codes_};
  return post_stitch_(
      layer_(tokens, tokens, torch::Tensor(), /*receivers_end_senders=*/true, context.At(kLayer)));
}

torch::Tensor NacModuleImpl::Classify(const torch::Tensor& x, const ForwardContext& context) {
  const LatentStates senders = {pre_stitch_(x), codes_};
  const LatentStates receiver = {states_.unsqueeze(0).expand({x.size(0), -1, -1}), codes_};
  const torch::Tensor states = layer_(receiver, senders, torch::Tensor(),
                                      /*receivers_end_senders=*/false, context.At(kLayer));
  return pooling_(states, context.At(kPooling));
}

absl::StatusOr<NacModule> CreateNacModule(const NacModuleConfig& config) {
  DISTILL_RETURN_IF_ERROR(CheckNacModuleConfig(config));
  return NacModule(config);
}

}  // namespace distill::models
