// One module of a NAC alone, as it is distilled between stages of another model.
//
//   read-in    pixels -> tokenizer -> read-in of one latent -> post_stitch      [B, 1, W]
//   mediator   tokens [B, T, W] -> pre_stitch -> attention among the tokens, all under one code ->
//              feed-forward network -> post_stitch                              [B, T, W]
//   read-out   tokens [B, T, W] -> pre_stitch -> one latent attends to them -> feed-forward network
//              -> pooling                                                       [B, classes]
//
// There are no signatures, no links, no noise on codes and no seeder. Stitches are plain Linear
// layers. Parameter names are the reference's: tokenizer.*, read_in.*, latent_attention.*, ffn.*,
// pre_stitch.*, post_stitch.*. The module's code [1, K] and the state [1, C] that its latent starts
// from are `codes` and, without mediators, `states`; the reference draws them anew in every process
// and keeps them nowhere, we keep them with the weights.
//
// Legend: B batch, T tokens, W stitch width, C state width, K code width.
#pragma once

#include <torch/torch.h>

#include "absl/status/statusor.h"
#include "worker/models/forward_context.h"
#include "worker/models/nac/latent_attention.h"
#include "worker/models/nac/latents.h"
#include "worker/models/nac/nac_config.h"
#include "worker/models/nac/read_in.h"
#include "worker/models/nac/tokenizer.h"

namespace distill::models {

class NacModuleImpl : public torch::nn::Module {
 public:
  // Requires a configuration that passes CheckNacModuleConfig. Random parameters start at zero: see
  // nac_initialization.h.
  explicit NacModuleImpl(const NacModuleConfig& config);

  // As the picture above says.
  torch::Tensor forward(const torch::Tensor& x, const ForwardContext& context);

  const NacModuleConfig& config() const { return config_; }

 private:
  torch::Tensor ReadImage(const torch::Tensor& pixels, const ForwardContext& context);
  torch::Tensor Mediate(const torch::Tensor& x, const ForwardContext& context);
  torch::Tensor Classify(const torch::Tensor& x, const ForwardContext& context);

  const NacModuleConfig config_;
  torch::Tensor codes_;                // [1, K]; a parameter unless constant, then a buffer
  torch::Tensor states_;               // [1, C], a buffer; undefined in mediators
  Linear pre_stitch_{nullptr};         // null in the read-in
  ImageTokenizer tokenizer_{nullptr};  // read-in only
  ReadIn read_in_{nullptr};            // read-in only
  LatentLayer layer_{nullptr};         // null in the read-in; its parts are registered, not itself
  OutputPooling pooling_{nullptr};     // read-out only; registered as the tokenizer
  Linear post_stitch_{nullptr};        // null in the read-out
};
TORCH_MODULE(NacModule);

// Errors: kInvalidArgument naming the field of `config` that is wrong.
absl::StatusOr<NacModule> CreateNacModule(const NacModuleConfig& config);

}  // namespace distill::models
