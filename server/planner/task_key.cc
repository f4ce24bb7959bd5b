#include "server/planner/task_key.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/reflection.h"

namespace distill::server {
namespace {

// Raised when the encoding itself changes: all keys change with it.
constexpr absl::string_view kHeader = "distill-task-key-v2\n";

// "5" for i:5, "0.001" for the bits of a real, and so on.
std::string Readable(absl::string_view value) {
  const char type = value.front();
  value.remove_prefix(value.find(':') + 1);
  if (type == 'b') return value == "1" ? "true" : "false";
  uint64_t bits = 0;
  if (type != 'f' || !absl::SimpleHexAtoi(value, &bits)) return std::string(value);
  double real = 0.0;
  std::memcpy(&real, &bits, sizeof(real));
  // As short as tells it from every other.
  std::string text = absl::StrFormat("%.6g", real);
  double again = 0.0;
  const bool exact = absl::SimpleAtod(text, &again) && again == real;
  return exact ? text : absl::StrFormat("%.17g", real);
}

}  // namespace

// Gathers "path=type:value" lines and sorts them. In one piece of memory: a job may have tens of
// thousands of tasks.
class CanonicalText {
 public:
  void Integer(absl::string_view path, int64_t value) { Put(path, "i:", value); }
  void Unsigned(absl::string_view path, uint64_t value) { Put(path, "u:", value); }
  void Boolean(absl::string_view path, bool value) { Put(path, value ? "b:1" : "b:0"); }
  // By bits, with the two zeros made one.
  void Real(absl::string_view path, double value) {
    if (value == 0.0) value = 0.0;
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    Put(path, "f:", absl::Hex(bits, absl::kZeroPad16));
  }
  // The length in front makes any content unambiguous.
  void String(absl::string_view path, absl::string_view value) {
    Put(path, "s", value.size(), ":", value);
  }
  void Reference(absl::string_view path, const Digest& digest) { Put(path, "d:", digest.str()); }

  std::map<std::string, std::string> ReadableLines() const {
    std::map<std::string, std::string> lines;
    for (const Line& line : lines_) lines.emplace(Path(line), Readable(Value(line)));
    return lines;
  }

  std::string Finish() {
    std::sort(lines_.begin(), lines_.end(),
              [this](const Line& a, const Line& b) { return Path(a) < Path(b); });
    std::string text;
    text.reserve(kHeader.size() + text_.size());
    absl::StrAppend(&text, kHeader);
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line& line = lines_[i];
      DISTILL_CHECK(i == 0 || Path(lines_[i - 1]) != Path(line), "each path is encoded once");
      text.append(text_, line.begin, line.end - line.begin);
    }
    return text;
  }

 private:
  // A line of text_, its end included.
  struct Line {
    size_t begin;
    size_t path_size;
    size_t end;
  };

  template <typename... Parts>
  void Put(absl::string_view path, const Parts&... value) {
    Line line{text_.size(), path.size(), 0};
    absl::StrAppend(&text_, path, "=", value..., "\n");
    line.end = text_.size();
    lines_.push_back(line);
  }

  absl::string_view Path(const Line& line) const {
    return absl::string_view(text_).substr(line.begin, line.path_size);
  }
  absl::string_view Value(const Line& line) const {
    const size_t begin = line.begin + line.path_size + 1;
    return absl::string_view(text_).substr(begin, line.end - 1 - begin);
  }

  std::string text_;
  std::vector<Line> lines_;
};

