// Runs a chain of networks over a batch and collects what was asked for.
#include "worker/training/prediction.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/weights/architecture.h"
#include "worker/models/nac/nac_network.h"
#include "worker/training/described_network.h"
#include "worker/training/tensor_file.h"
#include "worker/training/torch_guard.h"

namespace distill::training {
namespace {

constexpr char kInput[] = "input";
constexpr char kTargets[] = "targets";
constexpr char kTeacherLogits[] = "teacher_logits";
constexpr char kOutputGradient[] = "output_gradient";

absl::Status WrongTensor(const PredictionRequest& request, absl::string_view name,
                         absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use tensor \"", name, "\" of ", request.input_file, ": ", cause));
}

// Width of the tokens that the first network takes; 0 when it takes pixels.
int64_t TokenWidth(const v1::ArchitectureDescription& architecture) {
  const bool takes_pixels = architecture.has_meta() || !architecture.has_module_index() ||
                            architecture.module_index() == 0;
  if (takes_pixels) return 0;
  if (architecture.stitch_width() != 0) return architecture.stitch_width();
  return storage::BackboneOf(architecture).embed_dim();
}

absl::Status CheckInput(const PredictionRequest& request,
                        const v1::ArchitectureDescription& architecture,
                        const torch::Tensor& input) {
  if (!input.is_floating_point()) {
    return WrongTensor(request, kInput, "must hold floating-point numbers");
  }
  const int64_t width = TokenWidth(architecture);
  if (width != 0) {
    if (input.dim() == 3 && input.size(2) == width && input.numel() > 0) return absl::OkStatus();
    return WrongTensor(request, kInput,
                       absl::StrCat("must be tokens [B, T, ", width, "]; got=", ShapeText(input)));
  }
  const int64_t side = architecture.image_size();
  if (input.dim() == 4 && input.size(1) == architecture.channels() && input.size(2) == side &&
      input.size(3) == side && input.numel() > 0) {
    return absl::OkStatus();
  }
  return WrongTensor(request, kInput,
                     absl::StrCat("must be pixels [B, ", architecture.channels(), ", ", side, ", ",
                                  side, "]; got=", ShapeText(input)));
}

// Reads the batch; integers stay as they are.
absl::StatusOr<NamedTensors> ReadBatch(const PredictionRequest& request,
                                       const v1::ArchitectureDescription& architecture,
                                       torch::ScalarType dtype) {
  DISTILL_ASSIGN_OR_RETURN(TensorFile file, ReadTensorFile(request.input_file));
  for (auto& [name, tensor] : file.tensors) {
    if (name != kInput && name != kTargets && name != kTeacherLogits && name != kOutputGradient) {
      return WrongTensor(request, name,
                         "unknown name; known: input, targets, teacher_logits, "
                         "output_gradient");
    }
    if (tensor.is_floating_point()) tensor = tensor.to(dtype);
  }
  for (auto& [name, tensor] : file.tensors) tensor = tensor.to(request.device);
  if (file.tensors.count(kInput) == 0) return WrongTensor(request, kInput, "it is missing");
  DISTILL_RETURN_IF_ERROR(CheckInput(request, architecture, file.tensors.at(kInput)));
  return std::move(file.tensors);
}

// What passes through a whole NAC, which is no chain of modules.
constexpr const char* kNacTrace[] = {"tokens", "input_states", "mediator_states", "output_states"};

const models::NacNetwork* AsNac(const ChainLink& link) {
  return dynamic_cast<const models::NacNetwork*>(link.network.get());
}

absl::Status CheckIntermediates(const PredictionRequest& request,
                                const std::vector<ChainLink>& chain) {
  std::vector<std::string> known = {"all"};
  for (const ChainLink& link : chain) {
    if (AsNac(link) == nullptr) {
      known.push_back(link.name);
    } else {
      known.insert(known.end(), std::begin(kNacTrace), std::end(kNacTrace));
    }
  }
  for (const std::string& name : request.intermediates) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write intermediate ", name,
                     ": there is none of that name; known: ", absl::StrJoin(known, " ")));
  }
  return absl::OkStatus();
}

