// Names, strict loading, and modules that become a whole NAC.
#include "worker/models/nac/nac_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/models/nac/nac_test_configs.h"
#include "worker/models/nac/nac_initialization.h"
#include "worker/models/nac/nac_network.h"

namespace distill::models {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> Names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

std::vector<std::string> WithPrefix(const std::string& prefix, std::vector<std::string> names) {
  for (std::string& name : names) name = prefix + name;
  return names;
}

// The parameters of a ModFC.
std::vector<std::string> ModFcNames(const std::string& name, bool bias) {
  std::vector<std::string> names = {name + ".native_weight", name + ".scale.weight",
                                    name + ".scale_gain"};
  if (bias) names.push_back(name + ".native_bias");
  return names;
}

void Append(const std::vector<std::string>& more, std::vector<std::string>* names) {
  names->insert(names->end(), more.begin(), more.end());
}

std::vector<std::string> FfnNames() {
  std::vector<std::string> names = {"ffn.layernorm.weight", "ffn.layernorm.bias",
                                    "ffn.layer_scale.gamma"};
  Append(ModFcNames("ffn.ffn.0", true), &names);
  Append(ModFcNames("ffn.ffn.2", true), &names);
  return names;
}

std::vector<std::string> AttentionNames(bool two_norms, bool kernel) {
  std::vector<std::string> names = {"receiver_layernorm.weight", "receiver_layernorm.bias",
                                    "layer_scale.gamma"};
  if (two_norms) Append({"sender_layernorm.weight", "sender_layernorm.bias"}, &names);
  if (kernel) names.push_back("kernel.bandwidth");
  for (const char* name : {"query_compiler", "key_compiler", "value_compiler"}) {
    Append(ModFcNames(name, false), &names);
  }
  Append(ModFcNames("exit_layer", true), &names);
  return names;
}

std::vector<std::string> TokenizerNames() {
  std::vector<std::string> names = {"positional_grid.grid"};
  for (const std::string& stage : {std::string("0"), std::string("1")}) {
    for (const char* part : {".0.weight", ".0.bias", ".1.weight", ".1.bias"}) {
      names.push_back("backbone.downsample_layers." + stage + part);
    }
    const std::string block = "backbone.stages." + stage + ".0.";
    names.push_back(block + "gamma");
    for (const char* part : {"dwconv", "norm", "pwconv1", "pwconv2"}) {
      Append({block + part + ".weight", block + part + ".bias"}, &names);
    }
  }
  return names;
}

std::vector<std::string> LayerNames(bool two_norms, bool kernel) {
  std::vector<std::string> names =
      WithPrefix("latent_attention.", AttentionNames(two_norms, kernel));
  Append(FfnNames(), &names);
  return names;
}

std::vector<std::string> LinearNames(const std::string& name) {
  return {name + ".weight", name + ".bias"};
}

TEST(NacStateTest, NamesAreTheReferences) {
  std::vector<std::string> want = WithPrefix("input_tokenizer.", TokenizerNames());
  std::vector<std::string> graph;
  for (const char* population : {"input", "mediator", "output"}) {
    Append({std::string(population) + "_latents.signatures_",
            std::string(population) + "_latents.codes_"},
           &graph);
  }
  for (const char* part : {"layernorm", "code_to_state_mu", "code_to_state_logvar"}) {
    Append(WithPrefix("latent_seeder.", LinearNames(part)), &graph);
  }
  Append(WithPrefix("read_in.read_in_attention.", AttentionNames(true, false)), &graph);
  Append(WithPrefix("read_in.", FfnNames()), &graph);
  Append(WithPrefix("propagators.0.", LayerNames(false, true)), &graph);
  Append(WithPrefix("propagators.1.", LayerNames(false, true)), &graph);
  Append(WithPrefix("read_out.", LayerNames(true, true)), &graph);
  Append(WithPrefix("latent_graphs.0.", graph), &want);
  Append(LinearNames("output_tokenizer.confidence_scorer"), &want);
  Append(LinearNames("output_tokenizer.to_logits"), &want);
  EXPECT_THAT(Names(ExportState(CreateNac(SmallNac()).value())),
              testing::UnorderedElementsAreArray(want));
}

TEST(NacStateTest, NamesOfModulesAreTheReferencesAndTheirCodesAndStates) {
  const auto names = [](NacModuleKind kind) {
    return Names(ExportState(CreateNacModule(SmallModule(kind)).value()));
  };
  std::vector<std::string> read_in = WithPrefix("tokenizer.", TokenizerNames());
  Append(WithPrefix("read_in.read_in_attention.", AttentionNames(true, false)), &read_in);
  Append(WithPrefix("read_in.", FfnNames()), &read_in);
  Append(LinearNames("post_stitch"), &read_in);
  Append({"codes", "states"}, &read_in);
  EXPECT_THAT(names(NacModuleKind::kReadIn), testing::UnorderedElementsAreArray(read_in));

  std::vector<std::string> mediator = LayerNames(false, false);
  Append(LinearNames("pre_stitch"), &mediator);
  Append(LinearNames("post_stitch"), &mediator);
  Append({"codes"}, &mediator);
  EXPECT_THAT(names(NacModuleKind::kMediator), testing::UnorderedElementsAreArray(mediator));

  std::vector<std::string> read_out = LayerNames(true, false);
  Append(LinearNames("pre_stitch"), &read_out);
  Append(LinearNames("tokenizer.confidence_scorer"), &read_out);
  Append(LinearNames("tokenizer.to_logits"), &read_out);
  Append({"codes", "states"}, &read_out);
  EXPECT_THAT(names(NacModuleKind::kReadOut), testing::UnorderedElementsAreArray(read_out));
}

TEST(NacStateTest, ConstantCodesAreNotTrained) {
  NacModuleConfig config = SmallModule(NacModuleKind::kMediator);
  EXPECT_THAT(Names(NacModuleNetwork(CreateNacModule(config).value()).Parameters()),
              Not(Contains("codes")));
  config.codes = ModuleCodes::kLearned;
  EXPECT_THAT(Names(NacModuleNetwork(CreateNacModule(config).value()).Parameters()),
              Contains("codes"));
}

// Values of `state` that no longer change with the network.
StateMap Copy(const std::vector<NamedTensor>& state) {
  StateMap copy;
  for (const NamedTensor& tensor : state) copy[tensor.name] = tensor.tensor.clone();
  return copy;
}

testing::AssertionResult Equal(const StateMap& a, const StateMap& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << " " << b.size();
  for (const auto& [name, tensor] : a) {
    if (b.count(name) == 0 || !torch::equal(tensor, b.at(name))) {
      return testing::AssertionFailure() << name;
    }
  }
  return testing::AssertionSuccess();
}

TEST(NacStateTest, ImportRestoresWhatWasExported) {
  Nac a = CreateNac(SmallNac()).value();
  Initialize(a, CounterRandom(1));
  NacNetwork b(CreateNac(SmallNac()).value());
  EXPECT_THAT(b.Import(Copy(ExportState(a)), {}), IsOk());
  EXPECT_TRUE(Equal(Copy(ExportState(a)), Copy(b.State())));
  const torch::Tensor pixels = Variable({2, 2, 12, 12}, 9).detach().to(torch::kFloat);
  EXPECT_TRUE(torch::equal(a(pixels, ForwardContext()), b.Forward(pixels, ForwardContext())));
}

TEST(NacStateTest, ImportListsEveryFaultAndChangesNothing) {
  NacNetwork network(CreateNac(SmallNac()).value());
  network.Initialize(CounterRandom(1));
  const StateMap before = Copy(network.State());
  StateMap state = Copy(network.State());
  state.erase("output_tokenizer.to_logits.bias");
  state["more"] = torch::zeros({1});
  state["latent_graphs.0.input_latents.codes_"] = torch::zeros({3, 7});
  state["latent_graphs.0.output_latents.codes_"].fill_(NAN);
  EXPECT_THAT(
      network.Import(state, {}),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          AllOf(HasSubstr("4 faults"), HasSubstr("missing output_tokenizer.to_logits.bias"),
                HasSubstr("unexpected more"),
                HasSubstr("shape of latent_graphs.0.input_latents.codes_ got=[3,7] want=[3,6]"),
                HasSubstr("not finite in latent_graphs.0.output_latents.codes_"))));
  EXPECT_TRUE(Equal(before, Copy(network.State())));
}

