#include "storage/weights/weight_import.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/counter_random.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/tensor/safetensors_writer.h"
#include "storage/weights/architecture.h"
#include "storage/weights/expected_tensors.h"
#include "storage/weights/float_conversion.h"
#include "storage/weights/position_embedding.h"

namespace distill::storage {
namespace {

using Tensors = std::map<std::string, StridedTensor>;
using Place = Checkpoint::Place;

constexpr char kStages[] = "model_stages";
constexpr char kModule[] = "block_state_dict";
constexpr char kPositions[] = "pos_embed";
constexpr absl::string_view kModelKeys[] = {"model", "state_dict", "model_state_dict", "module"};

absl::Status Refuse(const Checkpoint& checkpoint, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot import ", checkpoint.label(), ": ", cause));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

bool IsDictionary(const Checkpoint& checkpoint, const Place& place) {
  return checkpoint.KindAt(place) == "dict";
}

// Finds the weights that `architecture` speaks of.
Place FindPlace(const Checkpoint& checkpoint, const v1::ArchitectureDescription& architecture) {
  if (architecture.has_module_index()) {
    if (IsDictionary(checkpoint, {kModule})) return {kModule};
    const size_t stages = checkpoint.Keys({kStages}).size();
    if (stages == 1) return {kStages, "0"};  // A student module's own checkpoint.
    if (stages == static_cast<size_t>(architecture.modules())) {
      return {kStages, absl::StrCat(architecture.module_index())};
    }
  }
  for (const absl::string_view key : kModelKeys) {
    if (IsDictionary(checkpoint, {std::string(key)})) return {std::string(key)};
  }
  return {};
}

// A module file says which module of what it is.
absl::Status CheckModuleFile(const Checkpoint& checkpoint,
                             const v1::ArchitectureDescription& architecture) {
  if (!architecture.has_module_index()) return absl::OkStatus();
  if (const std::optional<int64_t> index = checkpoint.IntegerAt({"block_index"})) {
    if (*index != architecture.module_index()) {
      return Refuse(checkpoint, absl::StrCat("it holds another module; block_index=", *index,
                                             " wanted=", architecture.module_index()));
    }
  }
  std::vector<std::string> depths;
  for (const std::string& key : checkpoint.Keys({"divided_depths"})) {
    depths.push_back(absl::StrCat(checkpoint.IntegerAt({"divided_depths", key}).value_or(-1)));
  }
  const std::string wanted =
      IsStaged(architecture) ? absl::StrJoin(BackboneOf(architecture).stage_depths(), " ") : "";
  if (depths.empty() || absl::StrJoin(depths, " ") == wanted) return absl::OkStatus();
  return Refuse(checkpoint, absl::StrCat("its depths are not the architecture's; divided_depths=",
                                         absl::StrJoin(depths, " "), " stage_depths=", wanted));
}

// Reads the tensors at `place`; at a list of stages, all of them by whole-model names.
absl::StatusOr<Tensors> ReadTensors(const Checkpoint& checkpoint, const Place& place) {
  const auto kind = checkpoint.KindAt(place);
  if (kind != "list") return checkpoint.Tensors(place);
  Tensors all;
  int64_t index = 0;
  for (const std::string& key : checkpoint.Keys(place)) {
    Place stage = place;
    stage.push_back(key);
    DISTILL_ASSIGN_OR_RETURN(const Tensors tensors, checkpoint.Tensors(stage));
    for (const auto& [name, tensor] : tensors) all.emplace(WholeName(index, name), tensor);
    ++index;
  }
  return all;
}

bool SameContent(const StridedTensor& a, const StridedTensor& b) {
  std::string copy_a, copy_b;
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         a.Dense(&copy_a).bytes == b.Dense(&copy_b).bytes;
}

// Moves `other` to `name`, where the same tensor may stand already.
void Rename(const std::string& other, const std::string& name, Tensors* tensors,
            std::vector<std::string>* faults) {
  const auto from = tensors->find(other);
  if (other == name || from == tensors->end()) return;
  const auto to = tensors->find(name);
  if (to == tensors->end()) {
    tensors->emplace(name, from->second);
  } else if (!SameContent(from->second, to->second)) {
    faults->push_back(absl::StrCat(other, " and ", name, " differ"));
  }
  tensors->erase(other);
}

// Gives tensors the names that `expected` has, from each of the other names that they go by.
void GiveOurNames(const v1::ArchitectureDescription& architecture, const TensorShapes& expected,
                  Tensors* tensors, std::vector<std::string>* faults) {
  // Left by DataParallel, which adds it to every name.
  const std::string wrapper = "module.";
  std::vector<std::string> wrapped;
  for (const auto& [name, tensor] : *tensors) {
    if (absl::StartsWith(name, wrapper)) wrapped.push_back(name);
  }
  for (const std::string& name : wrapped) {
    Rename(name, name.substr(wrapper.size()), tensors, faults);
  }
  if (!IsStaged(architecture)) return;
  if (architecture.has_module_index()) {
    // A module's full checkpoint is that of a model of one stage.
    for (const auto& [name, shape] : expected) Rename(WholeName(0, name), name, tensors, faults);
    return;
  }
  for (const auto& [name, flat] : FlatNames(architecture)) {
    Rename(flat, name, tensors, faults);
    // The reference lists these two beside the stages, and within the first as well.
    if (name == "cls_token" || name == kPositions) {
      Rename(absl::StrCat("stages.0.", name), name, tensors, faults);
    }
  }
}

bool IsClassifier(absl::string_view name) {
  return absl::StartsWith(name, "head.") || absl::StrContains(name, ".head.") ||
         absl::StartsWith(name, "head_dist.") || absl::StrContains(name, "to_logits.");
}

// "6 6 6 6" of the blocks in staged names, "24" of flat ones: what people compare first.
std::string DepthsOf(const std::set<std::string>& names) {
  std::map<int64_t, std::set<std::string>> blocks;
  for (const std::string& name : names) {
    const std::vector<std::string> parts = absl::StrSplit(name, '.');
    int64_t stage = 0;
    const bool staged = parts.size() > 3 && parts[0] == "stages" &&
                        absl::SimpleAtoi(parts[1], &stage) && parts[2] == "blocks";
    if (staged) blocks[stage].insert(parts[3]);
    if (parts.size() > 1 && parts[0] == "blocks") blocks[0].insert(parts[1]);
  }
  std::vector<size_t> depths;
  for (const auto& [stage, numbers] : blocks) depths.push_back(numbers.size());
  return absl::StrJoin(depths, " ");
}

template <typename Map>
std::set<std::string> NamesOf(const Map& map) {
  std::set<std::string> names;
  for (const auto& [name, value] : map) names.insert(name);
  return names;
}

const std::vector<int64_t>& ShapeOf(const StridedTensor& tensor) { return tensor.shape(); }
const std::vector<int64_t>& ShapeOf(const TensorView& tensor) { return tensor.shape; }

template <typename Map>
void FindMisfits(const Map& tensors, const TensorShapes& expected,
                 std::vector<std::string>* faults) {
  for (const auto& [name, shape] : expected) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      faults->push_back(absl::StrCat(name, " missing"));
    } else if (ShapeOf(found->second) != shape) {
      faults->push_back(absl::StrCat(name, " of shape ", ShapeText(ShapeOf(found->second)),
                                     " instead of ", ShapeText(shape)));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (expected.count(name) == 0) faults->push_back(absl::StrCat(name, " unexpected"));
  }
}

// Collects converted tensors.
class Converter {
 public:
  // Takes a tensor over in float32. What keeps it from being used goes to `faults`.
  void Add(const std::string& name, const StridedTensor& tensor, std::vector<std::string>* faults) {
    std::string gathered;
    TensorView view = tensor.Dense(&gathered);
    if (!gathered.empty()) view.bytes = Keep(std::move(gathered));
    std::string converted;
    const absl::StatusOr<TensorView> result = ToFloat32(view, &converted);
    if (!result.ok()) {
      faults->push_back(absl::StrCat(name, " ", result.status().message()));
      return;
    }
    view = *result;
    if (!converted.empty()) view.bytes = Keep(std::move(converted));
    if (const std::optional<uint64_t> index = FindNonFinite(view)) {
      faults->push_back(absl::StrCat(name, " holds a NaN or an infinity at element ", *index));
      return;
    }
    weights_.tensors[name] = view;
  }
  void AddZeros(const std::string& name, const std::vector<int64_t>& shape) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    weights_.tensors[name] = {DType::kF32, shape, Keep(std::string(count * sizeof(float), '\0'))};
  }
  void AddNormals(const std::string& name, const std::vector<int64_t>& shape,
                  CounterRandom random) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    std::vector<float> values(count);
    random.FillNormal(values.data(), count);
    weights_.tensors[name] = {
        DType::kF32, shape,
        Keep(std::string(reinterpret_cast<const char*>(values.data()), count * sizeof(float)))};
  }
  // Resizes the position embedding to `shape`.
  absl::Status ResizePositions(const std::string& name, const std::vector<int64_t>& shape) {
    TensorView& view = weights_.tensors.at(name);
    std::vector<float> values(view.bytes.size() / sizeof(float));
    std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
    const int64_t width = shape[2];
    const int64_t side =
        static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(shape[1] - 1))));
    DISTILL_ASSIGN_OR_RETURN(values, ResizePositionEmbedding(values, width, side));
    Note(absl::StrCat("position embedding resized from ", ShapeText(view.shape), " to ",
                      ShapeText(shape)));
    view = {DType::kF32, shape,
            Keep(std::string(reinterpret_cast<const char*>(values.data()),
                             values.size() * sizeof(float)))};
    return absl::OkStatus();
  }
  void Note(std::string note) { weights_.notes.push_back(std::move(note)); }
  ImportedWeights Take() { return std::move(weights_); }

 private:
  absl::string_view Keep(std::string bytes) {
    weights_.copies.push_back(std::move(bytes));
    return weights_.copies.back();
  }

  ImportedWeights weights_;
};

