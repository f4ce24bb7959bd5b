// Weights of NACs and their modules by the reference's names, and how modules become a whole NAC.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/counter_random.h"
#include "worker/models/nac/nac.h"
#include "worker/models/nac/nac_module.h"
#include "worker/models/state.h"

namespace distill::models {

// All that the output depends on, in the order in which it was made: parameters, and a module's
// constant code and state. Detached; shares memory with the network.
std::vector<NamedTensor> ExportState(const Nac& nac);
std::vector<NamedTensor> ExportState(const NacModule& module);

// Copies `state`, converting types; all or nothing. With keep_head the classifier (to_logits) keeps
// its values when `state` has none; with drop_stitches stitches that have no place are left out.
// Errors: kInvalidArgument listing every missing, unexpected and wrongly shaped tensor, and every
// one that holds a value that is not finite.
absl::Status ImportState(const Nac& nac, const StateMap& state, const ImportOptions& options = {});
absl::Status ImportState(const NacModule& module, const StateMap& state,
                         const ImportOptions& options = {});

// What becomes of the mediator modules when all layers of the network are one.
enum class SharedLayer {
  kMean,   // the layer is the mean of them
  kFirst,  // the layer is the first of them; of the others nothing is used
};

struct NacTransferOptions {
  // kTransferred: the codes of input and output latents start around those of the read-in's and the
  // read-out's module, the mediators' around the mean of the mediator modules', with normal
  // deviation 0.1. Otherwise codes stay as they are.
  ModuleCodes codes = ModuleCodes::kConstant;
  // Leaves the positional grid and the output pooling as they are, as the reference does for
  // modules that were distilled on other images ("tinynet").
  bool keep_grid_and_pooling = false;
  SharedLayer shared_layer = SharedLayer::kMean;  // not looked at unless layers are shared
};

// What became of every tensor; each list in the order of the names' owners.
struct NacTransferReport {
  std::vector<std::string> transferred;  // of the network, which a module gave
  std::vector<std::string> kept;         // of the network, which stayed as they were
  std::vector<std::string> unused;       // "<module>:<name>" of modules, which went nowhere
};

// Copies the weights of modules 0 .. layers + 1 into `nac`, all or nothing. Stitches go into the
// kept stitches if nac has some. Modules without code or state, as the reference's files are, will
// do unless codes are transferred.
// Errors: kInvalidArgument listing every tensor that is missing, unexpected, wrongly shaped or not
// finite, or saying how many modules there must be.
absl::StatusOr<NacTransferReport> TransferModules(const std::vector<StateMap>& modules,
                                                  const NacTransferOptions& options,
                                                  const CounterRandom& random, const Nac& nac);

}  // namespace distill::models
