// Parameter counts of the published networks and modules, exact, and the formulas behind them.
//
//   ModFC(i, o)      i o + i K + 1 (+ o with bias), K code width
//   ffn              2 C + ModFC(C, 2 H) + ModFC(H, C) + C, both with bias, H = round(capacity C)
//   attention(i)     ModFC(C, A) + 2 ModFC(i, A) + ModFC(A, C) with bias + C, A = heads head_dim
//   read-in          2 C + 2 I + attention(I) + ffn, I = C / 2 + grid channels (two stages)
//   propagator       2 C + attention(C) + ffn + 1 bandwidth
//   read-out         the same + 2 C
//   seeder           2 K + 2 (K C + C)
//   output head      C classes + classes + C + 1
//   latents          U (K + S) per population
//   tokenizer        stem (channels stem^2 + 1) w_0 + 2 w_0; per further stage 2 w_(s-1) + (4
//   w_(s-1)
//                    + 1) w_s; per block 8 w^2 + 58 w; grid channels side^2
//   stitch           (i + 1) o
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <string>

#include "tests/unit/worker/models/nac/nac_test_configs.h"
#include "worker/models/nac/nac_network.h"

namespace distill::models {
namespace {

NacConfig TinyImageNet() {
  NacConfig config;
  config.image_size = 64;
  config.channels = 3;
  config.classes = 200;
  config.state_dim = config.code_dim = 384;
  config.input_latents = 64;
  config.mediator_latents = 256;
  config.output_latents = 64;
  config.layers = 8;
  config.heads = 6;
  config.head_dim = 64;
  config.ffn_capacity_factor = 2.0;
  config.tokenizer_depths = {3, 3};
  return config;
}

NacConfig ImageNet() {
  NacConfig config = TinyImageNet();
  config.image_size = 224;
  config.classes = 1000;
  config.state_dim = config.code_dim = 512;
  config.input_latents = 192;
  config.mediator_latents = 768;
  config.heads = 8;
  config.ffn_capacity_factor = 1.0;
  return config;
}

// Numbers of parameters by part; propagators by layer.
std::map<std::string, int64_t> Breakdown(const NacConfig& config) {
  const NacNetwork network(CreateNac(config).value());
  std::map<std::string, int64_t> counts;
  for (const NamedTensor& parameter : network.Parameters()) {
    std::string part = parameter.name;
    if (part.rfind("latent_graphs.0.", 0) == 0) part = part.substr(16);
    const size_t length = part.rfind("propagators.", 0) == 0 ? part.find('.', 12) : part.find('.');
    counts[part.substr(0, length)] += parameter.tensor.numel();
    counts["all"] += parameter.tensor.numel();
  }
  return counts;
}

std::map<std::string, int64_t> Parts(int64_t all, int64_t tokenizer, int64_t read_in,
                                     int64_t propagator, int64_t read_out, int64_t seeder,
                                     int64_t head, int64_t input, int64_t mediators,
                                     int64_t output) {
  std::map<std::string, int64_t> parts = {{"all", all},
                                          {"input_tokenizer", tokenizer},
                                          {"read_in", read_in},
                                          {"read_out", read_out},
                                          {"latent_seeder", seeder},
                                          {"output_tokenizer", head},
                                          {"input_latents", input},
                                          {"mediator_latents", mediators},
                                          {"output_latents", output}};
  for (int l = 0; l < 8; ++l) parts["propagators." + std::to_string(l)] = propagator;
  return parts;
}

TEST(NacParametersTest, TinyImageNet) {
  EXPECT_EQ(Breakdown(TinyImageNet()), Parts(26'703'342, 1'239'136, 2'315'270, 2'511'367, 2'512'135,
                                             296'448, 77'385, 28'672, 114'688, 28'672));
}

TEST(NacParametersTest, ImageNet) {
  EXPECT_EQ(Breakdown(ImageNet()), Parts(37'589'294, 2'221'184, 3'020'422, 3'412'999, 3'414'023,
                                         526'336, 513'513, 110'592, 442'368, 36'864));
}

// Parameters of the modules as they are distilled on 224-pixel ImageNet in a meta of width 1280.
std::vector<int64_t> ModuleCounts(NacConfig nac) {
  nac.image_size = 224;
  nac.classes = 1000;
  std::vector<int64_t> counts;
  for (const NacModuleKind kind :
       {NacModuleKind::kReadIn, NacModuleKind::kMediator, NacModuleKind::kReadOut}) {
    NacModuleConfig config;
    config.nac = nac;
    config.kind = kind;
    config.stitch_width = 1280;
    counts.push_back(CountParameters(NacModuleNetwork(CreateNacModule(config).value())));
  }
  return counts;
}

TEST(NacParametersTest, Modules) {
  EXPECT_THAT(ModuleCounts(TinyImageNet()), testing::ElementsAre(4'093'286, 3'496'070, 3'389'423));
  EXPECT_THAT(ModuleCounts(ImageNet()), testing::ElementsAre(5'898'246, 4'725'510, 4'583'407));
}

TEST(NacParametersTest, SharedLayersAreCountedOnce) {
  NacConfig config = SmallNac();
  const int64_t own = Breakdown(config)["all"];
  const int64_t layer = Breakdown(config)["propagators.0"];
  config.share_layers = true;
  EXPECT_EQ(Breakdown(config)["all"], own - layer * (config.layers - 1));
}

TEST(NacParametersTest, LearnedCodesAreParametersOfModules) {
  NacModuleConfig config = SmallModule(NacModuleKind::kReadOut);
  const auto count = [&] {
    return CountParameters(NacModuleNetwork(CreateNacModule(config).value()));
  };
  const int64_t constant = count();
  config.codes = ModuleCodes::kLearned;
  EXPECT_EQ(count(), constant + config.nac.code_dim);
}

}  // namespace
}  // namespace distill::models