TEST(NacStateTest, FewShotTakesACheckpointWithoutClassifier) {
  NacNetwork network(CreateNac(SmallNac()).value());
  StateMap state = Copy(network.State());
  state.erase("output_tokenizer.to_logits.weight");
  state.erase("output_tokenizer.to_logits.bias");
  EXPECT_FALSE(network.Import(state, {}).ok());
  ImportOptions options;
  options.keep_head = true;
  EXPECT_THAT(network.Import(state, options), IsOk());
  EXPECT_TRUE(network.IsClassifier("output_tokenizer.to_logits.weight"));
  EXPECT_FALSE(network.IsClassifier("output_tokenizer.confidence_scorer.weight"));
}

// The reference's files hold neither, and a module does not run without.
TEST(NacStateTest, ModuleNeedsItsCodeAndState) {
  NacModuleNetwork network(CreateNacModule(SmallModule(NacModuleKind::kReadIn)).value());
  network.Initialize(CounterRandom(1));
  StateMap state = Copy(network.State());
  state.erase("codes");
  state.erase("states");
  EXPECT_THAT(network.Import(state, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  AllOf(HasSubstr("codes"), HasSubstr("states"))));
}

// The modules of `config`, all differently initialised.
std::vector<StateMap> Modules(const NacConfig& config, ModuleCodes codes = ModuleCodes::kConstant) {
  std::vector<StateMap> modules;
  for (int64_t i = 0; i < config.layers + 2; ++i) {
    NacModuleConfig module;
    module.nac = config;
    module.kind = NacModuleKindAt(config, i);
    module.stitch_width = 12;
    module.codes = codes;
    NacModuleNetwork network(CreateNacModule(module).value());
    network.Initialize(CounterRandom(100 + static_cast<uint64_t>(i)));
    modules.push_back(Copy(network.State()));
  }
  return modules;
}