namespace {

std::string Child(const std::string& path, absl::string_view name) {
  return absl::StrCat(path, ".", name);
}

std::string Element(const std::string& path, int index) {
  return absl::StrCat(path, ".", absl::Dec(index, absl::kZeroPad6));
}

template <typename Values>
void EncodeIntegers(const std::string& path, const Values& values, CanonicalText& text) {
  text.Integer(Child(path, "count"), values.size());
  for (int i = 0; i < values.size(); ++i) text.Integer(Element(path, i), values.Get(i));
}

template <typename Values>
void EncodeReals(const std::string& path, const Values& values, CanonicalText& text) {
  text.Integer(Child(path, "count"), values.size());
  for (int i = 0; i < values.size(); ++i) text.Real(Element(path, i), values.Get(i));
}

template <typename Values>
void EncodeStrings(const std::string& path, const Values& values, CanonicalText& text) {
  text.Integer(Child(path, "count"), values.size());
  for (int i = 0; i < values.size(); ++i) text.String(Element(path, i), values.Get(i));
}

// Encodes the fields that are set, by name: for messages of which a task has only the fields that
// it makes use of (task_networks.h).
void EncodeSetFields(const std::string& path, const google::protobuf::Message& message,
                     CanonicalText& text) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = Child(path, field->name());
    if (field->is_repeated()) {
      DISTILL_CHECK(field->cpp_type() == FieldDescriptor::CPPTYPE_INT32, "lists are of integers");
      EncodeIntegers(name, reflection.GetRepeatedFieldRef<int32_t>(message, field), text);
      continue;
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        text.Integer(name, reflection.GetInt32(message, field));
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        text.Integer(name, reflection.GetEnumValue(message, field));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        text.Unsigned(name, reflection.GetUInt64(message, field));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        text.Real(name, reflection.GetDouble(message, field));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        text.Boolean(name, reflection.GetBool(message, field));
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        EncodeSetFields(name, reflection.GetMessage(message, field), text);
        break;
      default:
        DISTILL_CHECK(false, "no other type occurs in these messages");
    }
  }
}

// VitSpec.preset stays out: its values were filled in.
void EncodeVit(const std::string& path, const v1::VitSpec& vit, CanonicalText& text) {
  text.Integer(Child(path, "embed_dim"), vit.embed_dim());
  text.Integer(Child(path, "heads"), vit.heads());
  text.Real(Child(path, "mlp_ratio"), vit.mlp_ratio());
  text.Boolean(Child(path, "qkv_bias"), vit.qkv_bias());
  text.Real(Child(path, "layer_norm_epsilon"), vit.layer_norm_epsilon());
  text.Integer(Child(path, "depth"), vit.depth());
  EncodeIntegers(Child(path, "stage_depths"), vit.stage_depths(), text);
}

void EncodeRouter(const std::string& path, const v1::RouterSpec& router, CanonicalText& text) {
  text.Integer(Child(path, "kind"), router.kind());
  text.Real(Child(path, "capacity_factor"), router.capacity_factor());
  text.Real(Child(path, "evaluation_capacity_factor"), router.evaluation_capacity_factor());
  text.Real(Child(path, "noise"), router.noise());
  text.Real(Child(path, "balance_weight"), router.balance_weight());
  text.Real(Child(path, "importance_weight"), router.importance_weight());
  text.Real(Child(path, "load_weight"), router.load_weight());
  text.Boolean(Child(path, "batch_priority"), router.batch_priority());
  text.Integer(Child(path, "group_images"), router.group_images());
}

// VmoeSpec.moe_placement stays out: it became moe_blocks.
void EncodeStudent(const std::string& path, const v1::StudentSpec& student, CanonicalText& text) {
  if (student.has_vit()) {
    EncodeVit(Child(path, "vit"), student.vit(), text);
    return;
  }
  if (student.has_nac()) {
    EncodeSetFields(Child(path, "nac"), student.nac(), text);
    return;
  }
  const v1::VmoeSpec& vmoe = student.vmoe();
  const std::string vmoe_path = Child(path, "vmoe");
  EncodeVit(Child(vmoe_path, "backbone"), vmoe.backbone(), text);
  text.Integer(Child(vmoe_path, "experts"), vmoe.experts());
  text.Integer(Child(vmoe_path, "top_k"), vmoe.top_k());
  EncodeIntegers(Child(vmoe_path, "moe_blocks"), vmoe.moe_blocks(), text);
  text.Integer(Child(vmoe_path, "expert_init"), vmoe.expert_init());
  text.Boolean(Child(vmoe_path, "keep_stitches"), vmoe.keep_stitches());
  EncodeRouter(Child(vmoe_path, "router"), vmoe.router(), text);
}

