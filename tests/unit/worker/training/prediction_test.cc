// Predictions from files give what the networks in memory give, and what does not fit is named.
#include "worker/training/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/models/small_models.h"
#include "worker/models/hybrid.h"
#include "worker/models/nac/nac_network.h"
#include "worker/training/model_builder.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

using models::SmallModel;
using models::SmallVit;
using models::SmallVmoe;
using models::StageRole;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kImages[] = R"("format": "distillery-architecture-1", "image_size": 8, "channels": 2,
    "patch_size": 4, "classes": 5)";
constexpr char kVit[] = R"("vit": {"embed_dim": 12, "heads": 2, "stage_depths": [1, 2, 1]})";
constexpr char kVmoe[] =
    R"("vmoe": {"backbone": {"embed_dim": 8, "heads": 2, "mlp_ratio": 2, "stage_depths": [1, 2, 1]},
    "experts": 3, "moe_blocks": [1]}, "stitch_width": 12)";

class PredictionTest : public ::testing::Test {
 protected:
  PredictionTest() {
    request_.architecture_file = Path("arch.json");
    request_.weights_file = Path("weights.safetensors");
    request_.input_file = Path("input.safetensors");
    request_.output_file = Path("output.safetensors");
    batch_["input"] = torch::rand({3, 2, 8, 8});
  }

  std::string Path(const std::string& name) const { return directory_.Join(name); }
  static void Write(const std::string& path, NamedTensors tensors) {
    ASSERT_THAT(WriteTensorFile(path, {std::move(tensors), {}}), IsOk());
  }
  void Describe(const std::string& json) {
    ASSERT_THAT(WriteFileAtomically(request_.architecture_file, absl::StrCat("{", json, "}")),
                IsOk());
  }
  absl::StatusOr<NamedTensors> Predict() {
    Write(request_.input_file, batch_);
    const absl::Status status = training::Predict(request_);
    if (!status.ok()) return status;
    absl::StatusOr<TensorFile> file = ReadTensorFile(request_.output_file);
    if (!file.ok()) return file.status();
    return std::move(file->tensors);
  }

  const TempDir directory_;
  PredictionRequest request_;
  NamedTensors batch_;
  const models::ForwardContext context_;
};

TEST_F(PredictionTest, WholeModelGivesLogitsStagesLossAndGradients) {
  const models::StagedModel model = SmallModel(SmallVit({1, 2, 1}), 1);
  Write(request_.weights_file, models::ToMap(models::ExportState(model)));
  Describe(absl::StrCat(kImages, ",", kVit));
  batch_["targets"] = torch::tensor({0, 4, 2}, torch::kInt64);
  batch_["teacher_logits"] = torch::rand({3, 5});
  request_.intermediates = {"stage.0"};
  request_.wants_gradients = true;
  request_.distillation.temperature = 2.0;
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());

  const torch::Tensor logits = model.Forward(batch_["input"], context_);
  const optimization::DistillationLoss loss =
      optimization::CombineDistillation(optimization::CrossEntropy(logits, batch_["targets"]),
                                        logits, batch_["teacher_logits"], request_.distillation);
  loss.total.backward();
  EXPECT_TRUE(results->at("logits").equal(logits));
  EXPECT_TRUE(results->at("stage.0").equal(model.ForwardStages(batch_["input"], 0, 1, context_)));
  EXPECT_TRUE(results->at("loss.distillation").equal(loss.distillation));
  EXPECT_TRUE(torch::allclose(results->at("loss"), loss.total));
  for (size_t s = 0; s < 3; ++s) {
    for (const auto& parameter : model.stages()[s]->named_parameters()) {
      const std::string name =
          absl::StrCat("gradient.", storage::WholeName(static_cast<int64_t>(s), parameter.key()));
      ASSERT_EQ(results->count(name), 1U) << name;
      EXPECT_TRUE(torch::allclose(results->at(name), parameter.value().grad())) << name;
    }
  }
  EXPECT_EQ(results->at("gradient.input").sizes(), batch_["input"].sizes());
}

TEST_F(PredictionTest, TakesFlatAndDoubledNames) {
  const models::StagedModel model = SmallModel(SmallVit({1, 2, 1}), 1);
  Describe(absl::StrCat(kImages, ",", kVit));
  NamedTensors tensors = models::ToMap(models::ExportFlatState(model));
  Write(request_.weights_file, tensors);
  const absl::StatusOr<NamedTensors> flat = Predict();
  ASSERT_THAT(flat, IsOk());
  EXPECT_TRUE(flat->at("logits").equal(model.Forward(batch_["input"], context_)));

  tensors.merge(models::ToMap(models::ExportState(model)));
  Write(request_.weights_file, tensors);
  EXPECT_THAT(Predict(), IsOk());
  tensors["blocks.1.norm1.bias"] = torch::ones({12});
  Write(request_.weights_file, tensors);
  EXPECT_THAT(Predict(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("stages.1.blocks.0.norm1.bias and blocks.1.norm1.bias differ")));
}