bool IsWanted(const PredictionRequest& request, const std::string& name) {
  const std::vector<std::string>& wanted = request.intermediates;
  return std::find(wanted.begin(), wanted.end(), name) != wanted.end() ||
         std::find(wanted.begin(), wanted.end(), "all") != wanted.end();
}

// Runs one network and stores what is wanted of its way.
torch::Tensor RunLink(const PredictionRequest& request, const ChainLink& link,
                      const torch::Tensor& x, const models::ForwardContext& context,
                      NamedTensors* results) {
  if (const models::NacNetwork* const network = AsNac(link)) {
    models::NacTrace trace;
    models::Nac nac = network->nac();
    const torch::Tensor logits = nac->forward(x, context, &trace);
    const torch::Tensor traced[] = {trace.tokens, trace.input_states, trace.mediator_states,
                                    trace.output_states};
    for (size_t i = 0; i < std::size(traced); ++i) {
      if (IsWanted(request, kNacTrace[i])) results->emplace(kNacTrace[i], traced[i].detach());
    }
    return logits;
  }
  const torch::Tensor output = link.network->Forward(x, context);
  if (IsWanted(request, link.name)) results->emplace(link.name, output.detach());
  return output;
}

// Runs the chain. Frozen networks before the first trained one record no gradient.
torch::Tensor RunChain(const PredictionRequest& request, const std::vector<ChainLink>& chain,
                       torch::Tensor x, NamedTensors* results) {
  const models::ForwardContext context;
  bool is_prefix = true;
  for (const ChainLink& link : chain) {
    is_prefix &= link.is_meta;
    const torch::AutoGradMode mode(!is_prefix && request.wants_gradients);
    x = RunLink(request, link, x, context.At(link.position), results);
  }
  return x;
}

// Cross-entropy of `logits` [B, K] against classes or shares.
absl::StatusOr<torch::Tensor> CrossEntropyOf(const PredictionRequest& request,
                                             const torch::Tensor& logits,
                                             const torch::Tensor& targets) {
  if (targets.is_floating_point()) {
    if (targets.sizes() == logits.sizes()) {
      return optimization::SoftTargetCrossEntropy(logits, targets);
    }
  } else if (targets.dim() == 1 && targets.size(0) == logits.size(0)) {
    const torch::Tensor classes = targets.to(torch::kInt64);
    if ((classes < 0).logical_or(classes >= logits.size(1)).any().item<bool>()) {
      return WrongTensor(request, kTargets, absl::StrCat("a class is not below ", logits.size(1)));
    }
    return optimization::SmoothedCrossEntropy(logits, classes, request.label_smoothing);
  }
  return WrongTensor(request, kTargets,
                     absl::StrCat("must be integers [", logits.size(0), "] or shares ",
                                  ShapeText(logits), "; got=", ShapeText(targets)));
}

absl::StatusOr<torch::Tensor> LossOf(const PredictionRequest& request, const NamedTensors& batch,
                                     const torch::Tensor& output, NamedTensors* results) {
  if (const auto given = batch.find(kOutputGradient); given != batch.end()) {
    if (given->second.sizes() == output.sizes()) return (output * given->second).sum();
    return WrongTensor(request, kOutputGradient,
                       absl::StrCat("must have the output's shape ", ShapeText(output),
                                    "; got=", ShapeText(given->second)));
  }
  const auto targets = batch.find(kTargets);
  if (targets == batch.end() || output.dim() != 2) {
    return WrongTensor(request, output.dim() == 2 ? kTargets : kOutputGradient,
                       "a loss needs it, and it is missing");
  }
  DISTILL_ASSIGN_OR_RETURN(const torch::Tensor cross_entropy,
                           CrossEntropyOf(request, output, targets->second));
  const auto teacher = batch.find(kTeacherLogits);
  if (teacher == batch.end()) return cross_entropy;
  if (teacher->second.sizes() != output.sizes() || !teacher->second.is_floating_point()) {
    return WrongTensor(request, kTeacherLogits,
                       absl::StrCat("must be numbers of shape ", ShapeText(output),
                                    "; got=", ShapeText(teacher->second)));
  }
  const optimization::DistillationLoss loss = optimization::CombineDistillation(
      cross_entropy, output, teacher->second, request.distillation);
  results->emplace("loss.cross_entropy", loss.cross_entropy.detach());
  if (loss.distillation.defined()) {
    results->emplace("loss.distillation", loss.distillation.detach());
  }
  return loss.total;
}