void EncodeRecipe(const std::string& path, const v1::TrainingRecipe& recipe, CanonicalText& text) {
  text.Real(Child(path, "epochs"), recipe.epochs());
  text.Integer(Child(path, "batch_size"), recipe.batch_size());
  text.Integer(Child(path, "accumulate_steps"), recipe.accumulate_steps());
  text.Real(Child(path, "learning_rate"), recipe.learning_rate());
  text.Integer(Child(path, "learning_rate_reference_batch"),
               recipe.learning_rate_reference_batch());
  text.Real(Child(path, "warmup_learning_rate"), recipe.warmup_learning_rate());
  text.Real(Child(path, "min_learning_rate"), recipe.min_learning_rate());
  text.Real(Child(path, "warmup_epochs"), recipe.warmup_epochs());
  text.Integer(Child(path, "schedule_unit"), recipe.schedule_unit());
  text.Real(Child(path, "weight_decay"), recipe.weight_decay());
  text.Real(Child(path, "beta1"), recipe.beta1());
  text.Real(Child(path, "beta2"), recipe.beta2());
  text.Real(Child(path, "epsilon"), recipe.epsilon());
  text.Real(Child(path, "clip_grad_norm"), recipe.clip_grad_norm());
  text.Real(Child(path, "drop_path"), recipe.drop_path());
  text.Real(Child(path, "label_smoothing"), recipe.label_smoothing());
  text.Real(Child(path, "mixup_alpha"), recipe.mixup_alpha());
  text.Real(Child(path, "cutmix_alpha"), recipe.cutmix_alpha());
  text.Real(Child(path, "mix_probability"), recipe.mix_probability());
  text.Real(Child(path, "cutmix_switch_probability"), recipe.cutmix_switch_probability());
  text.Integer(Child(path, "crop_padding"), recipe.crop_padding());
  text.Real(Child(path, "horizontal_flip"), recipe.horizontal_flip());
  text.Real(Child(path, "random_erasing"), recipe.random_erasing());
  text.Integer(Child(path, "sampler"), recipe.sampler());
  text.Integer(Child(path, "total_images"), recipe.total_images());
  text.Integer(Child(path, "optimizer"), recipe.optimizer());
  text.Real(Child(path, "momentum"), recipe.momentum());
  text.Boolean(Child(path, "decay_all_parameters"), recipe.decay_all_parameters());
  text.Integer(Child(path, "precision"), recipe.precision());
  text.Real(Child(path, "ema_decay"), recipe.ema_decay());
  text.Integer(Child(path, "repeated_augmentation"), recipe.repeated_augmentation());
  text.Real(Child(path, "random_resized_crop"), recipe.random_resized_crop());
  text.Integer(Child(path, "rand_augment_operations"), recipe.rand_augment_operations());
  text.Real(Child(path, "rand_augment_magnitude"), recipe.rand_augment_magnitude());
  text.Real(Child(path, "rand_augment_magnitude_std"), recipe.rand_augment_magnitude_std());
  text.Real(Child(path, "color_jitter"), recipe.color_jitter());
  // Sums of gradients have other bits; one trainer has those that it always had.
  if (recipe.gang_size() > 1) text.Integer(Child(path, "gang_size"), recipe.gang_size());
}

// Where the images are (path, name, manifest) stays out: the digest says what they are.
void EncodeDataset(const std::string& path, const v1::DatasetSpec& dataset, CanonicalText& text) {
  text.Integer(Child(path, "format"), dataset.format());
  text.Integer(Child(path, "classes"), dataset.classes());
  text.Integer(Child(path, "train_images"), dataset.train_images());
  text.String(Child(path, "digest"), dataset.digest());
  text.Integer(Child(path, "image_size"), dataset.image_size());
  text.Integer(Child(path, "channels"), dataset.channels());
  text.Integer(Child(path, "train_size"), dataset.train_size());
  text.Unsigned(Child(path, "subset_seed"), dataset.subset_seed());
  text.Integer(Child(path, "input_size"), dataset.input_size());
  text.Integer(Child(path, "corrupt_images"), dataset.corrupt_images());
  EncodeReals(Child(path, "mean"), dataset.mean(), text);
  EncodeReals(Child(path, "deviation"), dataset.deviation(), text);
}

