// Names, strict loading, and assembly of modules.
#include "worker/models/nac/nac_state.h"

#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace distill::models {
namespace {

constexpr double kCodeDeviation = 0.1;

std::vector<NamedTensor> Export(const torch::nn::Module& module) {
  std::vector<NamedTensor> result;
  for (const auto& entry : module.named_parameters()) {
    result.push_back({entry.key(), entry.value().detach()});
  }
  for (const auto& entry : module.named_buffers()) {
    result.push_back({entry.key(), entry.value().detach()});
  }
  return result;
}

bool IsClassifier(absl::string_view name) { return absl::StrContains(name, "to_logits."); }

bool IsModuleStitch(absl::string_view name) {
  return absl::StartsWith(name, "pre_stitch.") || absl::StartsWith(name, "post_stitch.");
}

bool IsStitch(absl::string_view name) {
  return IsModuleStitch(name) || absl::StrContains(name, ".stitch_pairs.") ||
         absl::StrContains(name, ".stitch_norm.");
}

bool IsCodeOrState(absl::string_view name) { return name == "codes" || name == "states"; }

// The weight or bias at the end of a stitch's name.
absl::string_view Leaf(absl::string_view name) { return name.substr(name.rfind('.') + 1); }

// Where a module's tensor goes in the whole network; nothing if nowhere; an error if the module
// should not have it.
absl::StatusOr<std::optional<std::string>> PlaceInNetwork(const NacConfig& config,
                                                          SharedLayer shared_layer, int64_t index,
                                                          const std::string& name) {
  const NacModuleKind kind = NacModuleKindAt(config, index);
  if (IsCodeOrState(name)) return std::nullopt;
  if (IsModuleStitch(name)) {
    if (config.kept_stitch_width == 0) return std::nullopt;
    const bool is_post = absl::StartsWith(name, "post_");
    return absl::StrCat("latent_graphs.0.stitch_pairs.", is_post ? index : index - 1,
                        is_post ? ".0." : ".1.", Leaf(name));
  }
  if (absl::StartsWith(name, "tokenizer.") && kind != NacModuleKind::kMediator) {
    return absl::StrCat(kind == NacModuleKind::kReadIn ? "input_" : "output_", name);
  }
  if (absl::StartsWith(name, "read_in.") && kind == NacModuleKind::kReadIn) {
    return absl::StrCat("latent_graphs.0.", name);
  }
  if ((absl::StartsWith(name, "latent_attention.") || absl::StartsWith(name, "ffn.")) &&
      kind != NacModuleKind::kReadIn) {
    if (kind == NacModuleKind::kReadOut) return absl::StrCat("latent_graphs.0.read_out.", name);
    if (!config.share_layers) {
      return absl::StrCat("latent_graphs.0.propagators.", index - 1, ".", name);
    }
    if (shared_layer == SharedLayer::kFirst && index > 1) return std::nullopt;
    return absl::StrCat("latent_graphs.0.propagators.0.", name);
  }
  return absl::InvalidArgumentError(absl::StrCat("unexpected ", index, ":", name));
}

// Whether a module gives this tensor of the network.
bool ComesFromModule(const NacConfig& config, absl::string_view name) {
  if (absl::StrContains(name, ".stitch_pairs.")) return config.kept_stitch_width > 0;
  return !absl::StrContains(name, "_latents.") && !absl::StrContains(name, ".latent_seeder.") &&
         !absl::StrContains(name, ".stitch_norm.") && !absl::EndsWith(name, ".kernel.bandwidth");
}

bool IsGridOrPooling(absl::string_view name) {
  return absl::EndsWith(name, "positional_grid.grid") ||
         absl::StartsWith(name, "output_tokenizer.");
}

// The codes of `count` latents around the mean of those of modules [first, last).
absl::StatusOr<torch::Tensor> CodesAround(const std::vector<StateMap>& modules, size_t first,
                                          size_t last, int64_t count, CounterRandom random) {
  torch::Tensor sum;
  for (size_t i = first; i < last; ++i) {
    const auto found = modules[i].find("codes");
    if (found == modules[i].end()) {
      return absl::InvalidArgumentError(absl::StrCat("missing ", i, ":codes"));
    }
    sum = sum.defined() ? sum + found->second : found->second;
  }
  torch::Tensor noise = torch::empty({count, sum.size(-1)}, torch::kFloat);
  random.FillNormal(noise.data_ptr<float>(), static_cast<size_t>(noise.numel()));
  return sum / static_cast<double>(last - first) + noise.mul_(kCodeDeviation).to(sum.options());
}

// Adds the codes of all latents to `state`.
absl::Status AddCodes(const std::vector<StateMap>& modules, const NacConfig& config,
                      const CounterRandom& random, StateMap* state) {
  const size_t last = modules.size() - 1;
  DISTILL_ASSIGN_OR_RETURN(
      (*state)["latent_graphs.0.input_latents.codes_"],
      CodesAround(modules, 0, 1, config.input_latents, random.Stream("input")));
  DISTILL_ASSIGN_OR_RETURN(
      (*state)["latent_graphs.0.mediator_latents.codes_"],
      CodesAround(modules, 1, last, config.mediator_latents, random.Stream("mediators")));
  DISTILL_ASSIGN_OR_RETURN(
      (*state)["latent_graphs.0.output_latents.codes_"],
      CodesAround(modules, last, last + 1, config.output_latents, random.Stream("output")));
  return absl::OkStatus();
}

// What modules give one place of the network.
using Contributions = std::map<std::string, std::vector<torch::Tensor>>;

// What the modules give `place`: a tensor, or the mean of those of all `layers` mediators.
absl::StatusOr<torch::Tensor> Merge(const std::string& place,
                                    const std::vector<torch::Tensor>& given, int64_t layers) {
  if (given.size() == 1 && layers == 1) return given.front();
  if (static_cast<int64_t>(given.size()) != layers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "missing ", place, " in ", layers - static_cast<int64_t>(given.size()), " of the modules"));
  }
  torch::Tensor sum = torch::zeros(given.front().sizes(), torch::kFloat64);
  for (const torch::Tensor& tensor : given) {
    if (tensor.sizes() != sum.sizes()) {
      return absl::InvalidArgumentError(absl::StrCat("several shapes of ", place));
    }
    sum += tensor.to(torch::kFloat64);
  }
  return (sum / static_cast<double>(layers)).to(given.front().scalar_type());
}

