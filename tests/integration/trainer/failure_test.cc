// What users and disks do wrong gets a message that names it, in the right failure class, and
// leaves the other members of a lease set alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class FailureTest : public testing::Test {
 protected:
  v1::MemberEnded RunOne(const v1::TaskSpec& spec,
                         const std::map<std::string, std::string>& inputs) {
    RecordingObserver observer;
    job_.Run({job_.Assign("failing", spec, inputs)}, observer);
    return observer.EndOf("failing");
  }

  // A copy of a weights file, changed by `change`.
  std::string Changed(const std::string& path, const std::function<void(NamedTensors*)>& change) {
    absl::StatusOr<TensorFile> file = ReadTensorFile(path);
    EXPECT_THAT(file, IsOk());
    change(&file->tensors);
    const std::string changed = job_.PathOf("changed.safetensors");
    EXPECT_THAT(WriteTensorFile(changed, *file), IsOk());
    return changed;
  }

  SmallJob job_{/*modules=*/3};
};

TEST_F(FailureTest, NanInWeightsNamesTheTensor) {
  const std::string poisoned = Changed(job_.Meta(), [](NamedTensors* tensors) {
    tensors->at("stages.1.blocks.0.mlp.fc1.weight").view(-1)[3] =
        std::numeric_limits<float>::quiet_NaN();
  });
  const v1::MemberEnded ended =
      RunOne(job_.Task(v1::TASK_KIND_INCUBATE_TEACHER, 0), {{"meta", poisoned}});
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_FAILED);
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(), AllOf(HasSubstr("stages.1.blocks.0.mlp.fc1.weight"),
                                     HasSubstr("NaN"), HasSubstr("element=3")));
}

// A stage whose place is taken is not even read.
TEST_F(FailureTest, NanInAStageThatIsNotNeededDoesNoHarm) {
  const std::string poisoned = Changed(job_.Meta(), [](NamedTensors* tensors) {
    tensors->at("stages.1.blocks.0.mlp.fc1.weight").view(-1)[3] =
        std::numeric_limits<float>::quiet_NaN();
  });
  EXPECT_EQ(RunOne(job_.Task(v1::TASK_KIND_INCUBATE_TEACHER, 1), {{"meta", poisoned}}).outcome(),
            v1::MemberEnded::ENDED_SUCCEEDED);
}

TEST_F(FailureTest, MisfitsAreListed) {
  const std::string misfit = Changed(job_.Meta(), [](NamedTensors* tensors) {
    tensors->erase("stages.2.norm.bias");
    (*tensors)["stages.2.extra"] = torch::zeros({2});
    (*tensors)["stages.2.head.weight"] = torch::zeros({10, 7});
  });
  const v1::MemberEnded ended =
      RunOne(job_.Evaluation(v1::EVALUATION_SUBJECT_META), {{"model", misfit}});
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(),
              AllOf(HasSubstr("norm.bias"), HasSubstr("extra"), HasSubstr("head.weight")));
}

// Middle stages have equal shapes: only the file can say which one it is.
TEST_F(FailureTest, StageInTheWrongPlaceIsRefused) {
  const v1::MemberEnded ended =
      RunOne(job_.Task(v1::TASK_KIND_ASSEMBLE_TEACHER), {{"stage.0", job_.TeacherStage(0)},
                                                         {"stage.1", job_.TeacherStage(2)},
                                                         {"stage.2", job_.TeacherStage(2)}});
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(), HasSubstr("file holds another stage; stage=2 wanted=1"));
}

TEST_F(FailureTest, NonFiniteLossNamesTheStepAndTheLastFiniteLoss) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  spec.mutable_recipe()->set_learning_rate(1e30);
  spec.mutable_recipe()->set_clip_grad_norm(0);
  const v1::MemberEnded ended = RunOne(spec, {});
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_FAILED);
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(),
              AllOf(HasSubstr("loss is not finite"), HasSubstr("step=2"),
                    HasSubstr("last_finite_loss=2."), HasSubstr("recipe.learning_rate")));
}

TEST_F(FailureTest, OneBadMemberDoesNotEndTheBundle) {
  RecordingObserver observer;
  const auto assign = [this](int i, const std::string& stage) {
    return job_.Assign(absl::StrCat("m", i), job_.Task(v1::TASK_KIND_DISTILL_MODULE, i),
                       {{"meta", job_.Meta()}, {"teacher_stage", stage}});
  };
  job_.Run({assign(0, job_.TeacherStage(0)), assign(1, job_.TeacherStage(2))}, observer);
  EXPECT_EQ(observer.EndOf("m0").outcome(), v1::MemberEnded::ENDED_SUCCEEDED);
  EXPECT_EQ(observer.EndOf("m1").outcome(), v1::MemberEnded::ENDED_FAILED);
}

TEST_F(FailureTest, MissingInputIsNamed) {
  const v1::MemberEnded ended =
      RunOne(job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1), {{"meta", job_.Meta()}});
  EXPECT_THAT(ended.message(), HasSubstr("input=teacher_stage"));
}

TEST_F(FailureTest, OtherImagesThanTheJobsAreRefused) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  spec.mutable_dataset()->set_digest(
      "sha256:0000000000000000000000000000000000000000000000000000000000000000");
  const v1::MemberEnded ended = RunOne(spec, {});
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
  EXPECT_THAT(ended.message(), HasSubstr("files are not the job's"));
}

TEST_F(FailureTest, AnotherNumericClassIsRefused) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  spec.set_numeric_class("cpu-x86-elsewhere");
  EXPECT_THAT(RunOne(spec, {}).message(), HasSubstr("class=test-class wanted=cpu-x86-elsewhere"));
}

TEST_F(FailureTest, BudgetBelowOneStepIsRefused) {
  EXPECT_THAT(RunOne(job_.Task(v1::TASK_KIND_PRETRAIN_META, 0, /*images=*/15), {}).message(),
              HasSubstr("recipe.total_images: is less than one step takes"));
}

TEST_F(FailureTest, DamagedCheckpointIsRefused) {
  v1::MemberAssignment assignment =
      job_.Assign("failing", job_.Task(v1::TASK_KIND_PRETRAIN_META), {});
  assignment.set_checkpoint_path(job_.PathOf("torn"));
  ASSERT_THAT(WriteFileAtomically(assignment.checkpoint_path(), "not a checkpoint"), IsOk());
  RecordingObserver observer;
  job_.Run({assignment}, observer);
  EXPECT_EQ(observer.EndOf("failing").failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
  EXPECT_THAT(observer.EndOf("failing").message(), HasSubstr("cannot resume from"));
}

}  // namespace
}  // namespace distill::training
