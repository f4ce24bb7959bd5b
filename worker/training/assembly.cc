#include "worker/training/assembly.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/training/model_builder.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

absl::StatusOr<v1::ProducedFile> Write(const v1::MemberAssignment& assignment,
                                       const std::string& name, const TensorFile& file) {
  v1::ProducedFile produced;
  produced.set_name(name);
  produced.set_path(JoinPath(assignment.output_directory(), absl::StrCat(name, ".safetensors")));
  DISTILL_RETURN_IF_ERROR(WriteTensorFile(produced.path(), file));
  return produced;
}

}  // namespace

absl::StatusOr<std::vector<v1::ProducedFile>> Assemble(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  const bool is_teacher = spec.kind() == v1::TASK_KIND_ASSEMBLE_TEACHER;
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages,
                           is_teacher ? TeacherStages(spec, 0) : StudentStages(spec, 0));
  const models::StagedModel model = BuildModel(stages);
  models::ImportOptions options;
  options.drop_stitches = !is_teacher && !spec.student().vmoe().keep_stitches();
  for (int64_t s = 0; s < model.stage_count(); ++s) {
    DISTILL_ASSIGN_OR_RETURN(
        const std::string path,
        InputPath(assignment, absl::StrCat(is_teacher ? "stage." : "module.", s)));
    DISTILL_RETURN_IF_ERROR(LoadStage(path, s, model.stages()[static_cast<size_t>(s)], options));
  }
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile produced,
                           Write(assignment, "model", ExportModel(model)));
  return std::vector<v1::ProducedFile>{produced};
}

absl::StatusOr<std::vector<v1::ProducedFile>> Split(const v1::MemberAssignment& assignment) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages,
                           TeacherStages(assignment.spec(), 0));
  const models::StagedModel model = BuildModel(stages);
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_RETURN_IF_ERROR(LoadModel(path, model));
  std::vector<v1::ProducedFile> results;
  for (int64_t s = 0; s < model.stage_count(); ++s) {
    DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile produced,
                             Write(assignment, absl::StrCat("stage.", s),
                                   ExportStage(model.stages()[static_cast<size_t>(s)], s)));
    results.push_back(produced);
  }
  return results;
}

}  // namespace distill::training