void EncodeDistillation(const std::string& path, const v1::DistillationSpec& distillation,
                        CanonicalText& text) {
  text.Integer(Child(path, "kind"), distillation.kind());
  text.Real(Child(path, "alpha"), distillation.alpha());
  text.Real(Child(path, "tau"), distillation.tau());
  text.Integer(Child(path, "divisor"), distillation.divisor());
}

void EncodeEvaluation(const std::string& path, const v1::EvaluationSpec& evaluation,
                      CanonicalText& text) {
  EncodeStrings(Child(path, "corruptions"), evaluation.corruptions(), text);
  EncodeIntegers(Child(path, "severities"), evaluation.severities(), text);
  text.Integer(Child(path, "corruption_images"), evaluation.corruption_images());
  text.Unsigned(Child(path, "seed"), evaluation.seed());
  text.Integer(Child(path, "batch_size"), evaluation.batch_size());
  const std::string sets_path = Child(path, "out_of_distribution");
  text.Integer(Child(sets_path, "count"), evaluation.out_of_distribution_size());
  for (int i = 0; i < evaluation.out_of_distribution_size(); ++i) {
    const v1::OutOfDistributionSet& set = evaluation.out_of_distribution(i);
    const std::string set_path = Element(sets_path, i);
    text.String(Child(set_path, "name"), set.name());
    EncodeDataset(Child(set_path, "dataset"), set.dataset(), text);
    EncodeIntegers(Child(set_path, "classes"), set.classes(), text);
  }
}

// Name, seed and recipe are the task's own.
void EncodeFewShot(const std::string& path, const v1::FewShotSpec& few_shot, CanonicalText& text) {
  EncodeDataset(Child(path, "dataset"), few_shot.dataset(), text);
  text.Integer(Child(path, "ways"), few_shot.ways());
  text.Integer(Child(path, "shots"), few_shot.shots());
  text.Integer(Child(path, "test_images"), few_shot.test_images());
  text.Integer(Child(path, "features"), few_shot.features());
}

// A message of a task that has a text of its own.
struct Part {
  std::string path;
  const google::protobuf::Message* message;
  void (*encode)(const Part&, CanonicalText&);
};

template <typename Message, void (*kEncode)(const std::string&, const Message&, CanonicalText&)>
Part MakePart(std::string path, const Message& message) {
  return {std::move(path), &message, [](const Part& part, CanonicalText& text) {
            kEncode(part.path, static_cast<const Message&>(*part.message), text);
          }};
}

using Parts = absl::InlinedVector<Part, 8>;

Parts PartsOf(const v1::TaskSpec& spec) {
  Parts parts;
  const auto add = [&parts](Part part) { parts.push_back(std::move(part)); };
  add(MakePart<v1::DatasetSpec, EncodeDataset>("dataset", spec.dataset()));
  if (spec.has_meta()) add(MakePart<v1::VitSpec, EncodeVit>("meta", spec.meta()));
  if (spec.has_teacher()) add(MakePart<v1::VitSpec, EncodeVit>("teacher", spec.teacher()));
  if (spec.has_student()) add(MakePart<v1::StudentSpec, EncodeStudent>("student", spec.student()));
  if (spec.has_recipe()) add(MakePart<v1::TrainingRecipe, EncodeRecipe>("recipe", spec.recipe()));
  if (spec.has_distillation()) {
    add(MakePart<v1::DistillationSpec, EncodeDistillation>("distillation", spec.distillation()));
  }
  if (spec.has_evaluation()) {
    add(MakePart<v1::EvaluationSpec, EncodeEvaluation>("evaluation", spec.evaluation()));
  }
  if (spec.has_few_shot()) {
    add(MakePart<v1::FewShotSpec, EncodeFewShot>("few_shot", spec.few_shot()));
  }
  return parts;
}

std::string TextOf(const Part& part) {
  CanonicalText text;
  part.encode(part, text);
  return text.Finish();
}

