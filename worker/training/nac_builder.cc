#include "worker/training/nac_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/models/nac/nac_config.h"
#include "worker/models/nac/nac_state.h"
#include "worker/training/model_builder.h"

namespace distill::training {
namespace {

constexpr char kSignatures[] = "signatures";
constexpr char kMatchings[] = "matchings";

// Modules of a NAC that are no layer: the read-in and the read-out.
constexpr int64_t kOuterModules = 2;

absl::Status Wrong(absl::string_view field, absl::string_view cause) {
  return absl::InvalidArgumentError(absl::StrCat("cannot build network: ", field, ": ", cause));
}

models::ModuleCodes CodesOf(v1::NacCodes codes) {
  switch (codes) {
    case v1::NAC_CODES_LEARNED:
      return models::ModuleCodes::kLearned;
    case v1::NAC_CODES_TRANSFERRED:
      return models::ModuleCodes::kTransferred;
    default:
      return models::ModuleCodes::kConstant;
  }
}

void SetSizes(const v1::NacSpec& nac, models::NacConfig* config) {
  if (nac.has_state_dim()) config->state_dim = nac.state_dim();
  if (nac.has_code_dim()) config->code_dim = nac.code_dim();
  if (nac.has_signature_dim()) config->signature_dim = nac.signature_dim();
  if (nac.has_input_latents()) config->input_latents = nac.input_latents();
  if (nac.has_mediator_latents()) config->mediator_latents = nac.mediator_latents();
  if (nac.has_output_latents()) config->output_latents = nac.output_latents();
  if (nac.has_heads()) config->heads = nac.heads();
  if (nac.has_head_dim()) config->head_dim = nac.head_dim();
  if (nac.has_ffn_capacity_factor()) config->ffn_capacity_factor = nac.ffn_capacity_factor();
  if (nac.tokenizer_depths_size() > 0) {
    config->tokenizer_depths.assign(nac.tokenizer_depths().begin(), nac.tokenizer_depths().end());
  }
  if (nac.has_tokenizer_stem()) config->tokenizer_stem = nac.tokenizer_stem();
  if (nac.has_grid_channels()) config->grid_channels = nac.grid_channels();
}

// Fields that a task makes no use of are not set in its spec and keep the network's defaults, which
// then do not matter.
absl::StatusOr<models::NacConfig> NacConfigOf(const v1::TaskSpec& spec, double drop_path) {
  if (ImageSide(spec.dataset()) <= 0 || spec.dataset().channels() <= 0) {
    return Wrong("dataset", "image_size or channels is not set");
  }
  if (spec.modules() <= kOuterModules) {
    return Wrong("modules", absl::StrCat("a NAC has a read-in, mediator layers and a read-out, ",
                                         "at least 3; got=", spec.modules()));
  }
  const v1::NacSpec& nac = spec.student().nac();
  models::NacConfig config;
  config.image_size = ImageSide(spec.dataset());
  config.channels = spec.dataset().channels();
  config.classes = spec.dataset().classes();
  config.layers = spec.modules() - kOuterModules;
  SetSizes(nac, &config);
  config.share_layers = nac.share_layers();
  config.drop_path = drop_path;
  if (nac.has_layer_scale()) config.layer_scale = nac.layer_scale();
  if (nac.has_code_noise()) config.code_noise = nac.code_noise();
  if (nac.has_truncation()) config.truncation = nac.truncation();
  config.cut_links =
      nac.reference_link_sampling() ? models::CutLinks::kReference : models::CutLinks::kRemoved;
  config.bandwidth_form =
      nac.reference_bandwidth() ? models::BandwidthForm::kFree : models::BandwidthForm::kPositive;
  config.stochastic_evaluation = nac.stochastic_evaluation();
  if (nac.keep_stitches()) config.kept_stitch_width = spec.meta().embed_dim();
  return config;
}

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
  config.weight = spec.weight();
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

const models::Nac& NacOf(models::Network& network) {
  const auto* const nac = dynamic_cast<models::NacNetwork*>(&network);
  DISTILL_CHECK(nac != nullptr, "the network was built by BuildNac");
  return nac->nac();
}

}  // namespace

RegularisedNac::RegularisedNac(models::Nac nac,
                               std::unique_ptr<priors::SignatureRegulariser> regulariser)
    : NacNetwork(std::move(nac)), regulariser_(std::move(regulariser)) {}

torch::Tensor RegularisedNac::Regulariser(int64_t step) {
  if (regulariser_ == nullptr) return torch::Tensor();
  const models::NacConfig& config = nac()->config();
  const torch::Tensor signatures = nac()->Signatures();
  priors::RegularisedSignatures parts;
  parts.inputs = signatures.narrow(0, 0, config.input_latents);
  parts.mediators = signatures.narrow(0, config.input_latents, config.mediator_latents);
  parts.outputs =
      signatures.narrow(0, config.input_latents + config.mediator_latents, config.output_latents);
  parts.bandwidths = nac()->Bandwidths();
  const absl::StatusOr<torch::Tensor> loss = regulariser_->Loss(parts, step);
  DISTILL_CHECK(loss.ok(), "the regulariser was made for this network");
  return *loss;
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
  DISTILL_ASSIGN_OR_RETURN(const models::NacConfig config, NacConfigOf(spec, drop_path));
  DISTILL_ASSIGN_OR_RETURN(models::Nac nac, models::CreateNac(config));
  DISTILL_ASSIGN_OR_RETURN(std::unique_ptr<priors::SignatureRegulariser> regulariser,
                           BuildRegulariser(spec.student().nac()));
  return std::make_unique<RegularisedNac>(std::move(nac), std::move(regulariser));
}

absl::StatusOr<std::unique_ptr<models::Network>> BuildNacModule(const v1::TaskSpec& spec,
                                                                double drop_path) {
  models::NacModuleConfig config;
  DISTILL_ASSIGN_OR_RETURN(config.nac, NacConfigOf(spec, drop_path));
  config.nac.kept_stitch_width = 0;
  config.kind = models::NacModuleKindAt(config.nac, spec.module_index());
  config.stitch_width = spec.meta().embed_dim();
  config.codes = CodesOf(spec.student().nac().codes());
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
  models::NacTransferOptions options;
  options.codes = CodesOf(spec.student().nac().codes());
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
