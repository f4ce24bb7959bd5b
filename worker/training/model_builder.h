// From the messages of a task to networks: which stages a task needs, how each is shaped, and how
// their weights come from and go to files. Only the stages that are asked for are built and loaded.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/counter_random.h"
#include "distill/v1/task.pb.h"
#include "worker/models/initialization.h"
#include "worker/models/model_config.h"
#include "worker/models/staged_model.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

// All of these return kInvalidArgument naming the field of the task that is missing or wrong.

// One entry per module. Drop-path rises from 0 at the first block to `drop_path` at the last.
absl::StatusOr<std::vector<models::StageConfig>> MetaStages(const v1::TaskSpec& spec,
                                                            double drop_path);
absl::StatusOr<std::vector<models::StageConfig>> TeacherStages(const v1::TaskSpec& spec,
                                                               double drop_path);
// The assembled student; it has stitches where the student's spec keeps them.
absl::StatusOr<std::vector<models::StageConfig>> StudentStages(const v1::TaskSpec& spec,
                                                               double drop_path);

// Teacher stage `module_index` in its place among the stages of the meta model: drop-path rises
// over the blocks of the hybrid, of which only those of the stage drop.
absl::StatusOr<models::StageConfig> IncubatedStage(const v1::TaskSpec& spec, double drop_path);

// Student module `module_index` with its stitches: a mixture has one where it meets the meta
// model's tokens. Drop-path rises within the module.
absl::StatusOr<models::StageConfig> StudentModule(const v1::TaskSpec& spec, double drop_path);

models::StagedModel BuildModel(const std::vector<models::StageConfig>& stages);
models::ExpertInitialization ExpertInitializationOf(const v1::StudentSpec& student);

// Builds and loads stages of a whole model out of `path`; the others are null. Frozen.
absl::StatusOr<models::StagedModel> LoadFrozenStages(const std::vector<models::StageConfig>& stages,
                                                     const std::vector<bool>& wanted,
                                                     const std::string& path);

// Fills `model` from a file of a whole model, by whole-model or flat names.
absl::Status LoadModel(const std::string& path, const models::StagedModel& model);

// Fills `stage` from a file of one stage, by stage names. Refuses a file that says it is another
// stage than number `index`. Stitches that the stage lacks are left out when asked for.
absl::Status LoadStage(const std::string& path, int64_t index, const models::VitStage& stage,
                       const models::ImportOptions& options = {});

// Weights with what is needed to build the network again; copies, so they stay as they are now.
TensorFile ExportModel(const models::StagedModel& model);
TensorFile ExportStage(const models::VitStage& stage, int64_t index);

}  // namespace distill::training
