// Which configurations are refused, and what the JSON says about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/unit/worker/models/nac/nac_test_configs.h"
#include "worker/models/nac/nac_architecture.h"

namespace distill::models {
namespace {

using testing::HasSubstr;

TEST(NacConfigTest, NamesTheFieldThatIsWrong) {
  const std::vector<std::pair<std::string, std::function<void(NacConfig*)>>> faults = {
      {"image_size", [](NacConfig* c) { c->image_size = 0; }},
      {"channels", [](NacConfig* c) { c->channels = -1; }},
      {"classes", [](NacConfig* c) { c->classes = 0; }},
      {"state_dim must be a multiple", [](NacConfig* c) { c->state_dim = 6; }},
      {"code_dim", [](NacConfig* c) { c->code_dim = 0; }},
      {"signature_dim", [](NacConfig* c) { c->signature_dim = 0; }},
      {"input_latents", [](NacConfig* c) { c->input_latents = 0; }},
      {"mediator_latents", [](NacConfig* c) { c->mediator_latents = 0; }},
      {"output_latents", [](NacConfig* c) { c->output_latents = 1 << 21; }},
      {"layers", [](NacConfig* c) { c->layers = 0; }},
      {"heads", [](NacConfig* c) { c->heads = 0; }},
      {"head_dim", [](NacConfig* c) { c->head_dim = 0; }},
      {"ffn_capacity_factor", [](NacConfig* c) { c->ffn_capacity_factor = 0.01; }},
      {"ffn_capacity_factor", [](NacConfig* c) { c->ffn_capacity_factor = NAN; }},
      {"tokenizer_depths", [](NacConfig* c) { c->tokenizer_depths = {}; }},
      {"tokenizer_depths",
       [](NacConfig* c) {
         c->tokenizer_depths = {1, -1};
       }},
      {"tokenizer_stem", [](NacConfig* c) { c->tokenizer_stem = 0; }},
      {"tokenizer_stem leaves no token", [](NacConfig* c) { c->tokenizer_stem = 8; }},
      {"grid_channels", [](NacConfig* c) { c->grid_channels = -1; }},
      {"layer_scale", [](NacConfig* c) { c->layer_scale = -1.0; }},
      {"scale_gain", [](NacConfig* c) { c->scale_gain = NAN; }},
      {"drop_path", [](NacConfig* c) { c->drop_path = 1.0; }},
      {"code_noise", [](NacConfig* c) { c->code_noise = 2.0; }},
      {"truncation", [](NacConfig* c) { c->truncation = 2.5; }},
      {"link_temperature", [](NacConfig* c) { c->link_temperature = 0.0; }},
      {"kept_stitch_width", [](NacConfig* c) { c->kept_stitch_width = -3; }},
  };
  EXPECT_THAT(CheckNacConfig(SmallNac()), IsOk());
  for (const auto& [field, spoil] : faults) {
    NacConfig config = SmallNac();
    spoil(&config);
    EXPECT_THAT(CheckNacConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 HasSubstr("cannot build NAC: " + field)));
    EXPECT_FALSE(CreateNac(config).ok());
  }
  NacModuleConfig module = SmallModule(NacModuleKind::kMediator);
  module.stitch_width = 0;
  EXPECT_THAT(CheckNacModuleConfig(module),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stitch_width")));
}

TEST(NacConfigTest, KindsOfModules) {
  NacConfig config;
  config.layers = 2;
  EXPECT_EQ(NacModuleKindAt(config, 0), NacModuleKind::kReadIn);
  EXPECT_EQ(NacModuleKindAt(config, 1), NacModuleKind::kMediator);
  EXPECT_EQ(NacModuleKindAt(config, 2), NacModuleKind::kMediator);
  EXPECT_EQ(NacModuleKindAt(config, 3), NacModuleKind::kReadOut);
}

TEST(NacConfigTest, ArchitectureSurvivesTheRoundTrip) {
  NacConfig config = SmallNac();
  config.bandwidth_form = BandwidthForm::kFree;
  config.cut_links = CutLinks::kReference;
  config.tokenizer_depths = {1, 1, 0};
  config.kept_stitch_width = 9;
  const std::string json = NacArchitecture(config);
  const auto parsed = ParseNacArchitecture(json);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(NacArchitecture(*parsed), json);

  NacModuleConfig module = SmallModule(NacModuleKind::kReadOut);
  module.codes = ModuleCodes::kTransferred;
  const auto parsed_module = ParseNacModuleArchitecture(NacModuleArchitecture(module));
  ASSERT_THAT(parsed_module, IsOk());
  EXPECT_EQ(NacModuleArchitecture(*parsed_module), NacModuleArchitecture(module));
}

TEST(NacConfigTest, ArchitectureThatIsNotUnderstoodIsRefused) {
  const std::string json = NacArchitecture(SmallNac());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = json;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string& text :
       {std::string("{"), std::string("[]"), replaced("\"heads\"", "\"hats\""),
        replaced("{", "{\"more\":1,"), replaced("\"positive\"", "\"wavy\""),
        replaced("\"heads\":2", "\"heads\":\"two\""), replaced("\"heads\":2", "\"heads\":0")}) {
    EXPECT_THAT(ParseNacArchitecture(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NAC")))
        << text;
  }
}

}  // namespace
}  // namespace distill::models