TEST_F(PredictionTest, ModuleGivesTokensAndGradientsByItsOwnNames) {
  models::VmoeConfig config = SmallVmoe(StageRole::kMiddle, {2}, {0});
  config.pre_stitch_blocks = {0};
  config.post_stitch_blocks = {1};
  const models::StagedModel module = SmallModel(config, 2);
  Write(request_.weights_file, models::ToMap(models::ExportState(module.stages()[0])));
  Describe(absl::StrCat(kImages, ",", kVmoe, R"(, "module_index": 1)"));
  batch_["input"] = torch::rand({2, 5, 12});
  batch_["output_gradient"] = torch::rand({2, 5, 12});
  request_.wants_gradients = true;
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());
  torch::Tensor input = batch_["input"].clone().set_requires_grad(true);
  const torch::Tensor tokens = module.ForwardStages(input, 0, 1, context_);
  (tokens * batch_["output_gradient"]).sum().backward();
  EXPECT_TRUE(results->at("tokens").equal(tokens));
  EXPECT_TRUE(torch::allclose(results->at("gradient.input"), input.grad()));
  EXPECT_EQ(results->at("gradient.blocks.0.moe.experts.2.htoh4.weight").sizes(),
            torch::IntArrayRef({1, 16, 8}));
}

TEST_F(PredictionTest, HybridTrainsOnlyTheModule) {
  const models::StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 3);
  models::VmoeConfig config = SmallVmoe(StageRole::kMiddle, {2}, {0});
  config.pre_stitch_blocks = {0};
  config.post_stitch_blocks = {1};
  const models::StagedModel module = SmallModel(config, 2);
  Write(request_.weights_file, models::ToMap(models::ExportState(module.stages()[0])));
  request_.meta_file = Path("meta.safetensors");
  Write(request_.meta_file, models::ToMap(models::ExportFlatState(meta)));
  Describe(absl::StrCat(kImages, ",", kVmoe, R"(, "module_index": 1,
      "meta": {"embed_dim": 12, "heads": 2, "stage_depths": [1, 1, 1]})"));
  batch_["targets"] = torch::softmax(torch::rand({3, 5}), 1);
  request_.wants_gradients = true;
  request_.intermediates = {"all"};
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());
  const torch::Tensor prefix = models::PrefixOutput(meta, 1, batch_["input"], context_);
  EXPECT_TRUE(results->at("stage.0").equal(prefix));
  EXPECT_TRUE(results->at("logits").equal(
      models::HybridLogits(meta, 1, module.stages()[0], prefix, context_)));
  EXPECT_EQ(results->count("gradient.blocks.0.pre_stitch.fc.weight"), 1U);
  EXPECT_EQ(results->count("gradient.cls_token"), 0U);
  EXPECT_EQ(results->count("gradient.input"), 0U);
}

TEST_F(PredictionTest, RunsNacsInEitherType) {
  models::NacConfig config;
  config.image_size = 16;
  config.channels = 2;
  config.classes = 5;
  config.state_dim = config.code_dim = 16;
  config.grid_channels = 4;
  const absl::StatusOr<models::Nac> nac = models::CreateNac(config);
  ASSERT_THAT(nac, IsOk());
  models::NacNetwork network(*nac);
  network.Initialize(CounterRandom(3));
  Write(request_.weights_file, models::ToMap(network.State()));
  Describe(R"("format": "distillery-architecture-1", "image_size": 16, "channels": 2, "classes": 5,
      "modules": 4, "nac": {"state_dim": 16, "grid_channels": 4})");
  batch_["input"] = torch::rand({2, 2, 16, 16});
  batch_["targets"] = torch::tensor({0, 4}, torch::kInt64);
  request_.wants_gradients = true;
  request_.intermediates = {"mediator_states"};
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());
  EXPECT_TRUE(results->at("logits").equal(network.Forward(batch_["input"], context_)));
  EXPECT_EQ(results->at("mediator_states").sizes(), torch::IntArrayRef({2, 64, 16}));
  EXPECT_EQ(results->count("gradient.latent_graphs.0.mediator_latents.signatures_"), 1U);
  request_.is_double = true;
  const absl::StatusOr<NamedTensors> doubles = Predict();
  ASSERT_THAT(doubles, IsOk());
  EXPECT_TRUE(torch::allclose(doubles->at("logits"), results->at("logits").to(torch::kFloat64),
                              1e-4, 1e-4));
}

