#include "worker/trainer/predict_command.h"

#include <map>
#include <string>

namespace distill::worker {

CLI::App* AddPredictCommand(CLI::App& app, training::PredictionRequest& request) {
  using optimization::DistillationDivisor;
  using optimization::DistillationKind;
  CLI::App* const predict =
      app.add_subcommand("predict", "Run exported weights on a batch, without server or worker");
  predict->add_option("--arch", request.architecture_file, "Architecture file, JSON")->required();
  predict->add_option("--weights", request.weights_file, "Its weights, safetensors")->required();
  predict->add_option("--meta", request.meta_file, "Weights of a hybrid's meta model");
  predict
      ->add_option("--input", request.input_file,
                   "Batch, safetensors: input, and for a loss targets, teacher_logits or "
                   "output_gradient")
      ->required();
  predict->add_option("--output", request.output_file, "File to write, safetensors")->required();
  predict->add_option("--intermediate", request.intermediates,
                      "Also write these outputs of modules: stage.<i>, or all");
  predict->add_flag("--loss", request.wants_loss, "Also write the loss");
  predict->add_flag("--gradients", request.wants_gradients,
                    "Also write the loss and its gradients");
  predict
      ->add_option_function<std::string>(
          "--dtype", [&request](const std::string& type) { request.is_double = type == "float64"; },
          "Computes in this type; default float32")
      ->check(CLI::IsMember({"float32", "float64"}))
      ->type_name("");
  predict->add_option("--label-smoothing", request.label_smoothing, "Of targets that are classes")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  predict->add_option("--alpha", request.distillation.teacher_share, "Weight of the teacher")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  predict->add_option("--tau", request.distillation.temperature, "Temperature")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  request.distillation.divisor = DistillationDivisor::kBatch;
  predict
      ->add_option("--divisor", request.distillation.divisor,
                   "What the distillation loss is divided by; default batch_mean")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DistillationDivisor>{
          {"batch_mean", DistillationDivisor::kBatch}, {"numel", DistillationDivisor::kElements}}));
  predict->add_option("--kind", request.distillation.kind, "Distillation; default soft")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DistillationKind>{
          {"soft", DistillationKind::kSoft}, {"hard", DistillationKind::kHard}}));
  return predict;
}

}  // namespace distill::worker