// The reference draws a NAC module's code and state anew in every process and keeps neither.
bool LacksCodes(const v1::ArchitectureDescription& architecture, const Tensors& tensors) {
  return architecture.has_nac() && architecture.has_module_index() && tensors.count("codes") == 0 &&
         tensors.count("states") == 0;
}

// Takes code and state out of `expected` and draws them, as the module's first ones are drawn
// (worker/models/nac/nac_initialization.h).
void DrawCodes(uint64_t seed, int64_t module, TensorShapes* expected, Converter* converter) {
  const CounterRandom random =
      CounterRandom(seed).Stream("init").Stream(static_cast<uint64_t>(module));
  for (const char* const name : {"codes", "states"}) {
    const auto shape = expected->find(name);
    if (shape == expected->end()) continue;  // A mediator has no state.
    converter->AddNormals(name, shape->second, random.Stream(name));
    expected->erase(shape);
  }
  converter->Note(absl::StrCat("code and state drawn with seed ", seed));
}

// Whether only the grid of the position embedding is another.
bool IsOtherGrid(const Tensors& tensors, const TensorShapes& expected) {
  const auto found = tensors.find(kPositions);
  const auto wanted = expected.find(kPositions);
  return found != tensors.end() && wanted != expected.end() &&
         found->second.shape() != wanted->second && found->second.shape().size() == 3 &&
         found->second.shape()[0] == 1 && found->second.shape()[2] == wanted->second[2];
}