TEST(NacTransferTest, WeightsOfModulesArriveAndTheRestStays) {
  const NacConfig config = SmallNac();
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(1));
  const StateMap before = Copy(ExportState(nac));
  const std::vector<StateMap> modules = Modules(config);
  const auto report = TransferModules(modules, {}, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  const StateMap after = ToMap(ExportState(nac));

  const auto arrived = [&](size_t module, const std::string& from, const std::string& to) {
    return torch::equal(modules[module].at(from), after.at(to));
  };
  EXPECT_TRUE(arrived(0, "tokenizer.positional_grid.grid", "input_tokenizer.positional_grid.grid"));
  EXPECT_TRUE(arrived(0, "read_in.ffn.ffn.0.native_weight",
                      "latent_graphs.0.read_in.ffn.ffn.0.native_weight"));
  EXPECT_TRUE(arrived(2, "latent_attention.key_compiler.native_weight",
                      "latent_graphs.0.propagators.1.latent_attention.key_compiler.native_weight"));
  EXPECT_TRUE(arrived(3, "latent_attention.sender_layernorm.weight",
                      "latent_graphs.0.read_out.latent_attention.sender_layernorm.weight"));
  EXPECT_TRUE(arrived(3, "tokenizer.to_logits.weight", "output_tokenizer.to_logits.weight"));

  // Every tensor is in exactly one list, and lists tell the truth.
  EXPECT_EQ(report->transferred.size() + report->kept.size(), after.size());
  for (const std::string& name : report->kept) {
    EXPECT_TRUE(torch::equal(before.at(name), after.at(name))) << name;
    EXPECT_TRUE(name.find("_latents.") != std::string::npos ||
                name.find("latent_seeder.") != std::string::npos ||
                name.find("bandwidth") != std::string::npos)
        << name;
  }
  EXPECT_THAT(
      report->unused,
      testing::UnorderedElementsAre(
          "0:codes", "0:states", "0:post_stitch.weight", "0:post_stitch.bias", "1:codes",
          "1:pre_stitch.weight", "1:pre_stitch.bias", "1:post_stitch.weight", "1:post_stitch.bias",
          "2:codes", "2:pre_stitch.weight", "2:pre_stitch.bias", "2:post_stitch.weight",
          "2:post_stitch.bias", "3:codes", "3:states", "3:pre_stitch.weight", "3:pre_stitch.bias"));
}

