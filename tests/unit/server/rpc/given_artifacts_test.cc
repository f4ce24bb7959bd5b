// Weights that a job brings along are looked into before anything starts.
#include "server/rpc/given_artifacts.h"

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/planner/tensor_shapes.h"
#include "storage/blob/memory_blob_store.h"
#include "storage/tensor/safetensors_writer.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class GivenArtifactsTest : public ::testing::Test {
 protected:
  static TensorShapes MetaShapes() {
    return WholeTensorShapes(spec_.meta(), {28, spec_.patch_size(), 1, 10});
  }

  // Stores weights of these shapes, all `value`, and gives them to the job as its meta model.
  absl::Status CheckMeta(const TensorShapes& shapes, float value) {
    storage::SafetensorsWriter writer;
    std::vector<std::string> contents;
    contents.reserve(shapes.size());
    for (const auto& [name, shape] : shapes) {
      size_t count = 1;
      for (const int64_t size : shape) count *= static_cast<size_t>(size);
      const std::vector<float> values(count, value);
      contents.emplace_back(reinterpret_cast<const char*>(values.data()), count * sizeof(float));
      EXPECT_THAT(writer.Add(name, {storage::DType::kF32, shape, contents.back()}), IsOk());
    }
    return CheckBytes(*writer.Serialize());
  }

  absl::Status CheckBytes(const std::string& bytes) {
    const auto digest = WriteBlob(blobs_, "upload", bytes);
    EXPECT_THAT(digest, IsOk());
    v1::JobSpec spec = spec_;
    spec.mutable_given()->set_meta(digest->str());
    return CheckGivenArtifacts(spec, blobs_);
  }

  static inline const v1::JobSpec spec_ = CompleteSpec(MinimalSpec());
  storage::MemoryBlobStore blobs_;
};

TEST_F(GivenArtifactsTest, FittingWeightsPassByEitherNaming) {
  EXPECT_THAT(CheckMeta(MetaShapes(), 0.5f), IsOk());
  EXPECT_THAT(CheckMeta(FlatTensorShapes(spec_.meta(), {28, spec_.patch_size(), 1, 10}), 0.5f),
              IsOk());
}

TEST_F(GivenArtifactsTest, EachTensorThatDoesNotFitIsNamed) {
  TensorShapes shapes = MetaShapes();
  shapes.erase("cls_token");
  shapes["pos_embed"] = {1, 5, 64};
  shapes["stages.0.extra"] = {1};
  EXPECT_THAT(CheckMeta(shapes, 0.5f),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("given.meta"), HasSubstr("cls_token missing"),
                             HasSubstr("pos_embed of shape [1, 5, 64] instead of [1, 17, 64]"),
                             HasSubstr("stages.0.extra unexpected"))));
}

TEST_F(GivenArtifactsTest, OtherDepthsAreSaidFirst) {
  v1::VitSpec deeper = spec_.meta();
  deeper.set_stage_depths(1, 3);
  deeper.set_depth(6);
  const ImageGeometry geometry = {28, spec_.patch_size(), 1, 10};
  EXPECT_THAT(CheckMeta(WholeTensorShapes(deeper, geometry), 0.5f),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("given.meta: got weights with blocks 1 3 1 1 ("),
                             HasSubstr("), want 1 1 1 1, those of the network"))));
  EXPECT_THAT(CheckMeta(FlatTensorShapes(deeper, geometry), 0.5f),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("got weights with blocks 6 ("), HasSubstr("), want 4, "))));
}

TEST_F(GivenArtifactsTest, ModulesInAnotherOrderAreRefused) {
  storage::SafetensorsWriter writer;
  EXPECT_THAT(writer.SetMetadata("stage", "1"), IsOk());
  const auto digest = WriteBlob(blobs_, "upload", *writer.Serialize());
  ASSERT_THAT(digest, IsOk());
  v1::JobSpec spec = spec_;
  spec.mutable_given()->add_teacher_stages(digest->str());
  EXPECT_THAT(CheckGivenArtifacts(spec, blobs_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("given.teacher_stages[0]: got module 1, want module 0")));
  spec.mutable_given()->clear_teacher_stages();
  spec.mutable_given()->add_student_modules(digest->str());
  EXPECT_THAT(CheckGivenArtifacts(spec, blobs_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("given.student_modules[0]: got module 1, want module 0")));
}

TEST_F(GivenArtifactsTest, AStudentOfAnotherShapeIsRefused) {
  v1::JobSpec spec = spec_;
  const auto digest = WriteBlob(blobs_, "upload", *storage::SafetensorsWriter().Serialize());
  ASSERT_THAT(digest, IsOk());
  spec.mutable_given()->set_student(digest->str());
  EXPECT_THAT(CheckGivenArtifacts(spec, blobs_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("given.student: got weights with no blocks ("),
                             HasSubstr("cls_token missing"), HasSubstr("want 1 1 1 1, "))));
}

TEST_F(GivenArtifactsTest, NotANumberIsRefusedByTensorAndElement) {
  EXPECT_THAT(CheckMeta(MetaShapes(), std::numeric_limits<float>::quiet_NaN()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a NaN or an infinity in cls_token at element 0")));
}

TEST_F(GivenArtifactsTest, ModulesOfANacHaveACode) {
  v1::JobSpec spec = spec_;
  spec.mutable_student()->mutable_nac();
  const auto check = [&](const std::string& name) {
    storage::SafetensorsWriter writer;
    const std::vector<float> values = {1.0f};
    const std::string bytes(reinterpret_cast<const char*>(values.data()), sizeof(float));
    EXPECT_THAT(writer.Add(name, {storage::DType::kF32, {1}, bytes}), IsOk());
    const auto digest = WriteBlob(blobs_, "upload", *writer.Serialize());
    EXPECT_THAT(digest, IsOk());
    spec.mutable_given()->clear_student_modules();
    spec.mutable_given()->add_student_modules(digest->str());
    return CheckGivenArtifacts(spec, blobs_);
  };
  EXPECT_THAT(check("codes"), IsOk());
  EXPECT_THAT(check("others"), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("given.student_modules[0]"),
                                              HasSubstr("import --draw-codes SEED"))));
  *spec.mutable_student() = spec_.student();
  EXPECT_THAT(check("others"), IsOk());
}

TEST_F(GivenArtifactsTest, OtherFilesAreRefused) {
  EXPECT_THAT(CheckBytes("short"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a safetensors file")));
  EXPECT_THAT(CheckBytes(std::string("\x02\0\0\0\0\0\0\0[]", 10)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want a safetensors file")));
}

}  // namespace
}  // namespace distill::server
