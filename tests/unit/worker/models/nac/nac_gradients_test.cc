// Gradients of every part of a NAC against central differences in float64.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/torch/gradient_check.h"
#include "tests/unit/worker/models/nac/nac_test_configs.h"
#include "worker/models/hybrid.h"
#include "worker/models/nac/nac_initialization.h"
#include "worker/models/nac/nac_network.h"

namespace distill::models {
namespace {

// Weights of whole networks: with larger ones differences are not exact enough.
constexpr double kDeepSize = 0.5;

std::vector<torch::Tensor> With(std::vector<torch::Tensor> variables,
                                const std::vector<torch::Tensor>& more) {
  variables.insert(variables.end(), more.begin(), more.end());
  return variables;
}

ForwardContext Training(uint64_t seed) {
  ForwardContext context;
  context.training = true;
  context.random = CounterRandom(seed);
  return context;
}

TEST(NacGradientTest, ModFc) {
  ModFc layer(5, 4, 3, /*bias=*/true, 0.1);
  FillRandomly(*layer);
  const torch::Tensor x = Variable({2, 6, 5}, 1), codes = Variable({6, 3}, 2);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(layer(x, codes)); },
                             With(layer->parameters(), {x, codes})));
  const torch::Tensor one = Variable({1, 3}, 2);
  EXPECT_TRUE(
      GradientsAgree([&] { return Weighted(layer(x, one)); }, With(layer->parameters(), {x, one})));
}

TEST(NacGradientTest, Geglu) {
  for (const int64_t half : {3, 16, 37}) {
    const torch::Tensor x = Variable({2, 3, 2 * half}, 1);
    EXPECT_TRUE(GradientsAgree([&] { return Weighted(Geglu(x)); }, {x}, 200));
  }
}

TEST(NacGradientTest, ModFfn) {
  ModFfn layer(SmallNac(), 0.0, 0.1);
  FillRandomly(*layer);
  const torch::Tensor x = Variable({2, 3, 8}, 1), codes = Variable({3, 6}, 2);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(layer(x, codes, ForwardContext())); },
                             With(layer->parameters(), {x, codes}), 12));
}

TEST(NacGradientTest, ModFfnWithoutGegluWithDropPath) {
  NacConfig config = SmallNac();
  config.geglu = false;
  ModFfn layer(config, 0.4, 0.1);
  FillRandomly(*layer);
  const torch::Tensor x = Variable({4, 3, 8}, 1), codes = Variable({3, 6}, 2);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(layer(x, codes, Training(3))); },
                             With(layer->parameters(), {x, codes}), 12));
}

TEST(NacGradientTest, DepthwiseConvolution) {
  for (const int64_t channels : {3, 8, 19}) {
    const torch::Tensor x = Variable({2, 5, 5, channels}, 1);
    const torch::Tensor weight = Variable({channels, 1, 7, 7}, 2), bias = Variable({channels}, 3);
    EXPECT_TRUE(GradientsAgree([&] { return Weighted(DepthwiseConvolution(x, weight, bias)); },
                               {x, weight, bias}, 60));
  }
}

TEST(NacGradientTest, Tokenizer) {
  ImageTokenizer tokenizer(SmallNac());
  FillRandomly(*tokenizer);
  const torch::Tensor pixels = Variable({2, 2, 12, 12}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(tokenizer(pixels)); },
                             With(tokenizer->parameters(), {pixels}), 8));
}

TEST(NacGradientTest, ReadIn) {
  NacConfig config = SmallNac();
  config.qkv_bias = true;
  ReadIn layer(config, 0.1);
  FillRandomly(*layer);
  const torch::Tensor states = Variable({2, 3, 8}, 1), codes = Variable({3, 6}, 2);
  const torch::Tensor tokens = Variable({2, 9, TokenWidth(config)}, 3);
  EXPECT_TRUE(
      GradientsAgree([&] { return Weighted(layer(states, codes, tokens, ForwardContext())); },
                     With(layer->parameters(), {states, codes, tokens}), 12));
}

TEST(NacGradientTest, MaskedAttention) {
  const torch::Tensor q = Variable({2, 4, 6}, 1), k = Variable({2, 7, 6}, 2);
  const torch::Tensor v = Variable({2, 7, 6}, 3);
  const torch::Tensor shared = Variable({4, 7}, 4), each = Variable({2, 4, 7}, 5);
  const auto loss = [&](const torch::Tensor& mask) {
    return Weighted(MaskedAttention(q, k, v, mask, 2));
  };
  EXPECT_TRUE(GradientsAgree([&] { return loss(torch::Tensor()); }, {q, k, v}, 100));
  EXPECT_TRUE(GradientsAgree([&] { return loss(shared); }, {q, k, v, shared}, 100));
  EXPECT_TRUE(GradientsAgree([&] { return loss(each); }, {q, k, v, each}, 100));
}

