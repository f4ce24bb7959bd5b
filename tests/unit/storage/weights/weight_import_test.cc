// Checkpoints of the projects that ours descends from (fixtures/make_fixtures.py), imported and
// exported again.
#include "storage/weights/weight_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "storage/weights/weight_export.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

std::string Fixture(const std::string& name) {
  return absl::StrCat(std::getenv("DISTILL_SOURCE_DIR"), "/tests/unit/storage/weights/fixtures/",
                      name);
}

v1::ArchitectureDescription Vit(const std::string& depths, const std::string& rest = "",
                                int image_size = 4, int classes = 3) {
  const auto architecture = ParseArchitecture(
      absl::StrCat(R"({"format": "distillery-architecture-1", "channels": 1, "patch_size": 2,
          "image_size": )",
                   image_size, R"(, "classes": )", classes,
                   R"(, "vit": {"embed_dim": 4, "heads": 2, "mlp_ratio": 2, "stage_depths": [)",
                   depths, "]}", rest, "}"),
      "arch");
  EXPECT_THAT(architecture, IsOk());
  return architecture.value_or(v1::ArchitectureDescription());
}

absl::StatusOr<Checkpoint> Open(const std::string& fixture) {
  return Checkpoint::Open(Fixture(fixture));
}

absl::StatusOr<ImportedWeights> Import(const std::string& fixture,
                                       const v1::ArchitectureDescription& architecture,
                                       const ImportOptions& options = {}) {
  absl::StatusOr<Checkpoint> checkpoint = Open(fixture);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<ImportedWeights> weights = ImportWeights(*checkpoint, architecture, options);
  if (!weights.ok()) return weights.status();
  // The views die with the checkpoint.
  for (auto& [name, view] : weights->tensors) {
    weights->copies.emplace_back(view.bytes);
    view.bytes = weights->copies.back();
  }
  return weights;
}

float First(const ImportedWeights& weights, const std::string& name) {
  float value = -1;
  std::memcpy(&value, weights.tensors.at(name).bytes.data(), sizeof(value));
  return value;
}

// In the fixtures, tensor number k of the sorted flat names holds k.
float NumberOf(const v1::ArchitectureDescription& architecture, const std::string& flat) {
  std::vector<std::string> names;
  for (const auto& [ours, theirs] : FlatNames(architecture)) names.push_back(theirs);
  std::sort(names.begin(), names.end());
  return static_cast<float>(std::find(names.begin(), names.end(), flat) - names.begin());
}

TEST(WeightImportTest, TakesEveryNamingOfAWholeModel) {
  const v1::ArchitectureDescription vit = Vit("1, 2");
  for (const char* const fixture : {"timm.pth", "timm_half.pth", "full.pth"}) {
    const auto weights = Import(fixture, vit);
    ASSERT_THAT(weights, IsOk()) << fixture;
    EXPECT_THAT(weights->tensors, SizeIs(ExpectedTensors(vit).size()));
    for (const auto& [name, flat] : FlatNames(vit)) {
      EXPECT_EQ(First(*weights, name), NumberOf(vit, flat)) << fixture << " " << name;
    }
  }
  ImportOptions options;
  options.place = Checkpoint::Place{"model_stages"};
  EXPECT_THAT(Import("full.pth", vit, options), IsOk());
}

TEST(WeightImportTest, TakesModules) {
  const v1::ArchitectureDescription module = Vit("1, 2", R"(, "module_index": 1)");
  for (const char* const fixture : {"module_1.pth", "full.pth", "student_1.pth"}) {
    const auto weights = Import(fixture, module);
    ASSERT_THAT(weights, IsOk()) << fixture;
    EXPECT_EQ(First(*weights, "blocks.1.norm2.bias"), NumberOf(Vit("1, 2"), "blocks.2.norm2.bias"));
    EXPECT_EQ(weights->tensors.count("cls_token"), 0U);
  }
  EXPECT_THAT(Import("module_1.pth", Vit("1, 2", R"(, "module_index": 0)")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("module_1.pth"), HasSubstr("block_index=1 wanted=0"))));
  EXPECT_THAT(Import("module_1.pth", Vit("2, 2", R"(, "module_index": 1)")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("divided_depths=1 2 stage_depths=2 2")));
}

