#include "server/report/report_choices.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace distill::server {
namespace {

constexpr int kMostListed = 40;

// "4 3 3 4", and of very many values the first ones and how many there are.
template <typename Values>
std::string Listed(const Values& values) {
  if (values.size() <= kMostListed) return absl::StrJoin(values, " ");
  return absl::StrCat(absl::StrJoin(values.begin(), values.begin() + kMostListed, " "), " ... (",
                      values.size(), " in all)");
}

// "8 blocks (2 a module) of width 32", "14 blocks (4 3 3 4) of width 32".
std::string BlockWords(const v1::VitSpec& vit, int modules) {
  const auto& depths = vit.stage_depths();
  const bool even =
      std::adjacent_find(depths.begin(), depths.end(), std::not_equal_to<>()) == depths.end();
  return absl::StrCat(
      vit.depth(), " blocks (",
      even ? absl::StrCat(vit.depth() / std::max(1, modules), " a module") : Listed(depths),
      ") of width ", vit.embed_dim());
}

std::string StudentWords(const v1::StudentSpec& student, int modules) {
  switch (student.architecture_case()) {
    case v1::StudentSpec::kVmoe:
      return absl::StrCat("V-MoE, ", BlockWords(student.vmoe().backbone(), modules), ", ",
                          student.vmoe().experts(), " experts, top ", student.vmoe().top_k());
    case v1::StudentSpec::kNac:
      return absl::StrCat("NAC, ", student.nac().input_latents(), " input, ",
                          student.nac().mediator_latents(), " mediator and ",
                          student.nac().output_latents(), " output latents of width ",
                          student.nac().state_dim());
    default:
      return absl::StrCat("ViT, ", BlockWords(student.vit(), modules));
  }
}

// "vmoe, capacity 1.05 (4 in evaluation), noise 1, losses: importance 0.005, load 0.005".
std::string RouterWords(const v1::RouterSpec& router) {
  std::string words = EnumWords(v1::RouterKind_Name(router.kind()), "ROUTER_KIND_");
  if (router.capacity_factor() > 0.0 || router.evaluation_capacity_factor() > 0.0) {
    absl::StrAppend(&words, ", capacity ", router.capacity_factor(), " (",
                    router.evaluation_capacity_factor(), " in evaluation)");
  }
  if (router.noise() > 0.0) absl::StrAppend(&words, ", noise ", router.noise());
  if (router.batch_priority()) absl::StrAppend(&words, ", batch priority");
  if (router.group_images() > 0) {
    absl::StrAppend(&words, ", groups of ", router.group_images(), " images");
  }
  std::vector<std::string> losses;
  const auto add_loss = [&](absl::string_view name, double weight) {
    if (weight > 0.0) losses.push_back(absl::StrCat(name, " ", weight));
  };
  add_loss("balance", router.balance_weight());
  add_loss("importance", router.importance_weight());
  add_loss("load", router.load_weight());
  if (!losses.empty()) absl::StrAppend(&words, ", losses: ", absl::StrJoin(losses, ", "));
  return words;
}

// Adds "given ...: digest" for everything that the job brought along.
template <typename Add>
void AddGiven(const v1::GivenArtifacts& given, const Add& add) {
  if (given.has_meta()) add("given meta model", given.meta());
  if (given.has_teacher()) add("given teacher", given.teacher());
  if (!given.teacher_stages().empty()) {
    add("given teacher stages", Listed(given.teacher_stages()));
  }
  if (!given.student_modules().empty()) {
    add("given student modules", Listed(given.student_modules()));
  }
  if (given.has_student()) add("given student", given.student());
}

// "0.1", "0.1 to 0 (linear)".
std::string WeightWords(const v1::SignatureRegulariserSpec& regulariser) {
  if (!regulariser.has_final_weight()) return absl::StrCat(regulariser.weight());
  return absl::StrCat(
      regulariser.weight(), " to ", regulariser.final_weight(), " (",
      EnumWords(v1::WeightSchedule_Name(regulariser.schedule()), "WEIGHT_SCHEDULE_"), ")");
}

// Adds "name: value" lines of one kind of student.
template <typename Add>
void AddStudentChoices(const v1::StudentSpec& student, const Add& add) {
  if (student.has_vmoe()) {
    add("mixtures in blocks", Listed(student.vmoe().moe_blocks()));
    add("router", RouterWords(student.vmoe().router()));
    add("stitches in the assembled student", student.vmoe().keep_stitches() ? "kept" : "dropped");
  }
  if (!student.has_nac()) return;
  const v1::NacSpec& nac = student.nac();
  add("graph prior", EnumWords(v1::GraphPriorKind_Name(nac.prior().kind()), "GRAPH_PRIOR_KIND_"));
  add("signature regulariser",
      absl::StrCat(EnumWords(v1::SignatureRegulariserKind_Name(nac.regulariser().kind()),
                             "SIGNATURE_REGULARISER_KIND_"),
                   ", weight ", WeightWords(nac.regulariser())));
  add("codes of modules", EnumWords(v1::NacCodes_Name(nac.codes()), "NAC_CODES_"));
  add("stitches in the assembled student", nac.keep_stitches() ? "kept" : "dropped");
  add("modules hand on", nac.transfer() == v1::NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER
                             ? "all but grid and classifier (the reference's tinynet)"
                             : "everything (the reference's imagenet)");
  if (nac.share_layers()) {
    add("the one mediator layer",
        nac.shared_layer() == v1::NAC_SHARED_LAYER_FIRST ? "the first module" : "mean of modules");
  }
}

// What the job does, with what the reference does where that is something else.
class ReferenceChoices {
 public:
  explicit ReferenceChoices(v1::Report& report) : report_(report) {}