TEST(NacTransferTest, GridAndPoolingMayStay) {
  const NacConfig config = SmallNac();
  NacConfig other = config;
  other.image_size = 20;  // another grid
  other.classes = 7;
  Nac nac = CreateNac(config).value();
  NacTransferOptions options;
  EXPECT_THAT(TransferModules(Modules(other), options, CounterRandom(2), nac),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("positional_grid.grid"), HasSubstr("to_logits"))));
  options.keep_grid_and_pooling = true;
  const auto report = TransferModules(Modules(other), options, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  EXPECT_THAT(report->kept, AllOf(Contains("input_tokenizer.positional_grid.grid"),
                                  Contains("output_tokenizer.to_logits.weight")));
  EXPECT_THAT(report->unused, AllOf(Contains("0:tokenizer.positional_grid.grid"),
                                    Contains("3:tokenizer.confidence_scorer.bias")));
}

TEST(NacTransferTest, StitchesMayBeKept) {
  NacConfig config = SmallNac();
  config.kept_stitch_width = 12;
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(1));
  const std::vector<StateMap> modules = Modules(config);
  const auto report = TransferModules(modules, {}, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  const StateMap after = ToMap(ExportState(nac));
  for (size_t i = 0; i < 3; ++i) {
    const std::string pair = "latent_graphs.0.stitch_pairs." + std::to_string(i);
    EXPECT_TRUE(torch::equal(after.at(pair + ".0.weight"), modules[i].at("post_stitch.weight")));
    EXPECT_TRUE(torch::equal(after.at(pair + ".1.bias"), modules[i + 1].at("pre_stitch.bias")));
  }
  EXPECT_THAT(report->kept, Contains("latent_graphs.0.stitch_norm.weight"));
}

TEST(NacTransferTest, CodesMayBeTransferred) {
  const NacConfig config = SmallNac();
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(1));
  const std::vector<StateMap> modules = Modules(config, ModuleCodes::kTransferred);
  NacTransferOptions options;
  options.codes = ModuleCodes::kTransferred;
  const auto report = TransferModules(modules, options, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  const StateMap after = ToMap(ExportState(nac));
  const auto distance = [&](const std::string& population, const torch::Tensor& centre) {
    const torch::Tensor codes = after.at("latent_graphs.0." + population + "_latents.codes_");
    EXPECT_GT((codes - centre).abs().min().item<double>(), 0.0);
    return (codes - centre).abs().max().item<double>();
  };
  EXPECT_LT(distance("input", modules[0].at("codes")), 0.5);
  EXPECT_LT(distance("mediator", (modules[1].at("codes") + modules[2].at("codes")) / 2.0), 0.5);
  EXPECT_LT(distance("output", modules[3].at("codes")), 0.5);
  EXPECT_THAT(report->transferred, Contains("latent_graphs.0.mediator_latents.codes_"));
  EXPECT_THAT(report->unused, Not(Contains("0:codes")));

  std::vector<StateMap> without = modules;
  without[1].erase("codes");
  EXPECT_THAT(TransferModules(without, options, CounterRandom(2), nac),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing 1:codes")));
}

TEST(NacTransferTest, ASharedLayerIsTheMeanOfTheMediators) {
  NacConfig config = SmallNac();
  config.layers = 3;
  const std::vector<StateMap> modules = Modules(config);
  config.share_layers = true;
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(1));
  NacTransferOptions options;
  options.codes = ModuleCodes::kConstant;
  const auto report = TransferModules(modules, options, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  const StateMap after = ToMap(ExportState(nac));
  for (const std::string name :
       {"ffn.ffn.2.native_weight", "latent_attention.key_compiler.scale_gain"}) {
    const torch::Tensor mean =
        (modules[1].at(name).to(torch::kDouble) + modules[2].at(name).to(torch::kDouble) +
         modules[3].at(name).to(torch::kDouble)) /
        3.0;
    EXPECT_TRUE(
        torch::equal(after.at("latent_graphs.0.propagators.0." + name), mean.to(torch::kFloat)))
        << name;
  }
  EXPECT_THAT(report->unused, Not(Contains("2:ffn.ffn.2.native_weight")));

  std::vector<StateMap> faulty = modules;
  faulty[2].erase("ffn.layernorm.bias");
  faulty[3]["ffn.layernorm.weight"] = torch::ones({7});
  EXPECT_THAT(
      TransferModules(faulty, options, CounterRandom(2), nac),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("missing latent_graphs.0.propagators.0.ffn.layernorm.bias in 1 of"),
                     HasSubstr("several shapes of latent_graphs.0.propagators.0.ffn"))));
}