absl::Status Misfit(const Checkpoint& checkpoint, const Place& place,
                    const std::vector<std::string>& faults, const std::string& depths) {
  return Refuse(checkpoint, absl::StrCat("the weights at ", FormatPlace(place),
                                         " do not fit the architecture; ", depths, faults.size(),
                                         faults.size() == 1 ? " fault: " : " faults: ",
                                         absl::StrJoin(faults, "; ")));
}

}  // namespace

absl::StatusOr<ImportedWeights> ImportWeights(const Checkpoint& checkpoint,
                                              const v1::ArchitectureDescription& architecture,
                                              const ImportOptions& options) {
  DISTILL_RETURN_IF_ERROR(CheckModuleFile(checkpoint, architecture));
  const Place place = options.place.value_or(FindPlace(checkpoint, architecture));
  DISTILL_ASSIGN_OR_RETURN(Tensors tensors, ReadTensors(checkpoint, place));
  TensorShapes expected = ExpectedTensors(architecture);
  std::vector<std::string> faults;
  const std::string depths = DepthsOf(NamesOf(tensors)),
                    wanted_depths = DepthsOf(NamesOf(expected));
  GiveOurNames(architecture, expected, &tensors, &faults);

  Converter converter;
  converter.Note(absl::StrCat("weights taken from ", FormatPlace(place)));
  TensorShapes left_out;
  if (options.new_classifier) {
    for (const std::string& name : NamesOf(tensors)) {
      if (IsClassifier(name)) tensors.erase(name);
    }
    for (const auto& [name, shape] : TensorShapes(expected)) {
      if (!IsClassifier(name)) continue;
      left_out.emplace(name, shape);
      expected.erase(name);
    }
    converter.Note("classifier left out; the new one is zero");
  }
  const std::vector<int64_t> positions =
      expected.count(kPositions) > 0 ? expected.at(kPositions) : std::vector<int64_t>();
  const bool resizes = options.resize_positions && IsOtherGrid(tensors, expected);
  const bool lacks_codes = LacksCodes(architecture, tensors);
  if (lacks_codes && options.codes_seed.has_value()) {
    DrawCodes(*options.codes_seed, architecture.module_index(), &expected, &converter);
  }
  if (resizes) expected[kPositions] = tensors.at(kPositions).shape();
  FindMisfits(tensors, expected, &faults);
  if (faults.empty()) {
    for (const auto& [name, tensor] : tensors) converter.Add(name, tensor, &faults);
  }
  if (lacks_codes && !options.codes_seed.has_value()) {
    faults.push_back(
        "a module of the reference, which keeps neither code nor state: give a seed to draw them "
        "(--draw-codes)");
  }
  if (!faults.empty()) {
    return Misfit(checkpoint, place, faults,
                  depths == wanted_depths
                      ? ""
                      : absl::StrCat("blocks in the file: ", depths,
                                     ", in the architecture: ", wanted_depths, "; "));
  }
  if (resizes) {
    DISTILL_RETURN_IF_ERROR(Annotate(converter.ResizePositions(kPositions, positions),
                                     absl::StrCat("cannot import ", checkpoint.label())));
  }
  for (const auto& [name, shape] : left_out) converter.AddZeros(name, shape);
  return converter.Take();
}

absl::Status CheckFits(const std::map<std::string, TensorView>& tensors,
                       const v1::ArchitectureDescription& architecture, const std::string& label) {
  std::vector<std::string> faults;
  FindMisfits(tensors, ExpectedTensors(architecture), &faults);
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("weights ", label, " do not fit the architecture; ", faults.size(),
                   faults.size() == 1 ? " fault: " : " faults: ", absl::StrJoin(faults, "; ")));
}

absl::Status WriteWeights(const std::map<std::string, TensorView>& tensors,
                          const v1::ArchitectureDescription& architecture,
                          const std::string& path) {
  SafetensorsWriter writer;
  for (const auto& [name, view] : tensors) DISTILL_RETURN_IF_ERROR(writer.Add(name, view));
  DISTILL_RETURN_IF_ERROR(writer.SetMetadata("format", "distillery-weights-1"));
  DISTILL_RETURN_IF_ERROR(
      writer.SetMetadata("architecture", FormatArchitecture(architecture, JsonLayout::kOneLine)));
  if (architecture.has_module_index()) {
    DISTILL_RETURN_IF_ERROR(writer.SetMetadata("stage", absl::StrCat(architecture.module_index())));
  }
  return writer.WriteFile(path).status();
}

}  // namespace distill::storage
