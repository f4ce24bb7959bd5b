#include "worker/training/model_builder.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/models/hybrid.h"
#include "worker/training/nac_builder.h"

namespace distill::training {
namespace {

constexpr char kFormatKey[] = "format";
constexpr char kFormat[] = "distillery-weights-1";
constexpr char kArchitectureKey[] = "architecture";
constexpr char kStageKey[] = "stage";

absl::Status Wrong(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build network: ", field, ": ", cause));
}

// Turns a fully resolved spec into a configuration; `field` names it in messages.
absl::StatusOr<models::VitConfig> CheckedVitConfig(const v1::TaskSpec& spec, const v1::VitSpec& vit,
                                                   double drop_path, absl::string_view field) {
  if (vit.embed_dim() <= 0) return Wrong(absl::StrCat(field, ".embed_dim"), "is not set");
  DISTILL_ASSIGN_OR_RETURN(const NetworkFrame frame, FrameOf(spec));
  models::VitConfig config = VitConfigOf(frame, vit);
  if (static_cast<int64_t>(config.stage_depths.size()) != spec.modules()) {
    return Wrong(
        absl::StrCat(field, ".stage_depths"),
        absl::StrCat("must divide the blocks among the modules; got=", config.stage_depths.size(),
                     " modules=", spec.modules(), " depth=", vit.depth()));
  }
  config.drop_path = drop_path;
  return config;
}

absl::StatusOr<models::VmoeConfig> StudentConfig(const v1::TaskSpec& spec, double drop_path) {
  models::VmoeConfig config;
  if (spec.student().has_vit()) {
    DISTILL_ASSIGN_OR_RETURN(
        config.vit, CheckedVitConfig(spec, spec.student().vit(), drop_path, "student.vit"));
    return config;
  }
  const v1::VmoeSpec& vmoe = spec.student().vmoe();
  DISTILL_ASSIGN_OR_RETURN(
      const models::VitConfig vit,
      CheckedVitConfig(spec, vmoe.backbone(), drop_path, "student.vmoe.backbone"));
  DISTILL_ASSIGN_OR_RETURN(const NetworkFrame frame, FrameOf(spec));
  DISTILL_ASSIGN_OR_RETURN(config, VmoeConfigOf(frame, vmoe));
  config.vit = vit;
  return config;
}

absl::Status CheckModuleIndex(const v1::TaskSpec& spec) {
  if (spec.module_index() >= 0 && spec.module_index() < spec.modules()) return absl::OkStatus();
  return Wrong("module_index", absl::StrCat("must be in [0, modules); got=", spec.module_index(),
                                            " modules=", spec.modules()));
}

NamedTensors Copy(const std::vector<models::NamedTensor>& state) {
  NamedTensors copy;
  for (const models::NamedTensor& entry : state) copy.emplace(entry.name, entry.tensor.clone());
  return copy;
}

// Whether the names are timm's, which do not tell stages apart.
bool HasFlatNames(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (absl::StartsWith(name, "stages.")) return false;
  }
  return true;
}

models::ExpertInitialization ExpertInitializationOf(const v1::StudentSpec& student) {
  return student.vmoe().expert_init() == v1::EXPERT_INIT_REFERENCE
             ? models::ExpertInitialization::kReference
             : models::ExpertInitialization::kPerMatrix;
}

std::unique_ptr<models::Network> Whole(const std::vector<models::StageConfig>& stages,
                                       const v1::StudentSpec& student) {
  return std::make_unique<models::StagedNetwork>(BuildModel(stages),
                                                 ExpertInitializationOf(student));
}

std::unique_ptr<models::Network> Module(const models::StageConfig& stage,
                                        const v1::StudentSpec& student) {
  return std::make_unique<models::StageNetwork>(models::VitStage(stage),
                                                ExpertInitializationOf(student));
}

TensorFile Export(const models::Network& network) {
  TensorFile file;
  file.tensors = Copy(network.State());
  file.metadata = {{kFormatKey, kFormat}, {kArchitectureKey, network.Architecture()}};
  return file;
}

}  // namespace

absl::StatusOr<std::vector<models::StageConfig>> MetaStages(const v1::TaskSpec& spec,
                                                            double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const models::VitConfig config,
                           CheckedVitConfig(spec, spec.meta(), drop_path, "meta"));
  return models::StagesOf(config);
}

absl::StatusOr<std::vector<models::StageConfig>> TeacherStages(const v1::TaskSpec& spec,
                                                               double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const models::VitConfig config,
                           CheckedVitConfig(spec, spec.teacher(), drop_path, "teacher"));
  return models::StagesOf(config);
}

