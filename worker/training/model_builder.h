// From the messages of a task to networks: which stages a task needs, how each is shaped, and how
// their weights come from and go to files. Only the stages that are asked for are built and loaded.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/counter_random.h"
#include "distill/v1/task.pb.h"
#include "worker/models/model_config.h"
#include "worker/models/network.h"
#include "worker/models/staged_model.h"
#include "worker/training/network_options.h"
#include "worker/training/tensor_file.h"

namespace distill::training {

// All of these return kInvalidArgument naming the field of the task that is missing or wrong.

// One entry per module. Drop-path rises from 0 at the first block to `drop_path` at the last.
absl::StatusOr<std::vector<models::StageConfig>> MetaStages(const v1::TaskSpec& spec,
                                                            double drop_path);
absl::StatusOr<std::vector<models::StageConfig>> TeacherStages(const v1::TaskSpec& spec,
                                                               double drop_path);
// The assembled ViT or V-MoE student; it has stitches where the student's spec keeps them.
absl::StatusOr<std::vector<models::StageConfig>> StudentStages(const v1::TaskSpec& spec,
                                                               double drop_path);

// Teacher stage `module_index` in its place among the stages of the meta model: drop-path rises
// over the blocks of the hybrid, of which only those of the stage drop.
absl::StatusOr<models::StageConfig> IncubatedStage(const v1::TaskSpec& spec, double drop_path);

// Module `module_index` of a ViT or V-MoE student with its stitches: a mixture has one where it
// meets the meta model's tokens. Drop-path rises within the module.
absl::StatusOr<models::StageConfig> StudentModule(const v1::TaskSpec& spec, double drop_path);

// The networks of a task, without weights. Drop-path as above.
absl::StatusOr<std::unique_ptr<models::Network>> BuildMeta(const v1::TaskSpec& spec,
                                                           double drop_path);
absl::StatusOr<std::unique_ptr<models::Network>> BuildTeacher(const v1::TaskSpec& spec,
                                                              double drop_path);
absl::StatusOr<std::unique_ptr<models::Network>> BuildStudent(const v1::TaskSpec& spec,
                                                              double drop_path);
absl::StatusOr<std::unique_ptr<models::Network>> BuildTeacherStage(const v1::TaskSpec& spec,
                                                                   double drop_path);
absl::StatusOr<std::unique_ptr<models::Network>> BuildStudentModule(const v1::TaskSpec& spec,
                                                                    double drop_path);

// What the task tells its networks besides their own messages.
absl::StatusOr<NetworkFrame> FrameOf(const v1::TaskSpec& spec);

// Side in pixels of the images that networks for this data set take.
int64_t ImageSide(const v1::DatasetSpec& dataset);

models::StagedModel BuildModel(const std::vector<models::StageConfig>& stages);

// Builds and loads stages of a whole model out of `path`; the others are null. Frozen.
absl::StatusOr<models::StagedModel> LoadFrozenStages(const std::vector<models::StageConfig>& stages,
                                                     const std::vector<bool>& wanted,
                                                     const std::string& path);

// Fills a whole model from a file, by whole-model or flat names.
absl::Status LoadModel(const std::string& path, models::Network& model);

// Fills a module from a file of one module. Refuses a file that says it is another one than number
// `index`. Stitches that the module lacks are left out when asked for.
absl::Status LoadModule(const std::string& path, int64_t index, models::Network& module,
                        const models::ImportOptions& options = {});
// The tensors of such a file.
absl::StatusOr<NamedTensors> ReadModule(const std::string& path, int64_t index);

// Weights with what is needed to build the network again; copies, so they stay as they are now.
TensorFile ExportModel(const models::Network& model);
TensorFile ExportModule(const models::Network& module, int64_t index);

// Where the first weights of a network of the task come from: for a module a function of its
// number, so that it gets the same ones wherever it is trained. A whole model is module 0. Mediator
// modules of a NAC that are to become one layer, the mean of them, all start as the first does.
CounterRandom InitializationRandom(const v1::TaskSpec& spec);

}  // namespace distill::training
