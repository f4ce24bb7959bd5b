// What tasks make is what their specs say it is of, and runs by hand: the seam between trainer,
// `artifact export` and `predict`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "storage/tensor/safetensors_file.h"
#include "storage/weights/architecture.h"
#include "storage/weights/task_architecture.h"
#include "storage/weights/weight_export.h"
#include "storage/weights/weight_import.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/prediction.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

constexpr int kModules = 3;

// The tensors of `path` under our names.
void ExpectFits(const std::string& path, const v1::ArchitectureDescription& architecture) {
  const auto file = storage::SafetensorsFile::Open(path);
  ASSERT_THAT(file, IsOk());
  std::map<std::string, storage::TensorView> tensors;
  for (const std::string& name : file->names()) tensors[name] = *file->Find(name);
  EXPECT_THAT(storage::CheckFits(tensors, architecture, path), IsOk());
}

class ArtifactTest : public ::testing::Test {
 protected:
  // Runs a task, and holds each of its outputs to what the task's spec says of it.
  std::string Make(const v1::TaskSpec& spec, const std::map<std::string, std::string>& inputs,
                   const std::string& output) {
    const auto files = job_.RunTask(absl::StrCat("task-", tasks_++), spec, inputs);
    for (const auto& [name, path] : files) {
      const auto architecture = storage::ArchitectureOfOutput(spec, name);
      EXPECT_THAT(architecture, IsOk());
      if (architecture.ok()) ExpectFits(path, *architecture);
    }
    return files.at(output);
  }

  // Runs exported weights on a batch. `meta`: of a hybrid.
  absl::StatusOr<NamedTensors> Predict(const v1::ArchitectureDescription& architecture,
                                       const std::string& weights, const std::string& meta,
                                       const torch::Tensor& input) {
    PredictionRequest request;
    request.architecture_file = job_.PathOf("arch.json");
    request.weights_file = weights;
    request.meta_file = meta;
    request.input_file = job_.PathOf("input.safetensors");
    request.output_file = job_.PathOf("output.safetensors");
    EXPECT_THAT(
        WriteFileAtomically(request.architecture_file, storage::FormatArchitecture(architecture)),
        IsOk());
    EXPECT_THAT(WriteTensorFile(request.input_file, {{{"input", input}}, {}}), IsOk());
    const absl::Status status = training::Predict(request);
    if (!status.ok()) return status;
    return ReadTensorFile(request.output_file)->tensors;
  }

  SmallJob job_{kModules};
  int tasks_ = 0;
};

TEST_F(ArtifactTest, ModulesRunInTheirHybrids) {
  const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1);
  const std::string module =
      Make(spec, {{"meta", job_.Meta()}, {"teacher_stage", job_.TeacherStage(1)}}, "module");
  auto hybrid = storage::ArchitectureOfOutput(spec, "module");
  ASSERT_THAT(hybrid, IsOk());
  *hybrid->mutable_meta() = spec.meta();
  const auto results = Predict(*hybrid, module, job_.Meta(), torch::rand({2, 1, 28, 28}));
  ASSERT_THAT(results, IsOk());
  EXPECT_EQ(results->at("logits").sizes(), torch::IntArrayRef({2, 10}));
}

TEST_F(ArtifactTest, StudentsAreExportedAndRun) {
  std::map<std::string, std::string> modules;
  for (int i = 0; i < kModules; ++i) {
    modules[absl::StrCat("module.", i)] =
        Make(job_.Task(v1::TASK_KIND_DISTILL_MODULE, i),
             {{"meta", job_.Meta()}, {"teacher_stage", job_.TeacherStage(i)}}, "module");
  }
  const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_ASSEMBLE_STUDENT);
  const std::string student = Make(spec, modules, "model");
  const auto architecture = storage::ArchitectureOfOutput(spec, "model");
  ASSERT_THAT(architecture, IsOk());
  const auto file = storage::SafetensorsFile::Open(student);
  ASSERT_THAT(file, IsOk());
  const torch::Tensor pixels = torch::rand({2, 1, 28, 28});
  const auto own = Predict(*architecture, student, "", pixels);
  ASSERT_THAT(own, IsOk());
  for (const auto naming : {storage::WeightNaming::kFlat, storage::WeightNaming::kReference}) {
    const auto paths = storage::ExportWeights(*file, *architecture, naming, job_.PathOf("out"));
    ASSERT_THAT(paths, IsOk());
    const auto exported = Predict(*architecture, paths->front(), "", pixels);
    ASSERT_THAT(exported, IsOk());
    EXPECT_TRUE(exported->at("logits").equal(own->at("logits")));
  }
}

}  // namespace
}  // namespace distill::training
