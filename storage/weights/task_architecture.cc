#include "storage/weights/task_architecture.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/weights/architecture.h"
#include "storage/weights/stage_depths.h"

namespace distill::storage {
namespace {

void SetStudent(const v1::StudentSpec& student, v1::ArchitectureDescription* architecture) {
  if (student.has_vit()) *architecture->mutable_vit() = student.vit();
  if (student.has_vmoe()) *architecture->mutable_vmoe() = student.vmoe();
  if (student.has_nac()) *architecture->mutable_nac() = student.nac();
}

// Architectures list what tasks leave out.
void ListDepths(int64_t stages, v1::VitSpec* vit) {
  const std::vector<int64_t> depths = StageDepths(*vit, stages);
  vit->clear_stage_depths();
  for (const int64_t depth : depths) vit->add_stage_depths(static_cast<int32_t>(depth));
}

bool KeepsStitches(const v1::StudentSpec& student) {
  return student.vmoe().keep_stitches() || student.nac().keep_stitches();
}

// Sets the network and the module of `architecture`; false for an output that is no network.
bool SetNetwork(const v1::TaskSpec& spec, const std::string& output,
                v1::ArchitectureDescription* architecture) {
  switch (spec.kind()) {
    case v1::TASK_KIND_PRETRAIN_META:
      *architecture->mutable_vit() = spec.meta();
      return output == "model";
    case v1::TASK_KIND_INCUBATE_TEACHER:
      *architecture->mutable_vit() = spec.teacher();
      architecture->set_module_index(spec.module_index());
      return output == "stage";
    case v1::TASK_KIND_SPLIT_TEACHER: {
      *architecture->mutable_vit() = spec.teacher();
      absl::string_view index = output;
      int number = 0;
      if (!absl::ConsumePrefix(&index, "stage.") || !absl::SimpleAtoi(index, &number)) return false;
      architecture->set_module_index(number);
      return true;
    }
    case v1::TASK_KIND_ASSEMBLE_TEACHER:
    case v1::TASK_KIND_FINETUNE_TEACHER:
      *architecture->mutable_vit() = spec.teacher();
      return output == "model";
    case v1::TASK_KIND_DISTILL_MODULE:
    case v1::TASK_KIND_SELECT_MODULE:
      SetStudent(spec.student(), architecture);
      architecture->set_module_index(spec.module_index());
      if (!spec.student().has_vit()) architecture->set_stitch_width(spec.meta().embed_dim());
      return output == "module";
    case v1::TASK_KIND_ASSEMBLE_STUDENT:
    case v1::TASK_KIND_FINETUNE_STUDENT:
    case v1::TASK_KIND_TRAIN_BASELINE:
    case v1::TASK_KIND_FEW_SHOT:
      SetStudent(spec.student(), architecture);
      if (KeepsStitches(spec.student())) architecture->set_stitch_width(spec.meta().embed_dim());
      return output == "model";
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<v1::ArchitectureDescription> ArchitectureOfOutput(const v1::TaskSpec& spec,
                                                                 const std::string& output) {
  v1::ArchitectureDescription architecture;
  architecture.set_format(kArchitectureFormat);
  // Images are brought to their input size; specs of old jobs have none.
  const v1::DatasetSpec& dataset = spec.dataset();
  architecture.set_image_size(dataset.input_size() > 0 ? dataset.input_size()
                                                       : dataset.image_size());
  architecture.set_channels(spec.dataset().channels());
  architecture.set_patch_size(spec.patch_size());
  architecture.set_classes(spec.dataset().classes());
  architecture.set_modules(spec.modules());
  if (!SetNetwork(spec, output, &architecture)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot describe output ", output,
                     " of a task: it holds no network; kind=", v1::TaskKind_Name(spec.kind())));
  }
  if (architecture.has_vit()) ListDepths(spec.modules(), architecture.mutable_vit());
  if (architecture.has_vmoe()) {
    ListDepths(spec.modules(), architecture.mutable_vmoe()->mutable_backbone());
  }
  DISTILL_RETURN_IF_ERROR(
      Annotate(ResolveArchitecture(&architecture), "cannot describe what a task made"));
  return architecture;
}

}  // namespace distill::storage