// Tensors that the loss does not reach have a zero gradient.
void CollectGradients(const std::vector<ChainLink>& chain, const torch::Tensor& input,
                      NamedTensors* results) {
  const auto gradient_of = [](const torch::Tensor& tensor) {
    return tensor.grad().defined() ? tensor.grad() : torch::zeros_like(tensor);
  };
  for (const ChainLink& link : chain) {
    if (link.is_meta) continue;
    std::vector<models::NamedTensor> gradients;
    for (const models::NamedTensor& parameter : link.network->Parameters()) {
      models::AppendByFileNames(parameter.name, gradient_of(parameter.tensor), &gradients);
    }
    for (const models::NamedTensor& gradient : gradients) {
      results->emplace(absl::StrCat("gradient.", FileName(link, gradient.name)), gradient.tensor);
    }
  }
  if (!chain.front().is_meta) results->emplace("gradient.input", gradient_of(input));
}

absl::Status RunPrediction(const PredictionRequest& request) {
  DISTILL_ASSIGN_OR_RETURN(const v1::ArchitectureDescription architecture,
                           storage::ReadArchitecture(request.architecture_file));
  if (architecture.has_meta() == request.meta_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot predict: ",
                     architecture.has_meta() ? "a hybrid needs the meta model's weights"
                                             : "only a hybrid takes a meta model's weights",
                     "; architecture=", request.architecture_file));
  }
  const torch::ScalarType dtype = request.is_double ? torch::kFloat64 : torch::kFloat32;
  DISTILL_ASSIGN_OR_RETURN(std::vector<ChainLink> chain, BuildChain(architecture, dtype));
  DISTILL_RETURN_IF_ERROR(CheckIntermediates(request, chain));
  DISTILL_ASSIGN_OR_RETURN(const NamedTensors batch, ReadBatch(request, architecture, dtype));
  DISTILL_RETURN_IF_ERROR(LoadChain(architecture, request.weights_file, false, chain));
  if (architecture.has_meta()) {
    DISTILL_RETURN_IF_ERROR(LoadChain(architecture, request.meta_file, true, chain));
  }
  for (const ChainLink& link : chain) link.network->MoveTo(request.device);

  TensorFile file;
  torch::Tensor input = batch.at(kInput);
  if (request.wants_gradients && !chain.front().is_meta) input.set_requires_grad(true);
  const torch::Tensor output = RunChain(request, chain, input, &file.tensors);
  file.tensors.emplace(output.dim() == 2 ? "logits" : "tokens", output.detach());
  if (request.wants_loss || request.wants_gradients) {
    DISTILL_ASSIGN_OR_RETURN(const torch::Tensor loss,
                             LossOf(request, batch, output, &file.tensors));
    file.tensors.emplace("loss", loss.detach());
    if (request.wants_gradients) {
      loss.backward();
      CollectGradients(chain, input, &file.tensors);
    }
  }
  file.metadata = {{"format", "distillery-prediction-1"}};
  return WriteTensorFile(request.output_file, file);
}

}  // namespace

absl::Status Predict(const PredictionRequest& request) {
  return GuardTorch("predict", [&request] { return RunPrediction(request); });
}

}  // namespace distill::training
