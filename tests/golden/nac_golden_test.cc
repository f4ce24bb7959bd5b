// Neural Attentive Circuits against tensors of the reference implementation.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/golden/golden_data.h"
#include "tests/support/torch/fill_rule.h"
#include "worker/models/nac/latent_attention.h"
#include "worker/models/nac/mod_fc.h"
#include "worker/models/nac/nac.h"
#include "worker/models/nac/nac_state.h"
#include "worker/models/nac/read_in.h"
#include "worker/models/nac/signature_kernel.h"

namespace distill {
namespace {

using models::LatentLayerRole;
using models::NacConfig;
using models::NamedTensor;

// Where the values hold null, they are infinite: `infinity` says with which sign.
torch::Tensor Golden(const std::string& key, double infinity = 0.0) {
  static const nlohmann::json golden = ReadGolden("nac.json");
  const nlohmann::json& entry = golden.at(key);
  std::vector<double> values;
  for (const nlohmann::json& value : entry.at("data")) {
    values.push_back(value.is_null() ? infinity : value.get<double>());
  }
  return torch::tensor(values).view(entry.at("shape").get<std::vector<int64_t>>());
}

void Fill(const torch::nn::Module& module, double amplitude = 0.3) {
  std::vector<NamedTensor> parameters;
  for (const auto& entry : module.named_parameters()) {
    parameters.push_back({entry.key(), entry.value()});
  }
  FillByRule(parameters, amplitude);
}

// The configuration of the parts that are checked alone.
NacConfig PartConfig() {
  NacConfig config;
  config.state_dim = 8;
  config.code_dim = 4;
  config.heads = 2;
  config.head_dim = 3;
  config.ffn_capacity_factor = 1.5;
  return config;
}

torch::Tensor KernelSignatures() {
  return torch::tensor({{1.0, 0.0, 0.0, 0.0},
                        {0.8, 0.6, 0.0, 0.0},
                        {0.0, 1.0, 0.0, 0.0},
                        {-1.0, 0.2, 0.0, 0.5},
                        {0.1, 0.2, 0.9, 0.3}});
}

TEST(NacGoldenTest, ModFc) {
  models::ModFc layer(3, 2, 4, /*bias=*/true, /*scale_gain=*/0.1);
  Fill(*layer);
  layer->scale_gain.data().fill_(0.1);
  const torch::Tensor codes = SineInput({5, 4}, 0.9);
  const std::string key = "N1 ModFC in3 out2 ctx4|";
  EXPECT_TRUE(IsGolden(layer->Scale(codes), Golden(key + "scale vec")));
  EXPECT_TRUE(IsGolden(layer(SineInput({2, 5, 3}, 0.4), codes), Golden(key + "out")));
  EXPECT_TRUE(IsGolden(models::Geglu(SineInput({2, 6}, 0.5)), Golden(key + "GEGLU")));
}

TEST(NacGoldenTest, ReadInAttention) {
  models::ReadInAttention layer(PartConfig(), /*token_width=*/6);
  Fill(*layer);
  EXPECT_TRUE(
      IsGolden(layer(SineInput({2, 5, 8}, 0.2), SineInput({5, 4}, 0.9), SineInput({2, 7, 6}, 0.15)),
               Golden("N2 ReadInAttention input6 state8 code4 heads2 hd3|out")));
}

TEST(NacGoldenTest, KernelOfSignatures) {
  const torch::Tensor signatures = KernelSignatures();
  const torch::Tensor distances = models::CosineDistances(signatures, signatures);
  EXPECT_TRUE(IsGolden(distances, Golden("N3 kernel|distance")));
  models::SignatureKernelImpl::Config config;
  config.truncation = 0.9;
  const models::SignatureKernel kernel(config);
  const torch::Tensor log_p = kernel->LogProbabilities(distances);
  EXPECT_TRUE(IsGolden(log_p.exp(), Golden("N3 kernel|kernel (not log)")));
  // The reference normalises rows, which its softmax takes out again.
  const torch::Tensor rows = log_p.narrow(0, 0, 2);
  const torch::Tensor normal = rows - torch::logsumexp(rows, -1, /*keepdim=*/true);
  const torch::Tensor want =
      Golden("N3 kernel|log kernel eval normalized rows", -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(torch::equal(normal.isinf(), want.isinf()));
  EXPECT_TRUE(IsGolden(normal.exp(), want.exp()));
}

TEST(NacGoldenTest, RelaxedBernoulli) {
  const torch::Tensor log_p = torch::tensor({1.0, 0.7, 0.4, 0.0}).log();
  const torch::Tensor logits =
      models::RelaxedBernoulliLogits(log_p, torch::tensor({0.3, 0.5, 0.9, 0.2}), 0.5);
  EXPECT_TRUE(IsGolden(logits, Golden("N3 kernel|relaxed bernoulli logit")));
  EXPECT_TRUE(IsGolden(torch::sigmoid(logits), Golden("N3 kernel|sample")));
  EXPECT_TRUE(IsGolden(torch::log_sigmoid(logits), Golden("N3 kernel|log")));
}

TEST(NacGoldenTest, LatentAttention) {
  models::LatentAttention layer(PartConfig(), LatentLayerRole::kPropagator);
  Fill(*layer);
  layer->kernel()->bandwidth.data().fill_(1.0);
  const torch::Tensor signatures = KernelSignatures();
  const torch::Tensor out =
      layer(models::LatentStates{SineInput({2, 3, 8}, 0.2), SineInput({3, 4}, 0.9)},
            models::LatentStates{SineInput({2, 5, 8}, 0.25), SineInput({5, 4}, 0.6)},
            models::CosineDistances(signatures.narrow(0, 0, 3), signatures), false,
            models::ForwardContext());
  EXPECT_TRUE(IsGolden(
      out,
      Golden("N4 KernelModulatedLatentAttention state8 code4 heads2 hd3, share_ln, eval|out")));
}

TEST(NacGoldenTest, ModFfn) {
  models::ModFfn layer(PartConfig(), /*drop_path=*/0.0, /*layer_scale=*/0.1);
  Fill(*layer);
  EXPECT_TRUE(
      IsGolden(layer(SineInput({2, 3, 8}, 0.2), SineInput({3, 4}, 0.9), models::ForwardContext()),
               Golden("N5 ModFFN|out")));
}

TEST(NacGoldenTest, WholeNetwork) {
  NacConfig config;
  config.image_size = 16;
  config.channels = 3;
  config.classes = 5;
  config.state_dim = config.code_dim = 16;
  config.signature_dim = 4;
  config.input_latents = 2;
  config.mediator_latents = 3;
  config.output_latents = 2;
  config.layers = 2;
  config.heads = 2;
  config.head_dim = 8;
  config.ffn_capacity_factor = 1.0;
  config.grid_channels = 4;
  config.state_noise = false;
  config.gumbel_pooling = false;
  models::Nac nac = models::CreateNac(config).value();
  const std::vector<NamedTensor> state = ExportState(nac);
  EXPECT_EQ(state.size(), 156U);
  FillByRule(state, 0.3);
  for (const NamedTensor& parameter : state) {
    if (parameter.name.find(".bandwidth") != std::string::npos) parameter.tensor.fill_(1.0);
  }
  models::NacTrace trace;
  const torch::Tensor logits =
      nac(SineInput({2, 3, 16, 16}, 0.05), models::ForwardContext(), &trace);
  EXPECT_TRUE(IsGolden(trace.tokens, Golden("N6 full NAC|tokenized_inputs")));
  EXPECT_TRUE(IsGolden(trace.input_states, Golden("N6 full NAC|input_states")));
  EXPECT_TRUE(IsGolden(trace.mediator_states, Golden("N6 full NAC|mediator_states")));
  EXPECT_TRUE(IsGolden(trace.output_states, Golden("N6 full NAC|output_states")));
  EXPECT_TRUE(IsGolden(logits, Golden("N6 full NAC|outputs")));
}

}  // namespace
}  // namespace distill
