#include "worker/training/assembly.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/training/model_builder.h"
#include "worker/training/nac_builder.h"
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

// A NAC is no chain of its modules: its weights are theirs, its graph is the prior's.
absl::StatusOr<std::vector<v1::ProducedFile>> AssembleNacStudent(
    const v1::MemberAssignment& assignment, const std::vector<std::string>& paths) {
  const v1::TaskSpec& spec = assignment.spec();
  std::vector<NamedTensors> modules;
  for (size_t i = 0; i < paths.size(); ++i) {
    DISTILL_ASSIGN_OR_RETURN(NamedTensors module, ReadModule(paths[i], static_cast<int64_t>(i)));
    modules.push_back(std::move(module));
  }
  DISTILL_ASSIGN_OR_RETURN(const std::string signatures, InputPath(assignment, "signatures"));
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<models::Network> model, BuildStudent(spec, 0));
  DISTILL_RETURN_IF_ERROR(AssembleNac(spec, signatures, modules, *model));
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile produced,
                           Write(assignment, "model", ExportModel(*model)));
  return std::vector<v1::ProducedFile>{produced};
}

}  // namespace

absl::StatusOr<std::vector<v1::ProducedFile>> Assemble(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  const bool is_teacher = spec.kind() == v1::TASK_KIND_ASSEMBLE_TEACHER;
  std::vector<std::string> paths;
  for (int s = 0; s < spec.modules(); ++s) {
    DISTILL_ASSIGN_OR_RETURN(
        const std::string path,
        InputPath(assignment, absl::StrCat(is_teacher ? "stage." : "module.", s)));
    paths.push_back(path);
  }
  if (!is_teacher && spec.student().has_nac()) return AssembleNacStudent(assignment, paths);
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages,
                           is_teacher ? TeacherStages(spec, 0) : StudentStages(spec, 0));
  const models::StagedNetwork model(BuildModel(stages), models::ExpertInitialization::kPerMatrix);
  models::ImportOptions options;
  options.drop_stitches = !is_teacher && !spec.student().vmoe().keep_stitches();
  for (size_t s = 0; s < paths.size(); ++s) {
    models::StageNetwork stage(model.model().stages()[s]);
    DISTILL_RETURN_IF_ERROR(LoadModule(paths[s], static_cast<int64_t>(s), stage, options));
  }
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile produced,
                           Write(assignment, "model", ExportModel(model)));
  return std::vector<v1::ProducedFile>{produced};
}

absl::StatusOr<std::vector<v1::ProducedFile>> Split(const v1::MemberAssignment& assignment) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> stages,
                           TeacherStages(assignment.spec(), 0));
  models::StagedNetwork model(BuildModel(stages), models::ExpertInitialization::kPerMatrix);
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, "model"));
  DISTILL_RETURN_IF_ERROR(LoadModel(path, model));
  std::vector<v1::ProducedFile> results;
  for (size_t s = 0; s < stages.size(); ++s) {
    const models::StageNetwork stage(model.model().stages()[s]);
    DISTILL_ASSIGN_OR_RETURN(
        const v1::ProducedFile produced,
        Write(assignment, absl::StrCat("stage.", s), ExportModule(stage, static_cast<int64_t>(s))));
    results.push_back(produced);
  }
  return results;
}

}  // namespace distill::training
