// A whole Neural Attentive Circuit: image to tokens, tokens to input latents, messages between
// latents over the graph of their signatures, output latents to logits.
//
// Parameter names are the reference's: input_tokenizer.*, latent_graphs.0.{input,mediator,output}_
// latents.{signatures_,codes_}, latent_graphs.0.{latent_seeder,read_in,propagators.<l>,read_out}.*,
// output_tokenizer.*. Shared layers have the names of layer 0.
//
// Legend: B batch, V tokens, I token width, U latents, C state width, S signature width.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/forward_context.h"
#include "worker/models/nac/latent_attention.h"
#include "worker/models/nac/latents.h"
#include "worker/models/nac/nac_config.h"
#include "worker/models/nac/read_in.h"
#include "worker/models/nac/tokenizer.h"

namespace distill::models {

// What passes through the network on the way, in this order.
struct NacTrace {
  torch::Tensor tokens;           // [B, V, I]
  torch::Tensor input_states;     // [B, U, C] after the read-in
  torch::Tensor mediator_states;  // [B, U, C] after the last layer
  torch::Tensor output_states;    // [B, U, C] after the read-out
};

// What is left of the stitches between two modules: x += drop_path(W_1 gelu(W_0 LN(x))), whose
// LayerNorm all pairs share.
class KeptStitchesImpl : public torch::nn::Module {
 public:
  KeptStitchesImpl(const NacConfig& config, torch::nn::Module* graph);
  // x [B, U, C] after module `index`.
  torch::Tensor forward(const torch::Tensor& x, int64_t index, const ForwardContext& context);

 private:
  const double drop_path_;
  LayerNorm norm_;
  std::vector<std::pair<Linear, Linear>> pairs_;
};
TORCH_MODULE(KeptStitches);

class NacImpl : public torch::nn::Module {
 public:
  // Requires a configuration that passes CheckNacConfig. Random parameters start at zero: see
  // nac_initialization.h.
  explicit NacImpl(const NacConfig& config);

  // Pixels [B, channels, image_size, image_size] to logits [B, classes]. Stores what `trace` asks
  // for unless it is null.
  torch::Tensor forward(const torch::Tensor& pixels, const ForwardContext& context,
                        NacTrace* trace = nullptr);

  // The two halves of forward(): pixels to pooled output states [B, C], and these to logits.
  torch::Tensor Features(const torch::Tensor& pixels, const ForwardContext& context,
                         NacTrace* trace = nullptr);
  torch::Tensor Classify(const torch::Tensor& features) {
    return output_tokenizer_->Classify(features);
  }

  const NacConfig& config() const { return config_; }

  // What regularisers look at; live, so that gradients reach the parameters.
  // Input, mediator and output latents, in this order: [U, S].
  torch::Tensor Signatures() const;
  // [U_mediators, S].
  torch::Tensor MediatorSignatures() const { return mediator_latents_->signatures; }
  // Effective bandwidth [] of each layer; with shared layers of the one there is.
  std::vector<torch::Tensor> Bandwidths() const;

  // Copies signatures [U_mediators, S], such as a graph prior's, converting their type.
  // Errors: kInvalidArgument when the shape is wrong or a value is not finite.
  absl::Status SetMediatorSignatures(const torch::Tensor& signatures);

 private:
  LatentStates Seed(const Latents& latents, int64_t batch, const ForwardContext& context);
  torch::Tensor PassMessages(const torch::Tensor& input_states, torch::Tensor mediator_states,
                             const ForwardContext& context);
  torch::Tensor ReadOut(const torch::Tensor& input_states, const torch::Tensor& mediator_states,
                        const torch::Tensor& output_states, const ForwardContext& context);
  // States and noisy codes of input latents and mediators together.
  LatentStates Senders(const torch::Tensor& input_states, const torch::Tensor& mediator_states,
                       const ForwardContext& context) const;

  const NacConfig config_;
  ImageTokenizer input_tokenizer_{nullptr};
  Latents input_latents_{nullptr}, mediator_latents_{nullptr}, output_latents_{nullptr};
  LatentSeeder latent_seeder_{nullptr};
  ReadIn read_in_{nullptr};
  std::vector<LatentLayer> propagators_;  // one when shared
  LatentLayer read_out_{nullptr};
  KeptStitches stitches_{nullptr};  // null without; its parameters are the graph's
  OutputPooling output_tokenizer_{nullptr};
};
TORCH_MODULE(Nac);

// Errors: kInvalidArgument naming the field of `config` that is wrong.
absl::StatusOr<Nac> CreateNac(const NacConfig& config);

}  // namespace distill::models
