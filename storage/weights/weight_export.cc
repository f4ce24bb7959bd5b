#include "storage/weights/weight_export.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "storage/weights/weight_import.h"

namespace distill::storage {
namespace {

using Views = std::map<std::string, TensorView>;

absl::Status Write(const Views& tensors, const v1::ArchitectureDescription& architecture,
                   const std::string& stem, const std::string& description,
                   std::vector<std::string>* paths) {
  const std::string weights = absl::StrCat(stem, ".safetensors");
  DISTILL_RETURN_IF_ERROR(WriteWeights(tensors, architecture, weights));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(description, FormatArchitecture(architecture)));
  paths->insert(paths->end(), {weights, description});
  return absl::OkStatus();
}

// The staged name under which the reference lists a tensor besides its flat one.
std::string ReferenceName(const std::string& name) {
  return absl::StartsWith(name, "stages.") ? name : absl::StrCat("stages.0.", name);
}

Views Rename(const Views& tensors, const v1::ArchitectureDescription& architecture,
             WeightNaming naming) {
  if (naming == WeightNaming::kStaged) return tensors;
  Views renamed;
  for (const auto& [name, flat] : FlatNames(architecture)) {
    const TensorView& view = tensors.at(name);
    renamed.emplace(flat, view);
    if (naming == WeightNaming::kReference) renamed.emplace(ReferenceName(name), view);
  }
  return renamed;
}

absl::Status WriteModules(const Views& tensors, const v1::ArchitectureDescription& architecture,
                          const std::string& directory, std::vector<std::string>* paths) {
  for (int32_t i = 0; i < architecture.modules(); ++i) {
    v1::ArchitectureDescription module = architecture;
    module.set_module_index(i);
    Views views;
    for (const auto& [name, shape] : ExpectedTensors(module)) {
      views.emplace(name, tensors.at(WholeName(i, name)));
    }
    const std::string stem = JoinPath(directory, absl::StrCat("module_", i));
    DISTILL_RETURN_IF_ERROR(Write(views, module, stem, absl::StrCat(stem, ".json"), paths));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExportWeights(
    const SafetensorsFile& file, const v1::ArchitectureDescription& architecture,
    WeightNaming naming, const std::string& directory) {
  Views tensors;
  for (const std::string& name : file.names()) {
    DISTILL_ASSIGN_OR_RETURN(tensors[name], file.Find(name));
  }
  DISTILL_RETURN_IF_ERROR(CheckFits(tensors, architecture, file.label()));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(directory));
  std::vector<std::string> paths;
  if (naming == WeightNaming::kModules && !architecture.has_module_index()) {
    if (!IsStaged(architecture)) {
      return absl::InvalidArgumentError(
          "cannot export modules of a whole NAC: it has neither their codes nor their stitches; "
          "export the modules that it was assembled from");
    }
    DISTILL_RETURN_IF_ERROR(WriteModules(tensors, architecture, directory, &paths));
    return paths;
  }
  if (!architecture.has_module_index() && IsStaged(architecture)) {
    tensors = Rename(tensors, architecture, naming);
  }
  DISTILL_RETURN_IF_ERROR(Write(tensors, architecture, JoinPath(directory, "weights"),
                                JoinPath(directory, "architecture.json"), &paths));
  return paths;
}

}  // namespace distill::storage
