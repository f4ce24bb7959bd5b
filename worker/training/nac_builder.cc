#include "worker/training/nac_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/models/nac/nac_state.h"
#include "worker/training/model_builder.h"
#include "worker/training/network_options.h"

namespace distill::training {
namespace {

constexpr char kSignatures[] = "signatures";
constexpr char kMatchings[] = "matchings";
// In series.
constexpr char kRegulariser[] = "signature_regulariser";

absl::StatusOr<std::unique_ptr<priors::SignatureRegulariser>> BuildRegulariser(
    const v1::NacSpec& nac) {
  const v1::SignatureRegulariserSpec& spec = nac.regulariser();
  priors::RegulariserConfig config;
  switch (spec.kind()) {
    case v1::SIGNATURE_REGULARISER_KIND_HINGE_REPULSION:
      config.kind = priors::RegulariserKind::kHingeRepulsion;
      break;
    case v1::SIGNATURE_REGULARISER_KIND_GRAPHON:
      config.kind = priors::RegulariserKind::kGraphon;
      config.prior = PriorConfigOf(nac);
      break;
    default:
      return nullptr;
  }
  config.hinge = spec.hinge();
  config.truncation = nac.truncation();
  config.penalty = spec.bernoulli() ? priors::GraphonPenalty::kBernoulli
                                    : priors::GraphonPenalty::kSquaredDifference;
  config.clip = spec.clip();
  config.match_rows_only = spec.match_rows_only();
  if (spec.has_match_every()) config.match_every = spec.match_every();
  absl::StatusOr<std::unique_ptr<priors::SignatureRegulariser>> regulariser =
      priors::SignatureRegulariser::Create(config);
  if (!regulariser.ok()) {
    return Annotate(regulariser.status(), "cannot build network: student.nac.regulariser");
  }
  return regulariser;
}

optimization::WeightSchedule WeightOf(const v1::SignatureRegulariserSpec& spec) {
  optimization::WeightSchedule weight;
  weight.first = spec.weight();
  weight.last = spec.final_weight();
  if (spec.schedule() == v1::WEIGHT_SCHEDULE_LINEAR) {
    weight.curve = optimization::WeightCurve::kLinear;
  } else if (spec.schedule() == v1::WEIGHT_SCHEDULE_COSINE) {
    weight.curve = optimization::WeightCurve::kCosine;
  }
  return weight;
}

const models::Nac& NacOf(models::Network& network) {
  const auto* const nac = dynamic_cast<models::NacNetwork*>(&network);
  DISTILL_CHECK(nac != nullptr, "the network was built by BuildNac");
  return nac->nac();
}

}  // namespace

RegularisedNac::RegularisedNac(models::Nac nac,
                               std::unique_ptr<priors::SignatureRegulariser> regulariser,
                               const optimization::WeightSchedule& weight)
    : NacNetwork(std::move(nac)), regulariser_(std::move(regulariser)), weight_(weight) {}

models::AuxiliaryLoss RegularisedNac::Regulariser(const models::TrainingMoment& moment) {
  if (regulariser_ == nullptr) return {};
  const models::NacConfig& config = nac()->config();
  const torch::Tensor signatures = nac()->Signatures();
  priors::RegularisedSignatures parts;
  parts.inputs = signatures.narrow(0, 0, config.input_latents);
  parts.mediators = signatures.narrow(0, config.input_latents, config.mediator_latents);
  parts.outputs =
      signatures.narrow(0, config.input_latents + config.mediator_latents, config.output_latents);
  parts.bandwidths = nac()->Bandwidths();
  const absl::StatusOr<torch::Tensor> loss = regulariser_->Loss(parts, moment.step);
  DISTILL_CHECK(loss.ok(), "the regulariser was made for this network");
  return {kRegulariser, optimization::WeightAt(weight_, moment.progress), *loss};
}

std::vector<models::NamedTensor> RegularisedNac::RunState() const {
  if (regulariser_ == nullptr) return {};
  return {{kMatchings, regulariser_->State()}};
}

absl::Status RegularisedNac::ImportRunState(const models::StateMap& state) {
  if (regulariser_ == nullptr) return Network::ImportRunState(state);
  const auto found = state.find(kMatchings);
  if (found == state.end() || state.size() != 1) {
    return absl::InvalidArgumentError(
        "cannot resume: the matchings of the signatures' regulariser are missing");
  }
  return regulariser_->Restore(found->second);
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildNac(const v1::TaskSpec& spec,
                                                          double drop_path) {
  const v1::NacSpec& student = spec.student().nac();
  DISTILL_ASSIGN_OR_RETURN(const NetworkFrame frame, FrameOf(spec));
  DISTILL_ASSIGN_OR_RETURN(models::NacConfig config, NacConfigOf(frame, student));
  config.drop_path = drop_path;
  if (student.keep_stitches()) config.kept_stitch_width = spec.meta().embed_dim();
  DISTILL_ASSIGN_OR_RETURN(models::Nac nac, models::CreateNac(config));
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<priors::SignatureRegulariser> regulariser,
                           BuildRegulariser(student));
  return std::make_unique<RegularisedNac>(std::move(nac), std::move(regulariser),
                                          WeightOf(student.regulariser()));
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildNacModule(const v1::TaskSpec& spec,
                                                                double drop_path) {
  DISTILL_ASSIGN_OR_RETURN(const NetworkFrame frame, FrameOf(spec));
  DISTILL_ASSIGN_OR_RETURN(
      models::NacModuleConfig config,
      NacModuleConfigOf(frame, spec.student().nac(), spec.module_index(), spec.meta().embed_dim()));
  config.nac.drop_path = drop_path;
  DISTILL_ASSIGN_OR_RETURN(models::NacModule module, models::CreateNacModule(config));
  return std::make_unique<models::NacModuleNetwork>(std::move(module));
}

absl::Status LoadSignatures(const std::string& path, models::Network& nac) {
  DISTILL_ASSIGN_OR_RETURN(const TensorFile file, ReadTensorFile(path, {kSignatures}));
  const auto found = file.tensors.find(kSignatures);
  if (found == file.tensors.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot load ", path, ": it holds no tensor of the name ", kSignatures));
  }
  models::Nac holder = NacOf(nac);
  return Annotate(holder->SetMediatorSignatures(found->second), absl::StrCat("cannot load ", path));
}

absl::Status AssembleNac(const v1::TaskSpec& spec, const std::string& signatures_path,
                         const std::vector<NamedTensors>& modules, models::Network& nac) {
  const CounterRandom random = InitializationRandom(spec);
  nac.Initialize(random);
  DISTILL_RETURN_IF_ERROR(LoadSignatures(signatures_path, nac));
  const v1::NacSpec& student = spec.student().nac();
  models::NacTransferOptions options;
  options.codes = ModuleCodesOf(student.codes());
  options.keep_grid_and_pooling =
      student.transfer() == v1::NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER;
  options.shared_layer = student.shared_layer() == v1::NAC_SHARED_LAYER_FIRST
                             ? models::SharedLayer::kFirst
                             : models::SharedLayer::kMean;
  return models::TransferModules(modules, options, random.Stream("transfer"), NacOf(nac)).status();
}

priors::PriorConfig PriorConfigOf(const v1::NacSpec& nac) {
  const v1::GraphPriorSpec& spec = nac.prior();
  priors::PriorConfig config;
  switch (spec.kind()) {
    case v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION:
      config.kind = priors::PriorKind::kPlantedPartition;
      break;
    case v1::GRAPH_PRIOR_KIND_RING_OF_CLIQUES:
      config.kind = priors::PriorKind::kRingOfCliques;
      break;
    case v1::GRAPH_PRIOR_KIND_ERDOS_RENYI:
      config.kind = priors::PriorKind::kErdosRenyi;
      break;
    case v1::GRAPH_PRIOR_KIND_WATTS_STROGATZ:
      config.kind = priors::PriorKind::kWattsStrogatz;
      break;
    case v1::GRAPH_PRIOR_KIND_COMPLETE:
      config.kind = priors::PriorKind::kComplete;
      break;
    default:
      config.kind = priors::PriorKind::kScaleFree;
      break;
  }
  config.nodes = nac.mediator_latents();
  if (spec.has_attachments()) config.attachments = spec.attachments();
  if (spec.has_communities()) config.communities = spec.communities();
  if (spec.has_p_in()) config.p_in = spec.p_in();
  if (spec.has_p_out()) config.p_out = spec.p_out();
  if (spec.has_p()) config.link_probability = config.rewiring = spec.p();
  if (spec.has_neighbours()) config.neighbours = spec.neighbours();
  return config;
}

}  // namespace distill::training
