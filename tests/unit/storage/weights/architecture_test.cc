// Architecture files are completed, checked and written back; networks of published shapes have
// just as many parameters as published.
#include "storage/weights/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "storage/weights/expected_tensors.h"
#include "storage/weights/task_architecture.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Json(const std::string& rest) {
  return absl::StrCat(R"({"format": "distillery-architecture-1", "image_size": 224, "channels": 3,
      "classes": 1000, )",
                      rest, "}");
}

v1::ArchitectureDescription Parse(const std::string& rest) {
  absl::StatusOr<v1::ArchitectureDescription> architecture =
      ParseArchitecture(Json(rest), "a.json");
  EXPECT_THAT(architecture, IsOk());
  return architecture.value_or(v1::ArchitectureDescription());
}

int64_t Count(const std::string& rest) { return CountParameters(ExpectedTensors(Parse(rest))); }

TEST(ArchitectureTest, FillsInDefaultsAndWritesThemBack) {
  const v1::ArchitectureDescription architecture = Parse(
      R"("patch_size": 16, "vmoe": {"backbone": {"embed_dim": 8, "heads": 2, "stage_depths": [2, 3]},
      "experts": 3, "moe_placement": "every_2"})");
  EXPECT_EQ(architecture.modules(), 2);
  EXPECT_EQ(architecture.vmoe().backbone().mlp_ratio(), 4.0);
  EXPECT_TRUE(architecture.vmoe().backbone().qkv_bias());
  EXPECT_EQ(architecture.vmoe().top_k(), 2);
  EXPECT_THAT(architecture.vmoe().moe_blocks(), ElementsAre(1, 3));
  const auto again = ParseArchitecture(FormatArchitecture(architecture), "again.json");
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*again, architecture));
}

TEST(ArchitectureTest, PresetsHaveThePublishedSizes) {
  const std::string large = R"("patch_size": 16, "vit": {"preset": "vit_large_patch16_224",
      "stage_depths": [6, 6, 6, 6]})";
  EXPECT_EQ(Count(large), 304'326'632);
  EXPECT_EQ(Count(absl::StrCat(large, R"(, "module_index": 0)")), 76'567'552);
  EXPECT_EQ(Count(absl::StrCat(large, R"(, "module_index": 1)")), 75'577'344);
  EXPECT_EQ(Count(R"("patch_size": 16, "vit": {"preset": "vit_large_patch16_224",
      "stage_depths": [1, 1, 1, 1]})"),
            52'402'152);
  const std::string huge = R"("patch_size": 14, "vit": {"preset": "vit_huge_patch14_224",
      "stage_depths": [4, 3, 3, 3, 3, 3, 3, 3, 3, 4]})";
  EXPECT_EQ(Count(huge), 631'922'920);
  EXPECT_EQ(Count(absl::StrCat(huge, R"(, "module_index": 0)")), 79'778'560);
  EXPECT_EQ(Count(absl::StrCat(huge, R"(, "module_index": 4)")), 59'020'800);
  EXPECT_EQ(Count(R"("patch_size": 14, "vit": {"preset": "vit_huge_patch14_224",
      "stage_depths": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]})"),
            199'103'720);
  EXPECT_EQ(Count(R"("patch_size": 16, "vit": {"preset": "deit_base_patch16_224",
      "stage_depths": [3, 3, 3, 3]})"),
            86'567'656);
}

TEST(ArchitectureTest, VmoeHasThePublishedSizes) {
  const std::string base = R"("patch_size": 16, "vmoe": {"experts": 8, "backbone":
      {"preset": "vit_base_patch16_224", "stage_depths": [3, 3, 3, 3]}})";
  EXPECT_EQ(Count(base), 483'325'768);
  const std::string student = absl::StrCat(base, R"(, "stitch_width": 1024, "module_index": )");
  EXPECT_EQ(Count(absl::StrCat(student, 0)), 121'984'792);
  EXPECT_EQ(Count(absl::StrCat(student, 1)), 122'031'384);
  EXPECT_EQ(Count(absl::StrCat(student, 3)), 122'012'928);
}