absl::Status Misfit(const std::vector<std::string>& faults) {
  return absl::InvalidArgumentError(absl::StrCat("cannot assemble NAC: the modules do not fit it; ",
                                                 faults.size(),
                                                 " faults: ", absl::StrJoin(faults, "; ")));
}

}  // namespace

std::vector<NamedTensor> ExportState(const Nac& nac) { return Export(*nac); }

std::vector<NamedTensor> ExportState(const NacModule& module) { return Export(*module); }

absl::Status ImportState(const Nac& nac, const StateMap& state, const ImportOptions& options) {
  return ImportTensors(
      ExportState(nac), state,
      [&](const std::string& name) { return options.keep_head && IsClassifier(name); },
      [&](const std::string& name) { return options.drop_stitches && IsStitch(name); });
}

absl::Status ImportState(const NacModule& module, const StateMap& state,
                         const ImportOptions& options) {
  return ImportTensors(
      ExportState(module), state,
      [&](const std::string& name) { return options.keep_head && IsClassifier(name); },
      [&](const std::string& name) { return options.drop_stitches && IsStitch(name); });
}

absl::StatusOr<NacTransferReport> TransferModules(const std::vector<StateMap>& modules,
                                                  const NacTransferOptions& options,
                                                  const CounterRandom& random, const Nac& nac) {
  const NacConfig& config = nac->config();
  if (modules.size() != static_cast<size_t>(config.layers) + 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot assemble NAC: it needs a read-in, a mediator per layer and a read-out; modules=",
        modules.size(), " layers=", config.layers));
  }
  NacTransferReport report;
  std::vector<std::string> faults;
  Contributions contributions;
  for (size_t i = 0; i < modules.size(); ++i) {
    for (const auto& [name, tensor] : modules[i]) {
      const auto place =
          PlaceInNetwork(config, options.shared_layer, static_cast<int64_t>(i), name);
      if (!place.ok()) {
        faults.push_back(std::string(place.status().message()));
      } else if (!place->has_value() ||
                 (options.keep_grid_and_pooling && IsGridOrPooling(**place))) {
        const bool is_used = name == "codes" && options.codes == ModuleCodes::kTransferred;
        if (!is_used) report.unused.push_back(absl::StrCat(i, ":", name));
      } else {
        contributions[**place].push_back(tensor);
      }
    }
  }
  StateMap state;
  const bool is_mean = config.share_layers && options.shared_layer == SharedLayer::kMean;
  for (const auto& [place, given] : contributions) {
    const bool is_layer = absl::StrContains(place, ".propagators.");
    absl::StatusOr<torch::Tensor> merged =
        Merge(place, given, is_mean && is_layer ? config.layers : 1);
    if (merged.ok()) {
      state[place] = *std::move(merged);
    } else {
      faults.push_back(std::string(merged.status().message()));
    }
  }
  if (options.codes == ModuleCodes::kTransferred) {
    const absl::Status added = AddCodes(modules, config, random, &state);
    if (!added.ok()) faults.push_back(std::string(added.message()));
  }
  if (!faults.empty()) return Misfit(faults);
  const auto may_stay = [&](const std::string& name) {
    return !ComesFromModule(config, name) ||
           (options.keep_grid_and_pooling && IsGridOrPooling(name));
  };
  const std::vector<NamedTensor> targets = ExportState(nac);
  DISTILL_RETURN_IF_ERROR(
      ImportTensors(targets, state, may_stay, [](const std::string&) { return false; }));
  for (const NamedTensor& target : targets) {
    (state.count(target.name) > 0 ? report.transferred : report.kept).push_back(target.name);
  }
  return report;
}

}  // namespace distill::models