  void Add(absl::string_view name, absl::string_view chosen, absl::string_view reference) {
    report_.add_reference_choices(
        chosen == reference
            ? absl::StrCat(name, ": ", chosen, " (as the reference)")
            : absl::StrCat(name, ": ", chosen, " (the reference: ", reference, ")"));
  }

 private:
  v1::Report& report_;
};

// "step", "epoch" or both: phases may differ.
std::string ScheduleUnits(const v1::JobSpec& spec) {
  std::set<std::string> units;
  for (const v1::TrainingRecipe* recipe :
       {&spec.pretrain_meta(), &spec.incubate_teacher(), &spec.finetune_teacher(),
        &spec.distill_modules(), &spec.finetune_student()}) {
    units.insert(EnumWords(v1::ScheduleUnit_Name(recipe->schedule_unit()), "SCHEDULE_UNIT_"));
  }
  return absl::StrJoin(units, " and ");
}

void AddReferenceChoices(const v1::JobSpec& spec, v1::Report& report) {
  ReferenceChoices choices(report);
  choices.Add("kd divisor",
              EnumWords(v1::KdDivisor_Name(spec.distillation().divisor()), "KD_DIVISOR_"), "numel");
  choices.Add("learning rate changes every", ScheduleUnits(spec), "epoch");
  choices.Add("sampler of distillation",
              spec.distill_modules().sampler() == v1::SAMPLER_KIND_REFERENCE
                  ? "PyTorch's order"
                  : "counter-based order",
              "PyTorch's order");
  for (const v1::FewShotSpec& episode : spec.few_shot()) {
    choices.Add(absl::StrCat("features of episode ", episode.name()),
                EnumWords(v1::FewShotFeatures_Name(episode.features()), "FEW_SHOT_FEATURES_"),
                "live");
  }
  const v1::StudentSpec& student = spec.student();
  if (student.has_vmoe()) {
    choices.Add("expert init",
                student.vmoe().expert_init() == v1::EXPERT_INIT_REFERENCE ? "bound 1/sqrt(out*in)"
                                                                          : "bound 1/sqrt(in)",
                "bound 1/sqrt(out*in)");
  }
  if (!student.has_nac()) return;
  const v1::NacSpec& nac = student.nac();
  choices.Add("weight decay of the student",
              spec.finetune_student().decay_all_parameters() ? "every parameter" : "matrices only",
              "every parameter");
  choices.Add("evaluation", nac.stochastic_evaluation() ? "stochastic" : "deterministic",
              "stochastic");
  choices.Add("cut links in training",
              nac.reference_link_sampling() ? "keep a tiny weight" : "are cut",
              "keep a tiny weight");
  choices.Add("bandwidths", nac.reference_bandwidth() ? "free" : "kept positive", "free");
  choices.Add("codes of modules", EnumWords(v1::NacCodes_Name(nac.codes()), "NAC_CODES_"),
              "constant");
  choices.Add("layer scale of the read-in's module starts at",
              nac.reference_read_in_scale() ? "1e-06" : absl::StrCat(nac.layer_scale()), "1e-06");
  if (nac.regulariser().kind() == v1::SIGNATURE_REGULARISER_KIND_GRAPHON) {
    choices.Add("graphon matching",
                nac.regulariser().match_rows_only() ? "rows only" : "rows and columns",
                "rows only");
  }
  choices.Add("signatures are fitted to distance", absl::StrCat(nac.prior().fit_threshold()),
              "0.8");
}

}  // namespace

