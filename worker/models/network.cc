// Staged ViTs and V-MoEs as networks.
#include "worker/models/network.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "base/check.h"

namespace distill::models {
namespace {

nlohmann::json Describe(const RouterConfig& router) {
  return {{"balance_weight", router.balance_weight},
          {"batch_priority", router.batch_priority},
          {"capacity_factor", router.capacity_factor},
          {"evaluation_capacity_factor", router.evaluation_capacity_factor},
          {"group_images", router.group_images},
          {"importance_weight", router.importance_weight},
          {"kind", std::string(RouterName(router.kind))},
          {"load_weight", router.load_weight},
          {"noise", router.noise}};
}

// What all stages of a network have in common.
nlohmann::json Describe(const std::vector<VitStage>& stages) {
  const StageConfig& first = stages.front()->config();
  const VitConfig& vit = first.vit;
  nlohmann::json json = {
      {"channels", vit.channels},     {"classes", vit.classes},
      {"embed_dim", vit.embed_dim},   {"heads", vit.heads},
      {"image_size", vit.image_size}, {"layer_norm_epsilon", vit.layer_norm_epsilon},
      {"mlp_ratio", vit.mlp_ratio},   {"patch_size", vit.patch_size},
      {"qkv_bias", vit.qkv_bias}};
  for (const VitStage& stage : stages) {
    for (const BlockConfig& block : stage->config().blocks) {
      if (block.mixture_of_experts) {
        json["experts"] = first.experts;
        json["top_k"] = first.top_k;
        if (first.router.kind != RouterKind::kTopK) json["router"] = Describe(first.router);
      }
      if (block.pre_stitch || block.post_stitch) json["stitch_width"] = first.stitch_width;
    }
  }
  return json;
}

// What each block of a stage holds besides what every block holds.
nlohmann::json DescribeBlocks(const StageConfig& stage) {
  nlohmann::json blocks = nlohmann::json::array();
  for (const BlockConfig& block : stage.blocks) {
    nlohmann::json json = nlohmann::json::object();
    if (block.mixture_of_experts) json["experts"] = true;
    if (block.pre_stitch) json["pre_stitch"] = true;
    if (block.post_stitch) json["post_stitch"] = true;
    blocks.push_back(std::move(json));
  }
  return blocks;
}

// Whether the names are timm's: blocks.<b>... without stages.
bool HasFlatNames(const StateMap& state) {
  for (const auto& [name, tensor] : state) {
    if (absl::StartsWith(name, "stages.")) return false;
  }
  return true;
}

// Renames flat names to whole-model ones by the layout of `model`.
StateMap FromFlatNames(const StagedModel& model, StateMap flat) {
  const std::vector<NamedTensor> flat_names = ExportFlatState(model);
  const std::vector<NamedTensor> whole_names = ExportState(model);
  StateMap whole;
  for (size_t i = 0; i < flat_names.size(); ++i) {
    const auto found = flat.find(flat_names[i].name);
    if (found == flat.end()) continue;
    whole.emplace(whole_names[i].name, found->second);
    flat.erase(found);
  }
  whole.merge(flat);  // What is left is unexpected, and is reported as such.
  return whole;
}

bool IsHead(absl::string_view parameter) {
  return absl::StartsWith(parameter, "head.") || absl::StrContains(parameter, ".head.");
}

}  // namespace

torch::Tensor Network::Features(const torch::Tensor& /*input*/,
                                const ForwardContext& /*context*/) const {
  DISTILL_CHECK(false, "only whole networks have features");
  return {};
}

torch::Tensor Network::Classify(const torch::Tensor& /*features*/) const {
  DISTILL_CHECK(false, "only whole networks have a classifier over features");
  return {};
}

AuxiliaryLoss Network::Regulariser(const TrainingMoment& /*moment*/) { return {}; }

absl::Status Network::ImportRunState(const StateMap& state) {
  if (state.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("cannot resume: this network keeps no state of a run");
}

torch::Tensor StagedNetwork::Forward(const torch::Tensor& input,
                                     const ForwardContext& context) const {
  return model_.Forward(input, context);
}

torch::Tensor StagedNetwork::Features(const torch::Tensor& input,
                                      const ForwardContext& context) const {
  const int64_t last = model_.stage_count() - 1;
  VitStage stage = model_.stages().back();
  return stage->Features(model_.ForwardStages(input, 0, last, context), context.At(last));
}

torch::Tensor StagedNetwork::Classify(const torch::Tensor& features) const {
  VitStage stage = model_.stages().back();
  return stage->Classify(features);
}

std::vector<NamedTensor> StagedNetwork::Parameters() const {
  std::vector<NamedTensor> parameters;
  for (size_t s = 0; s < model_.stages().size(); ++s) {
    for (const auto& entry : model_.stages()[s]->named_parameters()) {
      parameters.push_back({WholeName(static_cast<int64_t>(s), entry.key()), entry.value()});
    }
  }
  return parameters;
}

absl::Status StagedNetwork::Import(const StateMap& state, const ImportOptions& options) {
  if (HasFlatNames(state)) return ImportState(model_, FromFlatNames(model_, state), options);
  return ImportState(model_, state, options);
}

void StagedNetwork::Initialize(const CounterRandom& random) {
  models::Initialize(model_, random, experts_);
}

std::string StagedNetwork::Architecture() const {
  nlohmann::json architecture = Describe(model_.stages());
  for (const VitStage& stage : model_.stages()) {
    architecture["stages"].push_back(DescribeBlocks(stage->config()));
  }
  return architecture.dump();
}

bool StagedNetwork::IsClassifier(absl::string_view parameter) const { return IsHead(parameter); }

torch::Tensor StageNetwork::Forward(const torch::Tensor& input,
                                    const ForwardContext& context) const {
  VitStage stage = stage_;
  return stage->forward(input, context);
}

std::vector<NamedTensor> StageNetwork::Parameters() const {
  std::vector<NamedTensor> parameters;
  for (const auto& entry : stage_->named_parameters()) {
    parameters.push_back({entry.key(), entry.value()});
  }
  return parameters;
}

absl::Status StageNetwork::Import(const StateMap& state, const ImportOptions& options) {
  return ImportState(stage_, state, options);
}

void StageNetwork::Initialize(const CounterRandom& random) {
  models::Initialize(stage_, random, experts_);
}

std::string StageNetwork::Architecture() const {
  nlohmann::json architecture = Describe({stage_});
  architecture["blocks"] = DescribeBlocks(stage_->config());
  architecture["has_embedding"] = stage_->config().has_embedding;
  architecture["has_head"] = stage_->config().has_head;
  return architecture.dump();
}

bool StageNetwork::IsClassifier(absl::string_view parameter) const { return IsHead(parameter); }

void Freeze(const Network& network) {
  for (NamedTensor& parameter : network.Parameters()) parameter.tensor.set_requires_grad(false);
}

torch::Device DeviceOf(const Network& network) {
  return network.Parameters().front().tensor.device();
}

int64_t CountParameters(const Network& network) {
  int64_t count = 0;
  for (const NamedTensor& parameter : network.Parameters()) count += parameter.tensor.numel();
  return count;
}

}  // namespace distill::models