// The mean of equal modules is that module, to the bit: what a layer does, it does as each did.
TEST(NacTransferTest, TheMeanOfEqualMediatorsIsEachOfThem) {
  NacConfig config = SmallNac();
  std::vector<StateMap> modules = Modules(config);
  modules[2] = modules[1];
  config.share_layers = true;
  Nac nac = CreateNac(config).value();
  ASSERT_THAT(TransferModules(modules, {}, CounterRandom(2), nac), IsOk());
  const StateMap after = ToMap(ExportState(nac));
  for (const auto& [name, tensor] : modules[1]) {
    const auto found = after.find("latent_graphs.0.propagators.0." + name);
    if (found != after.end()) EXPECT_TRUE(torch::equal(found->second, tensor)) << name;
  }
}

TEST(NacTransferTest, ASharedLayerMayBeTheFirstMediator) {
  NacConfig config = SmallNac();
  const std::vector<StateMap> modules = Modules(config);
  config.share_layers = true;
  Nac nac = CreateNac(config).value();
  NacTransferOptions options;
  options.shared_layer = SharedLayer::kFirst;
  const auto report = TransferModules(modules, options, CounterRandom(2), nac);
  ASSERT_THAT(report, IsOk());
  EXPECT_TRUE(torch::equal(
      modules[1].at("ffn.ffn.2.native_weight"),
      ToMap(ExportState(nac)).at("latent_graphs.0.propagators.0.ffn.ffn.2.native_weight")));
  EXPECT_THAT(report->unused, Contains("2:ffn.ffn.2.native_weight"));
}

TEST(NacTransferTest, FaultsAreListedAndNothingChanges) {
  const NacConfig config = SmallNac();
  Nac nac = CreateNac(config).value();
  Initialize(nac, CounterRandom(1));
  const StateMap before = Copy(ExportState(nac));
  std::vector<StateMap> modules = Modules(config);
  modules[0]["more"] = torch::zeros({1});
  modules[1]["tokenizer.to_logits.weight"] = torch::zeros({1});
  EXPECT_THAT(TransferModules(modules, {}, CounterRandom(2), nac),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("unexpected 0:more"),
                             HasSubstr("unexpected 1:tokenizer.to_logits.weight"))));
  modules = Modules(config);
  modules[2].erase("ffn.layernorm.bias");
  EXPECT_THAT(TransferModules(modules, {}, CounterRandom(2), nac),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("missing latent_graphs.0.propagators.1.ffn.layernorm.bias")));
  modules.pop_back();
  EXPECT_THAT(TransferModules(modules, {}, CounterRandom(2), nac),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("modules=3 layers=2")));
  EXPECT_TRUE(Equal(before, Copy(ExportState(nac))));
}

}  // namespace
}  // namespace distill::models