std::string EnumWords(absl::string_view name, absl::string_view prefix) {
  absl::ConsumePrefix(&name, prefix);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", " "}});
}

void AddChoices(const v1::JobSpec& spec, v1::Report& report) {
  const v1::DistillationSpec& distillation = spec.distillation();
  const auto add = [&](absl::string_view name, const absl::AlphaNum& value) {
    report.add_choices(absl::StrCat(name, ": ", value));
  };
  if (spec.has_preset()) add("preset", spec.preset());
  add("seed", spec.seed());
  add("numeric class", spec.execution().numeric_class());
  add("modules", spec.modules());
  add("training images", spec.dataset().train_images() > 0 ? spec.dataset().train_images()
                                                           : spec.dataset().train_size());
  add("images", absl::StrCat(spec.dataset().input_size(), " x ", spec.dataset().input_size(),
                             " pixels, ", spec.dataset().channels(),
                             spec.dataset().channels() == 1 ? " channel, " : " channels, ",
                             spec.dataset().classes(), " classes"));
  if (spec.dataset().corrupt_images() == v1::CORRUPT_IMAGE_POLICY_SKIP) {
    add("corrupt images", "left out, and named in the logs of the tasks");
  }
  add("meta model", BlockWords(spec.meta(), spec.modules()));
  add("teacher", BlockWords(spec.teacher(), spec.modules()));
  add("student", StudentWords(spec.student(), spec.modules()));
  AddGiven(spec.given(), add);
  AddStudentChoices(spec.student(), add);
  add("kd kind", EnumWords(v1::KdKind_Name(distillation.kind()), "KD_KIND_"));
  add("kd alpha", distillation.alpha());
  add("kd tau", distillation.tau());
  if (spec.quality_gate().candidates() > 1 || spec.quality_gate().largest_accuracy_gap() < 1.0) {
    add("quality gate", absl::StrCat("gap of at most ", spec.quality_gate().largest_accuracy_gap(),
                                     ", ", spec.quality_gate().candidates(), " candidates",
                                     spec.quality_gate().best_of_all() ? ", best of all" : ""));
  }
  add("corruptions", absl::StrJoin(spec.evaluation().corruptions(), " "));
  add("test images per corruption and severity",
      spec.evaluation().corruption_images() == 0
          ? std::string("all")
          : absl::StrCat(spec.evaluation().corruption_images()));
  AddReferenceChoices(spec, report);
}

}  // namespace distill::server
