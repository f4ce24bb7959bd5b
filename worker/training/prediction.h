// One pass of an exported model, module or hybrid over one batch, from files to a file: how weights
// are checked against another implementation.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/optimization/losses.h"

namespace distill::training {

struct PredictionRequest {
  std::string architecture_file;
  std::string weights_file;
  std::string meta_file;  // Hybrids only.
  // Tensors: "input", pixels [B, C, H, W] or tokens [B, T, D]. For a loss also "targets" (classes,
  // int64 [B], or shares of them [B, K]), "teacher_logits" [B, K]; or, for any output,
  // "output_gradient" of its shape, whose product with the output is summed.
  std::string input_file;
  std::string output_file;
  // Names of outputs of modules: "stage.<i>"; of a whole NAC: "tokens", "input_states",
  // "mediator_states" and "output_states". "all" stands for all of them.
  std::vector<std::string> intermediates;
  bool wants_loss = false;
  bool wants_gradients = false;  // Of the loss.
  bool is_double = false;        // Computes and writes in float64 rather than float32.
  torch::Device device = torch::kCPU;
  // Not used without teacher logits.
  optimization::DistillationConfig distillation;
  double label_smoothing = 0.0;  // Of targets that are classes.
};

// Runs in evaluation mode and writes a safetensors file: "logits" or "tokens"; the intermediates by
// their names; "loss", and with a teacher "loss.cross_entropy" and "loss.distillation";
// "gradient.<name>" of every trained parameter by its name in the weights file, and of "input"
// unless frozen modules come before the trained ones. The same request writes the same bytes.
// Errors: kInvalidArgument naming file, tensor or field; those of base/file.h.
absl::Status Predict(const PredictionRequest& request);

}  // namespace distill::training
