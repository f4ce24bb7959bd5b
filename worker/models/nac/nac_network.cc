// The seam between NACs and trainers.
#include "worker/models/nac/nac_network.h"

#include "absl/strings/match.h"
#include "worker/models/nac/nac_architecture.h"
#include "worker/models/nac/nac_initialization.h"
#include "worker/models/nac/nac_state.h"

namespace distill::models {
namespace {

std::vector<NamedTensor> LiveParameters(const torch::nn::Module& module) {
  std::vector<NamedTensor> parameters;
  for (const auto& entry : module.named_parameters()) {
    parameters.push_back({entry.key(), entry.value()});
  }
  return parameters;
}

}  // namespace

torch::Tensor NacNetwork::Forward(const torch::Tensor& input, const ForwardContext& context) const {
  Nac nac = nac_;
  return nac->forward(input, context);
}

torch::Tensor NacNetwork::Features(const torch::Tensor& input,
                                   const ForwardContext& context) const {
  Nac nac = nac_;
  return nac->Features(input, context);
}

torch::Tensor NacNetwork::Classify(const torch::Tensor& features) const {
  Nac nac = nac_;
  return nac->Classify(features);
}

std::vector<NamedTensor> NacNetwork::Parameters() const { return LiveParameters(*nac_); }

std::vector<NamedTensor> NacNetwork::State() const { return ExportState(nac_); }

absl::Status NacNetwork::Import(const StateMap& state, const ImportOptions& options) {
  return ImportState(nac_, state, options);
}

void NacNetwork::Initialize(const CounterRandom& random) { models::Initialize(nac_, random); }

std::string NacNetwork::Architecture() const { return NacArchitecture(nac_->config()); }

bool NacNetwork::IsClassifier(absl::string_view parameter) const {
  return absl::StrContains(parameter, "to_logits.");
}

torch::Tensor NacModuleNetwork::Forward(const torch::Tensor& input,
                                        const ForwardContext& context) const {
  NacModule module = module_;
  return module->forward(input, context);
}

std::vector<NamedTensor> NacModuleNetwork::Parameters() const { return LiveParameters(*module_); }

std::vector<NamedTensor> NacModuleNetwork::State() const { return ExportState(module_); }

absl::Status NacModuleNetwork::Import(const StateMap& state, const ImportOptions& options) {
  return ImportState(module_, state, options);
}

void NacModuleNetwork::Initialize(const CounterRandom& random) {
  models::Initialize(module_, random);
}

std::string NacModuleNetwork::Architecture() const {
  return NacModuleArchitecture(module_->config());
}

bool NacModuleNetwork::IsClassifier(absl::string_view parameter) const {
  return absl::StrContains(parameter, "to_logits.");
}

}  // namespace distill::models
