// The networks that architecture files describe have the tensors that storage/weights expects, and
// just as many parameters as published.
#include "worker/training/described_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "tests/support/status_matchers.h"

namespace distill::training {
namespace {

v1::ArchitectureDescription Describe(const std::string& rest, int image_size, int classes) {
  const auto architecture = storage::ParseArchitecture(
      absl::StrCat(R"({"format": "distillery-architecture-1", "channels": 3, "image_size": )",
                   image_size, R"(, "classes": )", classes, ", ", rest, "}"),
      "arch");
  EXPECT_THAT(architecture, IsOk());
  return architecture.value_or(v1::ArchitectureDescription());
}

storage::TensorShapes ShapesOf(const std::vector<ChainLink>& chain) {
  storage::TensorShapes shapes;
  for (const ChainLink& link : chain) {
    for (const models::NamedTensor& tensor : link.network->State()) {
      shapes[FileName(link, tensor.name)] = tensor.tensor.sizes().vec();
    }
  }
  return shapes;
}

int64_t CountTrained(const v1::ArchitectureDescription& architecture) {
  const auto chain = BuildChain(architecture, torch::kFloat32);
  EXPECT_THAT(chain, IsOk());
  int64_t count = 0;
  for (const ChainLink& link : *chain) count += models::CountParameters(*link.network);
  return count;
}

class DescribedNetworkTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DescribedNetworkTest, HasTheExpectedTensors) {
  const v1::ArchitectureDescription whole = Describe(GetParam(), 16, 5);
  const auto chain = BuildChain(whole, torch::kFloat32);
  ASSERT_THAT(chain, IsOk());
  EXPECT_EQ(ShapesOf(*chain), storage::ExpectedTensors(whole));
  for (int i = 0; i < whole.modules(); ++i) {
    v1::ArchitectureDescription module = whole;
    module.set_module_index(i);
    if (!module.has_vit()) module.set_stitch_width(12);
    const auto link = BuildChain(module, torch::kFloat32);
    ASSERT_THAT(link, IsOk());
    EXPECT_EQ(ShapesOf(*link), storage::ExpectedTensors(module)) << i;
  }
}

constexpr char kBackbone[] = R"("backbone": {"embed_dim": 8, "heads": 2, "mlp_ratio": 1.7,
    "stage_depths": [1, 2, 1]})";

INSTANTIATE_TEST_SUITE_P(
    All, DescribedNetworkTest,
    ::testing::Values(
        R"("patch_size": 4, "vit": {"embed_dim": 12, "heads": 3, "stage_depths": [2, 1, 3]})",
        R"("patch_size": 4, "vit": {"embed_dim": 12, "heads": 3, "qkv_bias": false,
            "stage_depths": [1]})",
        absl::StrCat(R"("patch_size": 4, "vmoe": {"experts": 3, "moe_blocks": [1, 3], )", kBackbone,
                     "}"),
        absl::StrCat(R"("patch_size": 4, "stitch_width": 12, "vmoe": {"experts": 3, )", kBackbone,
                     "}"),
        absl::StrCat(R"("patch_size": 4, "vmoe": {"experts": 3, "router": {
                         "kind": "ROUTER_KIND_NOISY_TOP_K"}, )",
                     kBackbone, "}"),
        absl::StrCat(R"("patch_size": 4, "vmoe": {"experts": 3, "router": {
                         "kind": "ROUTER_KIND_VMOE"}, )",
                     kBackbone, "}"),
        R"("modules": 4, "nac": {"state_dim": 16, "code_dim": 12, "signature_dim": 6,
            "tokenizer_depths": [1, 2], "grid_channels": 3})",
        R"("modules": 4, "stitch_width": 10, "nac": {"share_layers": true, "grid_channels": 0,
            "tokenizer_depths": [1]})"));

// One module at a time: the largest has 122 million parameters.
TEST(PublishedSizesTest, AreThoseOfTheNetworks) {
  const std::string large = R"("patch_size": 16, "vit": {"preset": "vit_large_patch16_224",
      "stage_depths": [6, 6, 6, 6]}, "module_index": )";
  const int64_t first = CountTrained(Describe(absl::StrCat(large, 0), 224, 1000));
  const int64_t middle = CountTrained(Describe(absl::StrCat(large, 1), 224, 1000));
  const int64_t last = CountTrained(Describe(absl::StrCat(large, 3), 224, 1000));
  EXPECT_EQ(first, 76'567'552);
  EXPECT_EQ(middle, 75'577'344);
  EXPECT_EQ(first + 2 * middle + last, 304'326'632);

  const std::string huge = R"("patch_size": 14, "vit": {"preset": "vit_huge_patch14_224",
      "stage_depths": [4, 3, 3, 3, 3, 3, 3, 3, 3, 4]}, "module_index": )";
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(huge, 0), 224, 1000)), 79'778'560);
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(huge, 1), 224, 1000)), 59'020'800);

  const std::string student = R"("patch_size": 16, "stitch_width": 1024, "vmoe": {"experts": 8,
      "backbone": {"preset": "vit_base_patch16_224", "stage_depths": [3, 3, 3, 3]}},
      "module_index": )";
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(student, 0), 224, 1000)), 121'984'792);
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(student, 1), 224, 1000)), 122'031'384);
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(student, 3), 224, 1000)), 122'012'928);
}

TEST(PublishedSizesTest, AreThoseOfNacs) {
  const std::string tiny = R"("modules": 10, "nac": {"state_dim": 384, "code_dim": 384,
      "input_latents": 64, "mediator_latents": 256, "output_latents": 64, "heads": 6,
      "head_dim": 64, "ffn_capacity_factor": 2, "tokenizer_depths": [3, 3]})";
  EXPECT_EQ(CountTrained(Describe(tiny, 64, 200)), 26'703'342);
  const std::string imagenet = R"("modules": 10, "nac": {"state_dim": 512, "code_dim": 512,
      "input_latents": 192, "mediator_latents": 768, "output_latents": 64, "heads": 8,
      "head_dim": 64, "ffn_capacity_factor": 1, "tokenizer_depths": [3, 3]})";
  EXPECT_EQ(CountTrained(Describe(imagenet, 224, 1000)), 37'589'294);
  const std::string module = absl::StrCat(imagenet, R"(, "stitch_width": 1280, "module_index": )");
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(module, 0), 224, 1000)), 5'898'246);
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(module, 1), 224, 1000)), 4'725'510);
  EXPECT_EQ(CountTrained(Describe(absl::StrCat(module, 9), 224, 1000)), 4'583'407);
}

}  // namespace
}  // namespace distill::training
