// The planner lists a network's tensors without LibTorch; the trainer builds it. They must agree,
// or good weights would be refused.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/tensor_shapes.h"
#include "tests/support/job_specs.h"
#include "worker/training/model_builder.h"

namespace distill::server {
namespace {

TensorShapes ShapesOf(const std::vector<models::NamedTensor>& tensors) {
  TensorShapes shapes;
  for (const models::NamedTensor& named : tensors) shapes[named.name] = named.tensor.sizes().vec();
  return shapes;
}

TEST(TensorShapesTest, AgreeWithTheNetworksThatTheTrainerBuilds) {
  v1::JobSpec job = CompleteSpec(MinimalSpec());
  for (const bool qkv_bias : {true, false}) {
    job.mutable_teacher()->set_qkv_bias(qkv_bias);
    v1::TaskSpec task;
    task.set_modules(job.modules());
    task.set_patch_size(job.patch_size());
    *task.mutable_dataset() = job.dataset();
    *task.mutable_teacher() = job.teacher();
    const auto stages = training::TeacherStages(task, 0);
    ASSERT_TRUE(stages.ok()) << stages.status();
    const models::StagedModel model = training::BuildModel(*stages);

    const ImageGeometry geometry = {job.dataset().image_size(), job.patch_size(),
                                    job.dataset().channels(), job.dataset().classes()};
    EXPECT_EQ(WholeTensorShapes(job.teacher(), geometry), ShapesOf(ExportState(model)));
    EXPECT_EQ(FlatTensorShapes(job.teacher(), geometry), ShapesOf(ExportFlatState(model)));
    for (int s = 0; s < job.modules(); ++s) {
      EXPECT_EQ(StageTensorShapes(job.teacher(), geometry, s),
                ShapesOf(ExportState(model.stages()[static_cast<size_t>(s)])));
    }
  }
}

}  // namespace
}  // namespace distill::server
