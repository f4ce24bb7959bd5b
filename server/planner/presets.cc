#include "server/planner/presets.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "server/planner/preset_table.h"

namespace distill::server {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Presets may be based on presets, so many at most.
constexpr int kDeepestBase = 4;

// Of a message `type` that gives any of `given`, the base's `dropped` are not taken.
struct Precedence {
  absl::string_view type;
  std::vector<absl::string_view> given;
  std::vector<absl::string_view> dropped;
};

const std::vector<Precedence>& Precedences() {
  static const auto* precedences = new std::vector<Precedence>{
      {"VitSpec", {"depth", "stage_depths"}, {"depth", "stage_depths"}},
      {"VitSpec",
       {"preset"},
       {"preset", "embed_dim", "heads", "mlp_ratio", "qkv_bias", "layer_norm_epsilon"}},
      {"VmoeSpec", {"moe_blocks", "moe_placement"}, {"moe_blocks", "moe_placement"}},
      {"RouterSpec",
       {"kind"},
       {"capacity_factor", "evaluation_capacity_factor", "noise", "balance_weight",
        "importance_weight", "load_weight", "batch_priority", "group_images"}},
      {"TrainingRecipe", {"epochs", "total_images"}, {"epochs", "total_images"}},
      {"DatasetSpec",
       {"path", "name"},
       {"path", "name", "format", "classes", "train_images", "digest", "image_size", "channels",
        "train_size", "subset_seed", "manifest"}},
      {"GivenArtifacts", {"teacher", "teacher_stages"}, {"teacher", "teacher_stages"}},
  };
  return *precedences;
}

bool IsGiven(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

// Fields of the base that `spec` overrules without giving them.
bool IsOverruled(const Message& spec, const FieldDescriptor& field) {
  if (const auto* oneof = field.real_containing_oneof(); oneof != nullptr) {
    const FieldDescriptor* chosen = spec.GetReflection()->GetOneofFieldDescriptor(spec, oneof);
    return chosen != nullptr && chosen != &field;
  }
  const google::protobuf::Descriptor& type = *spec.GetDescriptor();
  return std::any_of(Precedences().begin(), Precedences().end(), [&](const Precedence& precedence) {
    const auto gives = [&](absl::string_view name) {
      const FieldDescriptor* given = type.FindFieldByName(std::string(name));
      DISTILL_CHECK(given != nullptr, "precedences name fields that exist");
      return IsGiven(spec, *given);
    };
    return type.name() == precedence.type &&
           std::find(precedence.dropped.begin(), precedence.dropped.end(), field.name()) !=
               precedence.dropped.end() &&
           std::any_of(precedence.given.begin(), precedence.given.end(), gives);
  });
}

// Returns `spec` laid over `base`, messages of one type, in `result`, a copy of `base`.
void OverlayMessage(const Message& spec, Message& result) {
  std::vector<const FieldDescriptor*> fields;
  result.GetReflection()->ListFields(result, &fields);
  for (const FieldDescriptor* field : fields) {
    if (IsOverruled(spec, *field)) result.GetReflection()->ClearField(&result, field);
  }
  spec.GetReflection()->ListFields(spec, &fields);
  for (const FieldDescriptor* field : fields) {
    const Reflection& reflection = *result.GetReflection();
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && !field->is_repeated()) {
      OverlayMessage(spec.GetReflection()->GetMessage(spec, field),
                     *reflection.MutableMessage(&result, field));
      continue;
    }
    // MergeFrom below appends to lists and replaces all else.
    reflection.ClearField(&result, field);
  }
  const std::unique_ptr<Message> shallow(spec.New());
  shallow->CopyFrom(spec);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      shallow->GetReflection()->ClearField(shallow.get(), field);
    }
  }
  result.MergeFrom(*shallow);
}

std::optional<v1::JobSpec> FindPreset(absl::string_view name) {
  for (const PresetText& preset : PresetTable()) {
    if (preset.name != name) continue;
    v1::JobSpec spec;
    DISTILL_CHECK(google::protobuf::TextFormat::ParseFromString(std::string(preset.spec), &spec),
                  "the build wrote the table from specs");
    return spec;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const PresetText& preset : PresetTable()) names.emplace_back(preset.name);
  return names;
}

v1::JobSpec Overlay(const v1::JobSpec& base, const v1::JobSpec& spec) {
  v1::JobSpec result = base;
  OverlayMessage(spec, result);
  return result;
}

v1::JobSpec ExpandPreset(const v1::JobSpec& spec) {
  v1::JobSpec expanded = spec;
  std::string name = spec.preset();
  for (int depth = 0; depth < kDeepestBase; ++depth) {
    const std::optional<v1::JobSpec> base = FindPreset(name);
    if (!base.has_value()) break;
    expanded = Overlay(*base, expanded);
    name = base->preset();
  }
  return expanded;
}

}  // namespace distill::server