absl::StatusOr<std::vector<models::StageConfig>> StudentStages(const v1::TaskSpec& spec,
                                                               double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(models::VmoeConfig config, StudentConfig(spec, drop_path));
  if (spec.student().has_vmoe() && spec.student().vmoe().keep_stitches()) {
    AddStitches(spec.meta().embed_dim(), &config);
  }
  return models::StagesOf(config);
}

absl::StatusOr<models::StageConfig> IncubatedStage(const v1::TaskSpec& spec, double drop_path) {
  DISTILL_RETURN_IF_ERROR(CheckModuleIndex(spec));
  DISTILL_ASSIGN_OR_RETURN(std::vector<models::StageConfig> teacher, TeacherStages(spec, 0));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<models::StageConfig> meta, MetaStages(spec, 0));
  if (spec.teacher().embed_dim() != spec.meta().embed_dim()) {
    return Wrong("teacher.embed_dim",
                 absl::StrCat("must equal meta.embed_dim; got=", spec.teacher().embed_dim(),
                              " meta=", spec.meta().embed_dim()));
  }
  const size_t index = static_cast<size_t>(spec.module_index());
  size_t before = 0;
  size_t total = teacher[index].blocks.size();
  for (size_t s = 0; s < meta.size(); ++s) {
    if (s < index) before += meta[s].blocks.size();
    if (s != index) total += meta[s].blocks.size();
  }
  for (size_t b = 0; b < teacher[index].blocks.size(); ++b) {
    teacher[index].blocks[b].drop_path =
        total < 2 ? 0
                  : drop_path * static_cast<double>(before + b) / static_cast<double>(total - 1);
  }
  return std::move(teacher[index]);
}