struct Mistake {
  std::string json;
  std::string reason;
};

TEST(ArchitectureTest, NamesTheFieldThatIsWrong) {
  const std::string vit = R"("patch_size": 16, "vit": {"embed_dim": 8, "heads": 2,
      "stage_depths": [1, 1]})";
  const Mistake mistakes[] = {
      {R"("patch_size": 16)", "network: give one of vit, vmoe, nac"},
      {R"("patch_size": 15, "vit": {"embed_dim": 8, "heads": 2, "stage_depths": [1]})",
       "patch_size: must divide image_size"},
      {R"("patch_size": 16, "vit": {"embed_dim": 8, "heads": 3, "stage_depths": [1]})",
       "vit.heads: must divide embed_dim"},
      {R"("patch_size": 16, "vit": {"embed_dim": 8, "heads": 2})", "vit.stage_depths"},
      {R"("patch_size": 16, "vit": {"preset": "vit_gigantic", "stage_depths": [1]})",
       "want one of deit_tiny_patch16_224"},
      {absl::StrCat(vit, R"(, "modules": 3)"), "modules: must be the number of stage_depths"},
      {absl::StrCat(vit, R"(, "module_index": 2)"), "module_index: must be 0 to 1; got=2"},
      {absl::StrCat(vit, R"(, "stitch_width": 4)"), "stitch_width: a ViT has no stitches"},
      {absl::StrCat(vit, R"(, "module_index": 1, "meta": {"embed_dim": 8, "heads": 2,
          "stage_depths": [1, 1, 1]})"),
       "meta.stage_depths: must have one entry per module"},
      {absl::StrCat(vit, R"(, "module_index": 1, "meta": {"embed_dim": 16, "heads": 2,
          "stage_depths": [1, 1]})"),
       "meta.embed_dim: must be the stitch_width"},
      {absl::StrCat(vit, R"(, "depth": 3)"), "docs/weights.md"},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_THAT(ParseArchitecture(Json(mistake.json), "a.json"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(mistake.reason)));
  }
  EXPECT_THAT(ParseArchitecture("{}", "a.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("cannot read architecture a.json: format: must be")));
}

TEST(ArchitectureOfOutputTest, SaysWhatATaskMade) {
  v1::TaskSpec spec;
  spec.set_kind(v1::TASK_KIND_DISTILL_MODULE);
  spec.set_module_index(1);
  spec.set_modules(2);
  spec.set_patch_size(7);
  spec.mutable_dataset()->set_image_size(28);
  spec.mutable_dataset()->set_channels(1);
  spec.mutable_dataset()->set_classes(10);
  spec.mutable_meta()->set_embed_dim(64);
  v1::VmoeSpec& vmoe = *spec.mutable_student()->mutable_vmoe();
  vmoe.set_experts(4);
  vmoe.mutable_backbone()->set_embed_dim(48);
  vmoe.mutable_backbone()->set_heads(4);
  vmoe.mutable_backbone()->add_stage_depths(1);
  vmoe.mutable_backbone()->add_stage_depths(2);
  const auto module = ArchitectureOfOutput(spec, "module");
  ASSERT_THAT(module, IsOk());
  EXPECT_EQ(module->module_index(), 1);
  EXPECT_EQ(module->stitch_width(), 64);
  spec.set_kind(v1::TASK_KIND_FINETUNE_STUDENT);
  const auto student = ArchitectureOfOutput(spec, "model");
  ASSERT_THAT(student, IsOk());
  EXPECT_EQ(student->stitch_width(), 0);
  EXPECT_FALSE(student->has_module_index());
  EXPECT_EQ(student->image_size(), 28);
  spec.mutable_dataset()->set_input_size(35);
  EXPECT_EQ(ArchitectureOfOutput(spec, "model")->image_size(), 35);
  EXPECT_THAT(ArchitectureOfOutput(spec, "metrics"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no network")));
}

}  // namespace
}  // namespace distill::storage