TEST_F(PredictionTest, RunsNacModulesInTheirHybrid) {
  const models::StagedModel meta = SmallModel(SmallVit({1, 1, 1}), 3);
  Describe(absl::StrCat(kImages, R"(, "modules": 3, "nac": {"state_dim": 16, "grid_channels": 4},
      "stitch_width": 12, "module_index": 1,
      "meta": {"embed_dim": 12, "heads": 2, "stage_depths": [1, 1, 1]})"));
  models::NacModuleConfig config;
  config.nac.image_size = 8;
  config.nac.channels = 2;
  config.nac.classes = 5;
  config.nac.state_dim = config.nac.code_dim = 16;
  config.nac.grid_channels = 4;
  config.nac.layers = 1;
  config.stitch_width = 12;
  const absl::StatusOr<models::NacModule> module = models::CreateNacModule(config);
  ASSERT_THAT(module, IsOk());
  models::NacModuleNetwork network(*module);
  network.Initialize(CounterRandom(4));
  Write(request_.weights_file, models::ToMap(network.State()));
  request_.meta_file = Path("meta.safetensors");
  Write(request_.meta_file, models::ToMap(models::ExportState(meta)));
  batch_["targets"] = torch::tensor({0, 4, 1}, torch::kInt64);
  request_.wants_gradients = true;
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());
  const torch::Tensor prefix = models::PrefixOutput(meta, 1, batch_["input"], context_);
  const torch::Tensor logits =
      meta.ForwardStages(network.Forward(prefix, context_), 2, 3, context_);
  EXPECT_TRUE(results->at("logits").equal(logits));
  EXPECT_EQ(results->count("gradient.pre_stitch.weight"), 1U);
  EXPECT_EQ(results->count("gradient.codes"), 0U);
}

TEST_F(PredictionTest, ComputesInDouble) {
  const models::StagedModel model = SmallModel(SmallVit({1, 2, 1}), 1);
  Write(request_.weights_file, models::ToMap(models::ExportState(model)));
  Describe(absl::StrCat(kImages, ",", kVit));
  request_.is_double = true;
  const absl::StatusOr<NamedTensors> results = Predict();
  ASSERT_THAT(results, IsOk());
  EXPECT_EQ(results->at("logits").scalar_type(), torch::kFloat64);
  EXPECT_TRUE(torch::allclose(results->at("logits"),
                              model.Forward(batch_["input"], context_).to(torch::kFloat64), 1e-4,
                              1e-4));
}

TEST_F(PredictionTest, ListsAllThatDoesNotFit) {
  NamedTensors tensors = models::ToMap(models::ExportState(SmallModel(SmallVit({1, 2, 1}), 1)));
  tensors.erase("stages.1.blocks.1.norm2.bias");
  tensors["surplus"] = torch::zeros({1});
  tensors["stages.2.head.weight"] = torch::zeros({7, 12});
  Write(request_.weights_file, tensors);
  Describe(absl::StrCat(kImages, ",", kVit));
  EXPECT_THAT(Predict(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("weights.safetensors"),
                             HasSubstr("stages.1.blocks.1.norm2.bias missing"),
                             HasSubstr("surplus unexpected"),
                             HasSubstr("stages.2.head.weight of shape [7, 12] instead of "
                                       "[5, 12]"))));
}

TEST_F(PredictionTest, RefusesWhatItCannotUse) {
  Write(request_.weights_file,
        models::ToMap(models::ExportState(SmallModel(SmallVit({1, 2, 1}), 1))));
  Describe(absl::StrCat(kImages, ",", kVit));
  request_.wants_loss = true;
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"targets\"")));
  batch_["targets"] = torch::tensor({0, 5, 2}, torch::kInt64);
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not below 5")));
  batch_["targets"] = torch::tensor({0, 4}, torch::kInt64);
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got=[2]")));
  batch_.erase("targets");
  batch_["pixels"] = torch::zeros({1});
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"pixels\"")));
  batch_.erase("pixels");
  batch_["input"] = torch::zeros({1, 2, 8, 9});
  EXPECT_THAT(Predict(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[B, 2, 8, 8]; got=")));
  batch_["input"] = torch::zeros({1, 2, 8, 8});
  request_.intermediates = {"stage.7"};
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr("known: all stage.0 stage.1 stage.2")));
  request_.meta_file = request_.weights_file;
  EXPECT_THAT(Predict(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("only a hybrid")));
}

}  // namespace
}  // namespace distill::training