absl::Status EncodeInputs(const v1::TaskSpec& spec, const ProducerKeys& producers,
                          CanonicalText& text) {
  for (const v1::TaskInput& input : spec.inputs()) {
    const std::string path = absl::StrCat("inputs.", input.name());
    if (input.has_produced()) {
      const auto producer = producers.find(input.produced().task());
      if (producer == producers.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("cannot encode task key: producer has no key yet; input=", input.name(),
                         " producer=", input.produced().task()));
      }
      text.Reference(Child(path, "producer"), producer->second);
      text.String(Child(path, "output"), input.produced().output());
    } else {
      text.String(Child(path, "given"), input.given_digest());
    }
  }
  return absl::OkStatus();
}

}  // namespace

int SemanticsVersion(v1::TaskKind kind) {
  switch (kind) {
    case v1::TASK_KIND_PRETRAIN_META:
    case v1::TASK_KIND_INCUBATE_TEACHER:
    case v1::TASK_KIND_ASSEMBLE_TEACHER:
    case v1::TASK_KIND_FINETUNE_TEACHER:
    case v1::TASK_KIND_SPLIT_TEACHER:
    case v1::TASK_KIND_DISTILL_MODULE:
    case v1::TASK_KIND_ASSEMBLE_STUDENT:
    case v1::TASK_KIND_FINETUNE_STUDENT:
    case v1::TASK_KIND_TRAIN_BASELINE:
    case v1::TASK_KIND_EVALUATE:
    case v1::TASK_KIND_FIT_PRIOR:
    case v1::TASK_KIND_FEW_SHOT:
    case v1::TASK_KIND_SELECT_MODULE:
    default:
      return 1;
  }
}

absl::Status TaskKeyEncoder::EncodeOwn(const v1::TaskSpec& spec, const ProducerKeys& producers,
                                       CanonicalText& text) const {
  text.String("scope", scope_);
  text.Integer("kind", spec.kind());
  text.Integer("module_index", spec.module_index());
  text.Integer("modules", spec.modules());
  text.Integer("patch_size", spec.patch_size());
  text.Unsigned("seed", spec.seed());
  // How many candidates there are is in the inputs.
  if (spec.has_quality_gate()) {
    text.Real("quality_gate.largest_accuracy_gap", spec.quality_gate().largest_accuracy_gap());
  }
  text.Integer("subject", spec.subject());
  text.Integer("baseline", spec.baseline());
  text.String("numeric_class", spec.numeric_class());
  text.Integer("semantics_version", spec.semantics_version());
  DISTILL_RETURN_IF_ERROR(EncodeInputs(spec, producers, text));
  EncodeStrings("outputs", spec.outputs(), text);
  return absl::OkStatus();
}

absl::StatusOr<std::string> TaskKeyEncoder::Text(const v1::TaskSpec& spec,
                                                 const ProducerKeys& producers) {
  CanonicalText text;
  DISTILL_RETURN_IF_ERROR(EncodeOwn(spec, producers, text));
  for (const Part& part : PartsOf(spec)) {
    part_key_ = part.path;
    part_key_.push_back('\n');
    part.message->AppendToString(&part_key_);
    auto known = parts_.find(part_key_);
    if (known == parts_.end()) {
      known = parts_.emplace(part_key_, Digest::OfBytes(TextOf(part))).first;
    }
    text.Reference(part.path, known->second);
  }
  return text.Finish();
}

absl::StatusOr<std::map<std::string, std::string>> TaskKeyEncoder::Parts(
    const v1::TaskSpec& spec, const ProducerKeys& producers) const {
  CanonicalText text;
  DISTILL_RETURN_IF_ERROR(EncodeOwn(spec, producers, text));
  // Their paths begin with that of the part.
  for (const Part& part : PartsOf(spec)) part.encode(part, text);
  return text.ReadableLines();
}

absl::StatusOr<Digest> TaskKeyEncoder::Key(const v1::TaskSpec& spec,
                                           const ProducerKeys& producers) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, Text(spec, producers));
  return Digest::OfBytes(text);
}

std::map<std::string, std::string> TaskKeyEncoder::PartTexts(const v1::TaskSpec& spec) {
  std::map<std::string, std::string> texts;
  for (const Part& part : PartsOf(spec)) texts[part.path] = TextOf(part);
  return texts;
}

}  // namespace distill::server