absl::StatusOr<models::StageConfig> StudentModule(const v1::TaskSpec& spec, double drop_path) {
  DISTILL_RETURN_IF_ERROR(CheckModuleIndex(spec));
  DISTILL_ASSIGN_OR_RETURN(models::VmoeConfig config, StudentConfig(spec, drop_path));
  const std::vector<int64_t> depths = config.vit.stage_depths;
  const int64_t index = spec.module_index();
  const bool is_first = index == 0;
  const bool is_last = index + 1 == spec.modules();
  const int64_t depth = depths[static_cast<size_t>(index)];
  int64_t begin = 0;
  for (int64_t s = 0; s < index; ++s) begin += depths[static_cast<size_t>(s)];

  config.vit.stage_depths = {depth};
  std::vector<int64_t> local_moe_blocks;
  for (const int64_t block : config.moe_blocks) {
    if (block >= begin && block < begin + depth) local_moe_blocks.push_back(block - begin);
  }
  config.moe_blocks = std::move(local_moe_blocks);
  config.role = is_first ? (is_last ? models::StageRole::kWhole : models::StageRole::kFirst)
                         : (is_last ? models::StageRole::kLast : models::StageRole::kMiddle);
  if (spec.student().has_vmoe()) {
    config.stitch_width = spec.meta().embed_dim();
    if (!is_first) config.pre_stitch_blocks = {0};
    if (!is_last) config.post_stitch_blocks = {depth - 1};
  } else if (config.vit.embed_dim != spec.meta().embed_dim()) {
    return Wrong("student.vit.embed_dim",
                 absl::StrCat("must equal meta.embed_dim, for a ViT student has no stitches; got=",
                              config.vit.embed_dim, " meta=", spec.meta().embed_dim()));
  }
  DISTILL_ASSIGN_OR_RETURN(std::vector<models::StageConfig> stages, models::StagesOf(config));
  return std::move(stages.front());
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildMeta(const v1::TaskSpec& spec,
                                                           double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const auto stages, MetaStages(spec, drop_path));
  return Whole(stages, spec.student());
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildTeacher(const v1::TaskSpec& spec,
                                                              double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const auto stages, TeacherStages(spec, drop_path));
  return Whole(stages, spec.student());
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildStudent(const v1::TaskSpec& spec,
                                                              double drop_path) {
  if (spec.student().has_nac()) return BuildNac(spec, drop_path);
  DISTILL_ASSIGN_OR_RETURN(const auto stages, StudentStages(spec, drop_path));
  return Whole(stages, spec.student());
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildTeacherStage(const v1::TaskSpec& spec,
                                                                   double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const models::StageConfig stage, IncubatedStage(spec, drop_path));
  return Module(stage, spec.student());
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildStudentModule(const v1::TaskSpec& spec,
                                                                    double drop_path) {
  DISTILL_RETURN_IF_ERROR(CheckModuleIndex(spec));
  if (spec.student().has_nac()) return BuildNacModule(spec, drop_path);
  DISTILL_ASSIGN_OR_RETURN(const models::StageConfig stage, StudentModule(spec, drop_path));
  return Module(stage, spec.student());
}

absl::StatusOr<NetworkFrame> FrameOf(const v1::TaskSpec& spec) {
  if (ImageSide(spec.dataset()) <= 0 || spec.dataset().channels() <= 0) {
    return Wrong("dataset", "image_size or channels is not set");
  }
  return NetworkFrame{ImageSide(spec.dataset()), spec.dataset().channels(), spec.patch_size(),
                      spec.dataset().classes(), spec.modules()};
}

int64_t ImageSide(const v1::DatasetSpec& dataset) {
  return dataset.input_size() > 0 ? dataset.input_size() : dataset.image_size();
}

models::StagedModel BuildModel(const std::vector<models::StageConfig>& stages) {
  std::vector<models::VitStage> built;
  for (const models::StageConfig& stage : stages) built.push_back(models::VitStage(stage));
  return models::StagedModel(std::move(built));
}

absl::StatusOr<models::StagedModel> LoadFrozenStages(const std::vector<models::StageConfig>& stages,
                                                     const std::vector<bool>& wanted,
                                                     const std::string& path) {
  std::vector<std::string> prefixes;
  for (size_t s = 0; s < stages.size(); ++s) {
    if (wanted[s]) prefixes.push_back(absl::StrCat("stages.", s, "."));
  }
  if (wanted[0]) prefixes.insert(prefixes.end(), {"cls_token", "pos_embed"});
  std::vector<models::VitStage> built(stages.size(), models::VitStage(nullptr));
  if (prefixes.empty()) return models::StagedModel(std::move(built));
  DISTILL_ASSIGN_OR_RETURN(TensorFile file, ReadTensorFile(path, prefixes));
  if (HasFlatNames(file.tensors)) {
    // Flat names do not tell stages apart, so the file is read whole.
    models::StagedNetwork whole(BuildModel(stages), models::ExpertInitialization::kPerMatrix);
    DISTILL_RETURN_IF_ERROR(LoadModel(path, whole));
    models::Freeze(whole);
    return whole.model();
  }
  for (size_t s = 0; s < stages.size(); ++s) {
    if (!wanted[s]) continue;
    built[s] = models::VitStage(stages[s]);
    const absl::Status status =
        models::ImportState(built[s], models::StageState(file.tensors, static_cast<int64_t>(s)));
    if (!status.ok()) return Annotate(status, absl::StrCat("cannot load stage ", s, " of ", path));
    models::Freeze(built[s]);
  }
  return models::StagedModel(std::move(built));
}

absl::Status LoadModel(const std::string& path, models::Network& model) {
  DISTILL_ASSIGN_OR_RETURN(const TensorFile file, ReadTensorFile(path));
  return Annotate(model.Import(file.tensors, {}), absl::StrCat("cannot load ", path));
}

absl::StatusOr<NamedTensors> ReadModule(const std::string& path, int64_t index) {
  DISTILL_ASSIGN_OR_RETURN(TensorFile file, ReadTensorFile(path));
  const auto said = file.metadata.find(kStageKey);
  if (said != file.metadata.end() && said->second != absl::StrCat(index)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot load ", path, ": file holds another stage; stage=", said->second,
                     " wanted=", index));
  }
  return std::move(file.tensors);
}

absl::Status LoadModule(const std::string& path, int64_t index, models::Network& module,
                        const models::ImportOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(const NamedTensors tensors, ReadModule(path, index));
  return Annotate(module.Import(tensors, options), absl::StrCat("cannot load ", path));
}

TensorFile ExportModel(const models::Network& model) { return Export(model); }

TensorFile ExportModule(const models::Network& module, int64_t index) {
  TensorFile file = Export(module);
  file.metadata[kStageKey] = absl::StrCat(index);
  return file;
}

CounterRandom InitializationRandom(const v1::TaskSpec& spec) {
  // Weights that grew from different first ones have no useful mean.
  const bool shares =
      spec.kind() == v1::TASK_KIND_DISTILL_MODULE && spec.student().nac().share_layers();
  return CounterRandom(spec.seed())
      .Stream("init")
      .Stream(static_cast<uint64_t>(shares ? 1 : spec.module_index()));
}

}  // namespace distill::training