TEST(NacGradientTest, LinksThatAreSampled) {
  SignatureKernelImpl::Config config;
  config.truncation = 0.9;
  config.sample = true;
  for (const CutLinks cut : {CutLinks::kRemoved, CutLinks::kReference}) {
    config.cut_links = cut;
    SignatureKernel kernel(config);
    kernel->to(torch::kDouble);
    const torch::Tensor distances = (Variable({4, 6}, 1).detach().abs() + 0.01).requires_grad_();
    const auto loss = [&] {
      return Weighted(kernel->LogLinks(distances, 3, Training(5)).exp().clamp_min(1e-9));
    };
    EXPECT_TRUE(GradientsAgree(loss, {distances, kernel->bandwidth}));
  }
}

TEST(NacGradientTest, LayersOfEveryRole) {
  for (const LatentLayerRole role :
       {LatentLayerRole::kPropagator, LatentLayerRole::kReadOut, LatentLayerRole::kMediatorModule,
        LatentLayerRole::kReadOutModule}) {
    NacConfig config = SmallNac();
    config.truncation = 1.1;
    config.drop_path = 0.3;
    LatentLayer layer(config, role);
    FillRandomly(*layer);
    const LatentStates receivers = {Variable({2, 3, 8}, 1), Variable({3, 6}, 2)};
    const LatentStates senders = {Variable({2, 5, 8}, 3), Variable({5, 6}, 4)};
    const torch::Tensor from = Variable({3, 4}, 5), to = Variable({5, 4}, 6);
    const auto loss = [&] {
      return Weighted(layer(receivers, senders, CosineDistances(from, to), false, Training(7)));
    };
    std::vector<torch::Tensor> variables =
        With(layer->parameters(), {receivers.states, senders.states, senders.codes});
    variables.push_back(receivers.codes);
    variables.push_back(from);
    variables.push_back(to);
    EXPECT_TRUE(GradientsAgree(loss, variables, 8)) << "role " << static_cast<int>(role);
  }
}

TEST(NacGradientTest, WholeNetworkInTraining) {
  NacConfig config = SmallNac();
  config.drop_path = 0.3;
  config.kept_stitch_width = 7;
  config.truncation = 1.2;
  // The noise on codes is treated as a constant, which differences would not do.
  config.code_noise = 0.0;
  Nac nac = CreateNac(config).value();
  FillRandomly(*nac, torch::kDouble, kDeepSize);
  const torch::Tensor pixels = Variable({2, 2, 12, 12}, 1).detach();
  EXPECT_TRUE(
      GradientsAgree([&] { return Weighted(nac(pixels, Training(3))); }, nac->parameters(), 3));
}

TEST(NacGradientTest, WholeNetworkWithSharedLayers) {
  NacConfig config = SmallNac();
  config.share_layers = true;
  config.bandwidth_form = BandwidthForm::kFree;
  Nac nac = CreateNac(config).value();
  FillRandomly(*nac, torch::kDouble, kDeepSize);
  const torch::Tensor pixels = Variable({2, 2, 12, 12}, 1).detach();
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(nac(pixels, ForwardContext())); },
                             nac->parameters(), 3));
}

class NacModuleGradientTest : public testing::TestWithParam<NacModuleKind> {};

TEST_P(NacModuleGradientTest, ModuleAlone) {
  NacModuleConfig config = SmallModule(GetParam());
  config.codes = ModuleCodes::kLearned;
  config.nac.drop_path = 0.3;
  NacModule module = CreateNacModule(config).value();
  FillRandomly(*module);
  const torch::Tensor input =
      GetParam() == NacModuleKind::kReadIn ? Variable({2, 2, 12, 12}, 1) : Variable({2, 5, 12}, 1);
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(module(input, Training(3))); },
                             With(module->parameters(), {input}), 8));
}

TEST_P(NacModuleGradientTest, ModuleInsideFrozenMeta) {
  VitConfig vit;
  vit.image_size = 12;
  vit.channels = 2;
  vit.patch_size = 4;
  vit.embed_dim = 12;
  vit.heads = 2;
  vit.classes = 5;
  vit.stage_depths = {1, 1, 1};
  const StagedModel meta = StagedModel::Create(vit).value();
  Initialize(meta, CounterRandom(1), ExpertInitialization::kPerMatrix);
  for (VitStage stage : meta.stages()) stage->to(torch::kDouble);
  Freeze(meta);
  const NacModuleNetwork module(CreateNacModule(SmallModule(GetParam())).value());
  NacModule holder = module.module();
  FillRandomly(*holder);
  const int64_t index = static_cast<int64_t>(GetParam());  // kinds are in the order of the modules
  const torch::Tensor pixels = Variable({2, 2, 12, 12}, 1).detach();
  const torch::Tensor prefix = PrefixOutput(meta, index, pixels, {});
  const auto logits = [&] { return HybridLogits(meta, index, module, prefix, {}); };
  EXPECT_EQ(logits().sizes(), torch::IntArrayRef({2, 5}));
  EXPECT_TRUE(GradientsAgree([&] { return Weighted(logits()); }, holder->parameters(), 4));
}

INSTANTIATE_TEST_SUITE_P(Kinds, NacModuleGradientTest,
                         testing::Values(NacModuleKind::kReadIn, NacModuleKind::kMediator,
                                         NacModuleKind::kReadOut));

}  // namespace
}  // namespace distill::models
