// Times one step of distilling one V-MoE module with our trainer's own parts, exactly the step of
// pytorch_step.py beside it: teacher hybrid forward without gradient, student hybrid forward, loss,
// backward, AdamW. No I/O, no augmentation. Prints the same JSON line, so that step_bench.py can
// first compare the losses and then the time.
#include <torch/torch.h>

#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "tests/bench/step_timing.h"
#include "tests/support/torch/fill_rule.h"
#include "worker/models/hybrid.h"
#include "worker/models/staged_model.h"
#include "worker/models/state.h"
#include "worker/optimization/adamw.h"
#include "worker/optimization/losses.h"

namespace distill {
namespace {

constexpr int64_t kModules = 4;
constexpr int64_t kClasses = 10;
constexpr int64_t kImage = 28;
constexpr int64_t kExperts = 4;
constexpr double kAmplitude = 0.05;

struct Options {
  int64_t dim = 64;
  int64_t student_dim = 48;
  int64_t heads = 4;
  int64_t batch = 64;
  int64_t module = 1;
  int64_t steps = 50;
  int64_t warmup = 5;
  bool float64 = false;
};

// What the peer calls our parameters; the fill rule goes by sorted names.
std::string PeerName(std::string name) {
  name = absl::StrReplaceAll(name, {{"patch_embed.proj.", "patch_embed."},
                                    {".moe.gate.gate.", ".mlp.gate."},
                                    {".moe.experts.", ".mlp.experts."},
                                    {".htoh4.", ".fc1."},
                                    {".h4toh.", ".fc2."},
                                    {"_stitch.ln.", "_stitch.0."},
                                    {"_stitch.fc.", "_stitch.1."}});
  return name;
}

models::VmoeConfig BaseConfig(int64_t width, const Options& options, int64_t module,
                              int64_t depth) {
  models::VmoeConfig config;
  config.vit.image_size = kImage;
  config.vit.patch_size = 7;
  config.vit.embed_dim = width;
  config.vit.heads = options.heads;
  config.vit.classes = kClasses;
  config.vit.stage_depths = {depth};
  config.experts = kExperts;
  config.role = module == 0              ? models::StageRole::kFirst
                : module == kModules - 1 ? models::StageRole::kLast
                                         : models::StageRole::kMiddle;
  return config;
}

models::VitStage BuildStage(const models::VmoeConfig& config, const Options& options) {
  models::VitStage stage = models::StagedModel::Create(config).value().stages()[0];
  if (options.float64) stage->to(torch::kDouble);
  FillByRule(ExportState(stage), kAmplitude, PeerName);
  return stage;
}

// One run: all tensors and the step.
class Workload {
 public:
  explicit Workload(const Options& options)
      : options_(options),
        meta_(BuildMeta(options)),
        teacher_(BuildStage(BaseConfig(options.dim, options, options.module, 2), options)),
        student_(BuildStage(StudentConfig(options), options)),
        optimiser_(Parameters(student_), PeerOptimiser()) {
    Freeze(meta_);
    Freeze(teacher_);
    images_ = SineInput({options.batch, 1, kImage, kImage}, 0.01,
                        options.float64 ? torch::kDouble : torch::kFloat);
    labels_ = torch::arange(options.batch, torch::kLong).remainder(kClasses);
  }

  double Step() {
    const torch::Tensor prefix = PrefixOutput(meta_, options_.module, images_, {});
    const torch::Tensor w = TeacherLogits(meta_, options_.module, teacher_, prefix);
    const torch::Tensor z = HybridLogits(meta_, options_.module, student_, prefix, {});
    optimization::DistillationConfig config;
    config.divisor = optimization::DistillationDivisor::kBatch;
    const optimization::DistillationLoss loss =
        CombineDistillation(optimization::CrossEntropy(z, labels_), z, w, config);
    optimiser_.ZeroGradients();
    loss.total.backward();
    optimiser_.Step(1e-3);
    return loss.total.item<double>();
  }

 private:
  static models::StagedModel BuildMeta(const Options& options) {
    std::vector<models::VitStage> stages;
    for (int64_t i = 0; i < kModules; ++i) {
      stages.push_back(BuildStage(BaseConfig(options.dim, options, i, 1), options));
    }
    return models::StagedModel(stages);
  }

  static models::VmoeConfig StudentConfig(const Options& options) {
    models::VmoeConfig config = BaseConfig(options.student_dim, options, options.module, 1);
    config.moe_blocks = {0};
    config.stitch_width = options.dim;
    if (options.module != 0) config.pre_stitch_blocks = {0};
    if (options.module != kModules - 1) config.post_stitch_blocks = {0};
    return config;
  }

  // The peer decays every parameter.
  static optimization::AdamWConfig PeerOptimiser() {
    optimization::AdamWConfig config;
    config.rule = optimization::DecayRule::kAll;
    return config;
  }

  static std::vector<models::NamedTensor> Parameters(const models::VitStage& stage) {
    std::vector<models::NamedTensor> parameters;
    for (const auto& entry : stage->named_parameters()) {
      parameters.push_back({entry.key(), entry.value()});
    }
    return parameters;
  }

  const Options options_;
  models::StagedModel meta_;
  models::VitStage teacher_;
  models::VitStage student_;
  optimization::AdamW optimiser_;
  torch::Tensor images_;
  torch::Tensor labels_;
};

void Run(const Options& options) {
  Workload workload(options);
  nlohmann::json line =
      TimeSteps([&] { return workload.Step(); }, options.warmup, options.steps, options.batch);
  line["dim"] = options.dim;
  line["student_dim"] = options.student_dim;
  line["module"] = options.module;
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace
}  // namespace distill

int main(int argc, char** argv) {
  CLI::App app("One step of distilling one V-MoE module, timed");
  distill::Options options;
  app.add_option("--dim", options.dim, "Width of the meta model and the teacher");
  app.add_option("--student-dim", options.student_dim, "Width of the student");
  app.add_option("--heads", options.heads, "Heads of both");
  app.add_option("--batch", options.batch, "Images per step");
  app.add_option("--module", options.module, "Which of the four modules is distilled");
  app.add_option("--steps", options.steps, "Steps that are timed");
  app.add_option("--warmup", options.warmup, "Steps before");
  app.add_flag("--float64", options.float64, "Compute in float64, to compare losses only");
  CLI11_PARSE(app, argc, argv);
  distill::Run(options);
  return 0;
}
