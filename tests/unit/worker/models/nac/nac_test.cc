// What a NAC computes: read-in, links, noise, evaluation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/models/nac/nac_test_configs.h"
#include "worker/models/nac/nac_initialization.h"
#include "worker/models/nac/nac_network.h"
#include "worker/models/nac/nac_state.h"

namespace distill::models {
namespace {

using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

ForwardContext Context(bool training, uint64_t seed) {
  ForwardContext context;
  context.training = training;
  context.random = CounterRandom(seed);
  return context;
}

testing::AssertionResult Near(const torch::Tensor& got, const torch::Tensor& want,
                              double tolerance) {
  const double difference = (got - want).abs().max().item<double>();
  if (difference <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "difference=" << difference;
}

Nac MakeNac(const NacConfig& config, uint64_t seed = 1) {
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(seed));
  return nac;
}

torch::Tensor Pixels(int64_t batch) {
  return Variable({batch, 2, 12, 12}, 9).detach().to(torch::kFloat);
}

// The read-in as it is defined: keys and values of every pair of token and latent.
torch::Tensor NaiveReadInAttention(const torch::nn::Module& layer, const NacConfig& config,
                                   const torch::Tensor& states, const torch::Tensor& codes,
                                   const torch::Tensor& tokens) {
  const auto p = layer.named_parameters();
  const auto norm = [&](const std::string& name, const torch::Tensor& x) {
    return torch::layer_norm(x, {x.size(-1)}, p[name + ".weight"], p[name + ".bias"], 1e-5);
  };
  const auto mod_fc = [&](const std::string& name, const torch::Tensor& x) {
    const torch::Tensor raw = torch::mm(codes, p[name + ".scale.weight"].t());
    const torch::Tensor gamma =
        1.0 + p[name + ".scale_gain"] * torch::layer_norm(raw, {raw.size(1)}, {}, {}, 1e-5);
    const torch::Tensor* bias = p.find(name + ".native_bias");
    return torch::linear(x * gamma, p[name + ".native_weight"],
                         bias == nullptr ? torch::Tensor() : *bias);
  };
  const int64_t batch = states.size(0), latents = states.size(1), count = tokens.size(1);
  const std::vector<int64_t> split = {batch, count, latents, config.heads, config.head_dim};
  const torch::Tensor each =
      norm("sender_layernorm", tokens).unsqueeze(2).expand({-1, -1, latents, -1});
  const torch::Tensor k = mod_fc("key_compiler", each).view(split);
  const torch::Tensor v = mod_fc("value_compiler", each).view(split);
  const torch::Tensor q = mod_fc("query_compiler", norm("receiver_layernorm", states))
                              .view({batch, 1, latents, config.heads, config.head_dim});
  const torch::Tensor weights =
      torch::softmax((q * k).sum(-1) / std::sqrt(static_cast<double>(config.head_dim)), 1);
  const torch::Tensor messages = (weights.unsqueeze(-1) * v).sum(1).flatten(2);
  return states + p["layer_scale.gamma"] * mod_fc("exit_layer", messages);
}

TEST(ReadInTest, CheapFormEqualsTheDefinition) {
  for (const bool bias : {false, true}) {
    NacConfig config = SmallNac();
    config.qkv_bias = bias;
    for (const torch::ScalarType type : {torch::kDouble, torch::kFloat}) {
      ReadInAttention layer(config, TokenWidth(config));
      FillRandomly(*layer, type);
      const torch::Tensor states = Variable({2, 3, 8}, 1).to(type);
      const torch::Tensor codes = Variable({3, 6}, 2).to(type);
      const torch::Tensor tokens = Variable({2, 9, TokenWidth(config)}, 3).to(type);
      EXPECT_TRUE(Near(layer(states, codes, tokens),
                       NaiveReadInAttention(*layer, config, states, codes, tokens),
                       type == torch::kDouble ? 1e-12 : 1e-4));
    }
  }
}

TEST(MaskedAttentionTest, KernelAgreesWithOperators) {
  for (const int64_t senders : {1, 7, 80, 200}) {
    const torch::Tensor q = Variable({2, 5, 12}, 1).detach().to(torch::kFloat);
    const torch::Tensor k = Variable({2, senders, 12}, 2).detach().to(torch::kFloat);
    const torch::Tensor v = Variable({2, senders, 12}, 3).detach().to(torch::kFloat);
    for (const torch::Tensor& mask :
         {torch::Tensor(), Variable({5, senders}, 4).detach().to(torch::kFloat),
          Variable({2, 5, senders}, 4).detach().to(torch::kFloat)}) {
      EXPECT_TRUE(
          Near(MaskedAttention(q, k, v, mask, 3), MaskedAttentionPlain(q, k, v, mask, 3), 1e-5));
    }
  }
}

TEST(MaskedAttentionTest, RowsOfTheMaskMayBeShifted) {
  const torch::Tensor q = Variable({2, 3, 6}, 1), k = Variable({2, 5, 6}, 2);
  const torch::Tensor v = Variable({2, 5, 6}, 3), mask = Variable({3, 5}, 4);
  const torch::Tensor normal = mask - torch::logsumexp(mask, -1, /*keepdim=*/true);
  EXPECT_TRUE(Near(MaskedAttention(q, k, v, mask, 2), MaskedAttention(q, k, v, normal, 2), 1e-12));
}

TEST(MaskedAttentionTest, ReceiverWithoutSendersGetsZerosAndFiniteGradients) {
  for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
    std::vector<torch::Tensor> inputs;
    for (uint64_t i = 1; i <= 3; ++i) {
      inputs.push_back(Variable({2, 4, 6}, i).detach().to(type).requires_grad_());
    }
    torch::Tensor mask = torch::zeros({4, 4}, type);
    mask.select(0, 1).fill_(-kInfinity);
    mask.select(1, 2).fill_(-kInfinity);
    mask.requires_grad_();
    for (const torch::Tensor& used : {mask, mask.unsqueeze(0).expand({2, 4, 4})}) {
      const torch::Tensor out = MaskedAttention(inputs[0], inputs[1], inputs[2], used, 2);
      EXPECT_TRUE(torch::equal(out.select(1, 1), torch::zeros({2, 6}, type)));
      EXPECT_TRUE(torch::isfinite(out).all().item<bool>());
      Weighted(out).backward();
      for (const torch::Tensor& input : inputs) {
        EXPECT_TRUE(torch::isfinite(input.grad()).all().item<bool>());
        EXPECT_GT(input.grad().abs().max().item<double>(), 0.0);
      }
      EXPECT_TRUE(torch::isfinite(mask.grad()).all().item<bool>());
    }
  }
}

TEST(SignatureKernelTest, BandwidthStaysPositiveOrIsFree) {
  SignatureKernelImpl::Config config;
  SignatureKernel kernel(config);
  EXPECT_FLOAT_EQ(kernel->Bandwidth().item<float>(), 1.0F);
  kernel->bandwidth.data().fill_(0.2);
  EXPECT_NEAR(kernel->Bandwidth().item<float>(), 0.2, 1e-3);
  kernel->bandwidth.data().fill_(-0.5);
  EXPECT_GT(kernel->Bandwidth().item<float>(), 0.0F);
  config.bandwidth_form = BandwidthForm::kFree;
  SignatureKernel free(config);
  free->bandwidth.data().fill_(-0.5);
  EXPECT_EQ(free->Bandwidth().item<float>(), -0.5F);
}

// At temperature 0 the relaxed sample is a Bernoulli sample, whose mean is p.
TEST(SignatureKernelTest, MeanOfSamplesTendsToTheProbability) {
  SignatureKernelImpl::Config config;
  config.sample = true;
  config.temperature = 1e-3;
  SignatureKernel kernel(config);
  const torch::Tensor p = torch::tensor({{0.05, 0.3, 0.5}, {0.7, 0.9, 0.999}});
  constexpr int64_t kDraws = 20'000;
  const torch::Tensor mean = kernel->LogLinks(-p.log(), kDraws, Context(true, 3)).exp().mean(0);
  // Four standard deviations of the mean of kDraws Bernoulli variables.
  EXPECT_TRUE(Near(mean, p, 4.0 * 0.5 / std::sqrt(static_cast<double>(kDraws))));
}

TEST(SignatureKernelTest, CutLinksAreCutUnlessAsInTheReference) {
  SignatureKernelImpl::Config config;
  config.truncation = 0.9;
  config.sample = true;
  const torch::Tensor distances = torch::tensor({{0.0, 0.9, 0.91}, {1.5, 2.0, 0.5}});
  SignatureKernel kernel(config);
  const torch::Tensor cut = distances > 0.9;
  const torch::Tensor evaluated = kernel->LogLinks(distances, 4, Context(false, 1));
  EXPECT_EQ(evaluated.sizes(), distances.sizes());
  EXPECT_TRUE(torch::equal(evaluated == -kInfinity, cut));
  const torch::Tensor sampled = kernel->LogLinks(distances, 4, Context(true, 1));
  EXPECT_TRUE(torch::equal(sampled == -kInfinity, cut.expand({4, 2, 3})));
  config.cut_links = CutLinks::kReference;
  const torch::Tensor reference =
      SignatureKernel(config)->LogLinks(distances, 1000, Context(true, 1));
  const torch::Tensor tiny = reference.masked_select(cut);
  EXPECT_TRUE(torch::isfinite(reference).all().item<bool>());
  EXPECT_NEAR(tiny.mean().item<double>(), -31.9, 0.5);
  EXPECT_LT(tiny.max().item<double>(), -4.0);
  // Links that are there are drawn alike.
  EXPECT_TRUE(torch::equal(reference.narrow(0, 0, 4).masked_select(cut.logical_not()),
                           sampled.masked_select(cut.logical_not())));
}

TEST(NacTest, TrainingDrawsDependOnTheStepOnly) {
  const Nac nac = MakeNac(SmallNac());
  const NacNetwork network(nac);
  const torch::Tensor a = network.Forward(Pixels(4), Context(true, 5));
  EXPECT_TRUE(torch::equal(a, network.Forward(Pixels(4), Context(true, 5))));
  EXPECT_FALSE(torch::equal(a, network.Forward(Pixels(4), Context(true, 6))));
  // An image's draws do not depend on how many come after it.
  const torch::Tensor fewer = network.Forward(Pixels(4).narrow(0, 0, 2), Context(true, 5));
  EXPECT_TRUE(Near(fewer, a.narrow(0, 0, 2), 1e-5));
}

TEST(NacTest, EvaluationIsDeterministicUnlessAskedOtherwise) {
  NacConfig config = SmallNac();
  const NacNetwork plain(MakeNac(config));
  EXPECT_TRUE(torch::equal(plain.Forward(Pixels(3), Context(false, 1)),
                           plain.Forward(Pixels(3), Context(false, 2))));
  config.stochastic_evaluation = true;
  const NacNetwork stochastic(MakeNac(config));
  const torch::Tensor a = stochastic.Forward(Pixels(3), Context(false, 1));
  EXPECT_FALSE(torch::equal(a, stochastic.Forward(Pixels(3), Context(false, 2))));
  EXPECT_TRUE(torch::equal(a, stochastic.Forward(Pixels(3), Context(false, 1))));
}

TEST(NacTest, EachKindOfNoiseCanBeSwitchedOff) {
  NacConfig config = SmallNac();
  config.code_noise = 0.0;
  config.state_noise = false;
  config.sample_links = false;
  config.gumbel_pooling = false;
  const NacNetwork quiet(MakeNac(config));
  EXPECT_TRUE(torch::equal(quiet.Forward(Pixels(3), Context(true, 1)),
                           quiet.Forward(Pixels(3), Context(false, 2))));
  for (int i = 0; i < 5; ++i) {
    NacConfig one = config;
    if (i == 0) one.code_noise = 0.05;
    if (i == 1) one.state_noise = true;
    if (i == 2) one.sample_links = true;
    if (i == 3) one.gumbel_pooling = true;
    if (i == 4) one.drop_path = 0.5;
    const NacNetwork noisy(MakeNac(one));
    EXPECT_FALSE(torch::equal(noisy.Forward(Pixels(3), Context(true, 1)),
                              noisy.Forward(Pixels(3), Context(true, 2))))
        << i;
  }
}

TEST(NacTest, RegularisersReachSignaturesAndBandwidths) {
  NacConfig config = SmallNac();
  Nac nac = MakeNac(config);
  EXPECT_EQ(nac->Signatures().sizes(), torch::IntArrayRef({3 + 5 + 2, 4}));
  EXPECT_TRUE(torch::equal(nac->Signatures().narrow(0, 3, 5), nac->MediatorSignatures()));
  EXPECT_EQ(nac->Bandwidths().size(), 2U);
  (nac->Signatures().sum() + nac->Bandwidths()[1].sum()).backward();
  EXPECT_TRUE(torch::equal(nac->MediatorSignatures().grad(), torch::ones({5, 4})));
  const auto parameters = nac->named_parameters();
  EXPECT_TRUE(parameters["latent_graphs.0.propagators.1.latent_attention.kernel.bandwidth"]
                  .grad()
                  .defined());
}

TEST(NacTest, MediatorSignaturesCanBeSet) {
  Nac nac = MakeNac(SmallNac());
  const torch::Tensor fitted = Variable({5, 4}, 3).detach();
  EXPECT_THAT(nac->SetMediatorSignatures(fitted), IsOk());
  EXPECT_TRUE(torch::equal(nac->MediatorSignatures(), fitted.to(torch::kFloat)));
  EXPECT_THAT(nac->SetMediatorSignatures(torch::zeros({4, 4})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got=[4,4] want=[5,4]")));
  EXPECT_THAT(nac->SetMediatorSignatures(torch::full({5, 4}, NAN)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not finite")));
}

TEST(NacTest, InitialisationIsAFunctionOfKeyAndName) {
  const auto a = ExportState(MakeNac(SmallNac(), 7)), b = ExportState(MakeNac(SmallNac(), 7));
  const auto other = ToMap(ExportState(MakeNac(SmallNac(), 8)));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].tensor, b[i].tensor));
  const auto state = ToMap(a);
  const std::string weight = "latent_graphs.0.read_in.ffn.ffn.0.native_weight";
  EXPECT_FALSE(torch::equal(state.at(weight), other.at(weight)));
  const double bound = state.at(weight).abs().max().item<double>();
  EXPECT_LE(bound, 1.0 / std::sqrt(8.0));
  EXPECT_GT(bound, 0.9 / std::sqrt(8.0));
  const auto constant = [&](const std::string& name) {
    EXPECT_EQ(state.at(name).min().item<float>(), state.at(name).max().item<float>()) << name;
    return state.at(name).max().item<float>();
  };
  const std::string graph = "latent_graphs.0.";
  EXPECT_EQ(constant(graph + "latent_seeder.code_to_state_logvar.bias"), -5.0F);
  EXPECT_EQ(constant(graph + "read_in.read_in_attention.layer_scale.gamma"), 1.0F);
  EXPECT_EQ(constant(graph + "read_in.ffn.layer_scale.gamma"), 0.1F);
  EXPECT_EQ(constant(graph + "propagators.0.latent_attention.layer_scale.gamma"), 0.1F);
  EXPECT_EQ(constant(graph + "propagators.1.latent_attention.kernel.bandwidth"), 1.0F);
  EXPECT_EQ(constant(graph + "read_out.latent_attention.query_compiler.scale_gain"), 0.1F);
  EXPECT_EQ(constant("input_tokenizer.backbone.stages.0.0.gamma"), 1e-6F);
  EXPECT_EQ(constant("input_tokenizer.backbone.stages.0.0.dwconv.bias"), 0.0F);
  const auto deviation = [&](const std::string& name) {
    return state.at(name).std().item<double>();
  };
  EXPECT_NEAR(deviation(graph + "mediator_latents.codes_"), 1.0, 0.3);
  EXPECT_NEAR(deviation("input_tokenizer.positional_grid.grid"), 1.0, 0.3);
  EXPECT_NEAR(deviation("input_tokenizer.backbone.stages.1.0.dwconv.weight"), 0.02, 0.005);
}

TEST(NacTest, ReferenceReadInModuleStartsItsFeedForwardSmall) {
  NacModuleConfig config = SmallModule(NacModuleKind::kReadIn);
  for (const bool reference : {false, true}) {
    config.reference_read_in_scale = reference;
    const NacModule module = CreateNacModule(config).value();
    EXPECT_FLOAT_EQ(module->named_parameters()["read_in.ffn.layer_scale.gamma"].max().item<float>(),
                    reference ? 1e-6F : 0.1F);
  }
}

TEST(NacTest, ReadInModuleGivesOneToken) {
  NacModule module = CreateNacModule(SmallModule(NacModuleKind::kReadIn)).value();
  Initialize(module, CounterRandom(1));
  EXPECT_EQ(module(Pixels(3), ForwardContext()).sizes(), torch::IntArrayRef({3, 1, 12}));
}

TEST(NacTest, ConfidenceScorerOfTheReadOutModuleGetsNoGradient) {
  NacModule module = CreateNacModule(SmallModule(NacModuleKind::kReadOut)).value();
  FillRandomly(*module);
  Weighted(module(Variable({3, 5, 12}, 1).detach(), Context(true, 1))).backward();
  const auto parameters = module->named_parameters();
  EXPECT_EQ(parameters["tokenizer.confidence_scorer.weight"].grad().abs().max().item<double>(),
            0.0);
  EXPECT_GT(parameters["tokenizer.to_logits.weight"].grad().abs().max().item<double>(), 0.0);
}

TEST(NacTest, TokenizerTakesImagesThatDoNotFillTheGrid) {
  NacConfig config = SmallNac();
  config.image_size = 28;
  config.channels = 1;
  config.tokenizer_stem = 4;
  EXPECT_EQ(TokenSide(config), 3);
  config.tokenizer_stem = 2;
  EXPECT_EQ(TokenSide(config), 7);
  NacTrace trace;
  MakeNac(config)(torch::zeros({2, 1, 28, 28}), ForwardContext(), &trace);
  EXPECT_EQ(trace.tokens.sizes(), torch::IntArrayRef({2, 49, 4 + 3}));
}

TEST(NacTest, WrongImagesAreRefused) {
  const NacNetwork network(MakeNac(SmallNac()));
  EXPECT_THROW(network.Forward(torch::zeros({1, 2, 12, 11}), ForwardContext()), c10::Error);
}

}  // namespace
}  // namespace distill::models