TEST(WeightImportTest, ListsAllThatDoesNotFit) {
  EXPECT_THAT(Import("timm.pth", Vit("2, 2")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("timm.pth"), HasSubstr("12 faults"),
                             HasSubstr("blocks in the file: 3, in the architecture: 2 2"),
                             HasSubstr("stages.1.blocks.1.norm2.bias missing"))));
  EXPECT_THAT(Import("timm.pth", Vit("1, 1")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("blocks.2.mlp.fc1.weight unexpected")));
  EXPECT_THAT(Import("timm.pth", Vit("1, 2", "", 4, 5)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("stages.1.head.weight of shape [3, 4] instead of [5, 4]")));
  EXPECT_THAT(Import("different.pth", Vit("1, 2")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 fault: norm.bias and stages.1.norm.bias differ")));
}

TEST(WeightImportTest, ResizesPositionsAndReplacesTheClassifierOnRequestOnly) {
  const v1::ArchitectureDescription larger = Vit("1, 2", "", 8, 7);
  ImportOptions options;
  options.new_classifier = true;
  EXPECT_THAT(Import("timm.pth", larger, options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pos_embed of shape [1, 5, 4] instead of [1, 17, 4]")));
  options.resize_positions = true;
  const auto weights = Import("timm.pth", larger, options);
  ASSERT_THAT(weights, IsOk());
  EXPECT_THAT(weights->tensors.at("pos_embed").shape, ElementsAre(1, 17, 4));
  EXPECT_EQ(First(*weights, "pos_embed"), NumberOf(larger, "pos_embed"));
  EXPECT_THAT(weights->tensors.at("stages.1.head.weight").shape, ElementsAre(7, 4));
  EXPECT_EQ(First(*weights, "stages.1.head.weight"), 0.0F);
  EXPECT_THAT(weights->notes, Contains(HasSubstr("resized from [1, 5, 4] to [1, 17, 4]")));
}

v1::ArchitectureDescription NacModule(int index) {
  const auto architecture = ParseArchitecture(
      absl::StrCat(R"({"format": "distillery-architecture-1", "channels": 1, "image_size": 16,
          "classes": 3, "modules": 4, "stitch_width": 6, "nac": {"state_dim": 8, "code_dim": 4,
          "heads": 2, "head_dim": 3, "grid_channels": 2}, "module_index": )",
                   index, "}"),
      "arch");
  EXPECT_THAT(architecture, IsOk());
  return architecture.value_or(v1::ArchitectureDescription());
}

// Writes weights of the architecture, all 0.5, without code and state: as the reference has them.
std::string WriteModuleOfTheReference(const v1::ArchitectureDescription& architecture,
                                      const TempDir& directory) {
  std::map<std::string, TensorView> tensors;
  std::deque<std::string> contents;
  for (const auto& [name, shape] : ExpectedTensors(architecture)) {
    if (name == "codes" || name == "states") continue;
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    const std::vector<float> values(count, 0.5f);
    contents.emplace_back(reinterpret_cast<const char*>(values.data()), count * sizeof(float));
    tensors[name] = {DType::kF32, shape, contents.back()};
  }
  const std::string path = directory.Join("module.safetensors");
  EXPECT_THAT(WriteWeights(tensors, architecture, path), IsOk());
  return path;
}

// They would import, and then not run.
TEST(WeightImportTest, ModulesOfTheReferenceGetCodesOnRequestOnly) {
  const TempDir directory;
  for (const int index : {0, 1, 3}) {
    const v1::ArchitectureDescription module = NacModule(index);
    const auto checkpoint = Checkpoint::Open(WriteModuleOfTheReference(module, directory));
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_THAT(ImportWeights(*checkpoint, module, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("codes missing"), HasSubstr("--draw-codes"))));
    ImportOptions options;
    options.codes_seed = 7;
    const auto weights = ImportWeights(*checkpoint, module, options);
    ASSERT_THAT(weights, IsOk());
    EXPECT_THAT(weights->notes, Contains("code and state drawn with seed 7"));
    TensorShapes shapes;
    for (const auto& [name, view] : weights->tensors) shapes[name] = view.shape;
    EXPECT_EQ(shapes, ExpectedTensors(module));
    const auto again = ImportWeights(*checkpoint, module, options);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(First(*again, "codes"), First(*weights, "codes"));
    EXPECT_NE(First(*weights, "codes"), 0.5f);
    options.codes_seed = 8;
    EXPECT_NE(First(*ImportWeights(*checkpoint, module, options), "codes"),
              First(*weights, "codes"));
  }
}

class ExportTest : public ::testing::Test {
 protected:
  // Imports the whole model and writes it as an artifact.
  void SetUp() override {
    const auto weights = Import("full.pth", vit_);
    ASSERT_THAT(weights, IsOk());
    ASSERT_THAT(WriteWeights(weights->tensors, vit_, artifact_), IsOk());
  }
  absl::StatusOr<std::vector<std::string>> Export(WeightNaming naming) {
    const auto file = SafetensorsFile::Open(artifact_);
    if (!file.ok()) return file.status();
    return ExportWeights(*file, vit_, naming, directory_.Join("out"));
  }
  std::vector<std::string> Names(const std::string& path) {
    const auto file = SafetensorsFile::Open(path);
    EXPECT_THAT(file, IsOk());
    return file->names();
  }

  const TempDir directory_;
  const v1::ArchitectureDescription vit_ = Vit("1, 2");
  const std::string artifact_ = directory_.Join("artifact.safetensors");
};

TEST_F(ExportTest, EveryNamingIsImportedAgain) {
  for (const WeightNaming naming :
       {WeightNaming::kStaged, WeightNaming::kFlat, WeightNaming::kReference}) {
    const auto paths = Export(naming);
    ASSERT_THAT(paths, IsOk());
    ASSERT_THAT(*paths, ElementsAre(directory_.Join("out/weights.safetensors"),
                                    directory_.Join("out/architecture.json")));
    const auto checkpoint = Checkpoint::Open((*paths)[0]);
    ASSERT_THAT(checkpoint, IsOk());
    const auto architecture = ReadArchitecture((*paths)[1]);
    ASSERT_THAT(architecture, IsOk());
    const auto weights = ImportWeights(*checkpoint, *architecture, {});
    ASSERT_THAT(weights, IsOk());
    const std::string copy = directory_.Join("copy.safetensors");
    ASSERT_THAT(WriteWeights(weights->tensors, vit_, copy), IsOk());
    EXPECT_EQ(Digest::OfBytes(*ReadFile(copy)), Digest::OfBytes(*ReadFile(artifact_)));
  }
}

TEST_F(ExportTest, NamesAreThoseOfTheReference) {
  ASSERT_THAT(Export(WeightNaming::kFlat), IsOk());
  EXPECT_THAT(Names(directory_.Join("out/weights.safetensors")),
              AllOf(Contains("blocks.2.attn.qkv.weight"), Contains("norm.weight"),
                    Not(Contains(HasSubstr("stages.")))));
  ASSERT_THAT(Export(WeightNaming::kReference), IsOk());
  const auto full = Open("full.pth");
  ASSERT_THAT(full, IsOk());
  std::vector<std::string> reference = full->Keys({"model"});
  EXPECT_THAT(Names(directory_.Join("out/weights.safetensors")),
              ::testing::UnorderedElementsAreArray(reference));
}

TEST_F(ExportTest, ModulesAreFilesOfTheirOwn) {
  const auto paths = Export(WeightNaming::kModules);
  ASSERT_THAT(paths, IsOk());
  ASSERT_THAT(*paths, SizeIs(4));
  const auto architecture = ReadArchitecture((*paths)[3]);
  ASSERT_THAT(architecture, IsOk());
  EXPECT_EQ(architecture->module_index(), 1);
  EXPECT_EQ(Names((*paths)[2]).size(), ExpectedTensors(*architecture).size());
}

TEST_F(ExportTest, ANacIsExportedWholeOnly) {
  const auto nac = ParseArchitecture(
      R"({"format": "distillery-architecture-1", "image_size": 8, "channels": 1, "classes": 3,
          "modules": 3, "nac": {"state_dim": 8, "code_dim": 4, "tokenizer_depths": [1], "heads": 1}})",
      "arch");
  ASSERT_THAT(nac, IsOk());
  const TensorShapes shapes = ExpectedTensors(*nac);
  std::map<std::string, std::string> bytes;
  std::map<std::string, TensorView> tensors;
  for (const auto& [name, shape] : shapes) {
    bytes[name] = std::string(static_cast<size_t>(CountParameters({{name, shape}})) * 4, '\0');
    tensors[name] = {DType::kF32, shape, bytes[name]};
  }
  ASSERT_THAT(WriteWeights(tensors, *nac, artifact_), IsOk());
  const auto file = SafetensorsFile::Open(artifact_);
  ASSERT_THAT(file, IsOk());
  const std::string out = directory_.Join("nac");
  EXPECT_THAT(ExportWeights(*file, *nac, WeightNaming::kFlat, out), IsOk());
  EXPECT_THAT(
      ExportWeights(*file, *nac, WeightNaming::kModules, out),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("export the modules that it was")));
}

TEST_F(ExportTest, RefusesAnotherArchitecture) {
  const auto file = SafetensorsFile::Open(artifact_);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(ExportWeights(*file, Vit("1, 1"), WeightNaming::kFlat, directory_.Join("out")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("stages.1.blocks.1.norm2.weight unexpected")));
}

}  // namespace
}  // namespace distill::storage
