#include "worker/training/gang_place.h"

#include "absl/strings/str_cat.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

// Whether another image of the batch has a say in what an image's loss is.
bool LooksAcrossImages(const v1::TaskSpec& spec) {
  const bool has_student =
      spec.kind() == v1::TASK_KIND_FINETUNE_STUDENT || spec.kind() == v1::TASK_KIND_TRAIN_BASELINE;
  if (!has_student) return false;
  if (spec.student().has_nac()) return true;
  const v1::VmoeSpec& vmoe = spec.student().vmoe();
  return spec.student().has_vmoe() && vmoe.router().kind() != v1::ROUTER_KIND_UNSPECIFIED &&
         vmoe.router().kind() != v1::ROUTER_KIND_TOP_K;
}

}  // namespace

GangPlace PlaceOf(const v1::MemberAssignment& assignment) {
  if (!assignment.has_gang()) return GangPlace();
  return {assignment.gang().rank(), assignment.gang().size()};
}

absl::Status CheckGang(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  const GangPlace place = PlaceOf(assignment);
  const int64_t wanted = spec.recipe().gang_size() == 0 ? 1 : spec.recipe().gang_size();
  if (wanted != place.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot start task: it wants another number of trainers; recipe.gang_size=", wanted,
        " trainers=", place.size));
  }
  if (place.is_alone()) return absl::OkStatus();
  const bool is_whole_model =
      IsTraining(spec.kind()) && !IsHybrid(spec.kind()) && spec.kind() != v1::TASK_KIND_FEW_SHOT;
  if (!is_whole_model || LooksAcrossImages(spec)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot start task: recipe.gang_size must be 1 for stages, modules, few-shot training, NAC "
        "and routers that look at more than one token; kind=",
        v1::TaskKind_Name(spec.kind()), " gang_size=", wanted));
  }
  if (place.rank < 0 || place.rank >= place.size || spec.recipe().batch_size() % place.size != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot start task: recipe.gang_size must divide recipe.batch_size; gang_size=", wanted,
        " batch_size=", spec.recipe().batch_size(), " rank=", place.rank));
  }
  return absl::OkStatus();
}

}  // namespace distill::training
