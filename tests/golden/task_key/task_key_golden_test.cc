// Task keys must not drift: results stored under them would be lost, or worse, mistaken. Set
// DISTILL_REWRITE=1 to write the expectation anew, and review the difference.
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"
#include "server/planner/planner.h"
#include "server/planner/task_key.h"
#include "tests/support/job_specs.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

std::string ExpectationPath(const std::string& name) {
  const char* source = std::getenv("DISTILL_SOURCE_DIR");
  return absl::StrCat(source == nullptr ? "." : source, "/tests/golden/task_key/", name);
}

void CompareWithFile(const std::string& name, const std::string& actual) {
  if (std::getenv("DISTILL_REWRITE") != nullptr) {
    ASSERT_THAT(WriteFileAtomically(ExpectationPath(name), actual), IsOk());
  }
  const absl::StatusOr<std::string> expected = ReadFile(ExpectationPath(name));
  ASSERT_THAT(expected, IsOk());
  EXPECT_EQ(actual, *expected);
}

v1::JobSpec GoldenSpec() {
  v1::JobSpec spec = MinimalSpec();
  spec.set_modules(2);
  spec.set_seed(42);
  spec.add_baselines(v1::BASELINE_KIND_ALL_IMAGES);
  return CompleteSpec(spec);
}

std::vector<PlannedTask> GoldenTasks() {
  absl::StatusOr<JobPlan> plan = Plan(GoldenSpec(), "");
  EXPECT_THAT(plan, IsOk());
  return plan.ok() ? std::move(plan->tasks) : std::vector<PlannedTask>();
}

v1::TaskSpec DistillTask() {
  for (const PlannedTask& task : GoldenTasks()) {
    if (task.name == "distill-module-1") return task.spec;
  }
  return {};
}

ProducerKeys Producers() {
  return {{"pretrain-meta", Digest::OfBytes("meta")}, {"split-teacher", Digest::OfBytes("split")}};
}

TEST(TaskKeyGoldenTest, CanonicalTextIsStable) {
  absl::StatusOr<std::string> text = TaskKeyEncoder("").Text(DistillTask(), Producers());
  ASSERT_THAT(text, IsOk());
  for (const auto& [path, part] : TaskKeyEncoder::PartTexts(DistillTask())) {
    absl::StrAppend(&*text, "\n", path, ": ", part);
  }
  CompareWithFile("distill_module_1.txt", *text);
}

TEST(TaskKeyGoldenTest, KeysOfAWholeJobAreStable) {
  std::string keys;
  for (const PlannedTask& task : GoldenTasks()) {
    absl::StrAppend(&keys, task.name, " ", task.key.str(), "\n");
  }
  CompareWithFile("job_keys.txt", keys);
}

// Whatever enters the key has a part of its own, and nothing else has.
TEST(TaskKeyTest, PartsAreAllThatTheKeyDependsOn) {
  const TaskKeyEncoder encoder("a job");
  v1::TaskSpec spec = DistillTask();
  const auto parts = encoder.Parts(spec, Producers());
  ASSERT_THAT(parts, IsOk());
  EXPECT_EQ(parts->at("scope"), "a job");
  EXPECT_EQ(parts->at("module_index"), "1");
  EXPECT_EQ(parts->at("inputs.meta.producer"), Digest::OfBytes("meta").str());
  EXPECT_EQ(parts->at("inputs.meta.output"), "model");
  EXPECT_EQ(parts->at("recipe.beta2"), "0.999");
  EXPECT_EQ(parts->at("recipe.decay_all_parameters"), "false");
  EXPECT_EQ(parts->count("recipe"), 0u);
  spec.mutable_recipe()->set_learning_rate(1.0 / 3.0);
  auto changed = encoder.Parts(spec, Producers());
  ASSERT_THAT(changed, IsOk());
  EXPECT_EQ(changed->at("recipe.learning_rate"), "0.33333333333333331");
  (*changed)["recipe.learning_rate"] = parts->at("recipe.learning_rate");
  EXPECT_EQ(*changed, *parts);
  EXPECT_THAT(encoder.Parts(spec, {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(TaskKeyTest, UnknownProducerIsRefused) {
  EXPECT_THAT(TaskKeyEncoder("").Key(DistillTask(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// Fields that cannot change a result.
const std::set<std::string>& Excluded() {
  static const auto* excluded = new std::set<std::string>{
      "checkpoint_interval_seconds", "inputs.produced.task",
      // The task's own seed and recipe count, and inputs are named by the candidates there are.
      "few_shot.name", "few_shot.seed", "quality_gate.candidates", "quality_gate.best_of_all"};
  return *excluded;
}

// Where images are, rather than what they are; and names that were replaced by what they stand for.
bool IsExcluded(const std::string& path) {
  for (const char* suffix : {"dataset.path", "dataset.name", "dataset.manifest", "meta.preset",
                             "teacher.preset", "vit.preset", "backbone.preset", "moe_placement"}) {
    if (absl::EndsWith(path, suffix)) return true;
  }
  return Excluded().count(path) > 0;
}

void ChangeField(const FieldDescriptor& field, const Reflection& reflection, Message& message) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(&message, &field, reflection.GetInt32(message, &field) + 1);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(&message, &field, reflection.GetInt64(message, &field) + 1);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(&message, &field, reflection.GetUInt64(message, &field) + 1);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(&message, &field, reflection.GetDouble(message, &field) + 0.25);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(&message, &field, !reflection.GetBool(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.SetEnumValue(&message, &field,
                                     reflection.GetEnumValue(message, &field) + 1);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(&message, &field, reflection.GetString(message, &field) + "x");
    default:
      FAIL() << "a field type that this test does not know: " << field.full_name();
  }
}

void ChangeElement(const FieldDescriptor& field, const Reflection& reflection, Message& message) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.AddInt32(&message, &field, 1);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&message, &field, 0.5);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.AddString(&message, &field, "x");
    default:
      FAIL() << "a field type that this test does not know: " << field.full_name();
  }
}

// Visits every field of `message`, changes it alone in a copy of `root`, and expects the key to
// change exactly when the field is not excluded. `locate` finds the message within the copy.
void CheckFields(const v1::TaskSpec& root, const Digest& key, const std::string& path,
                 const Message& message, const std::function<Message&(v1::TaskSpec&)>& locate) {
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    const std::string name = path.empty() ? field.name() : absl::StrCat(path, ".", field.name());
    const Reflection& reflection = *message.GetReflection();
    const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && !field.is_repeated()) {
      if (!reflection.HasField(message, &field)) continue;
      CheckFields(root, key, name, reflection.GetMessage(message, &field),
                  [&locate, &field](v1::TaskSpec& copy) -> Message& {
                    Message& parent = locate(copy);
                    return *parent.GetReflection()->MutableMessage(&parent, &field);
                  });
      continue;
    }
    if (is_message) {
      if (reflection.FieldSize(message, &field) == 0) continue;
      CheckFields(root, key, name, reflection.GetRepeatedMessage(message, &field, 0),
                  [&locate, &field](v1::TaskSpec& copy) -> Message& {
                    Message& parent = locate(copy);
                    return *parent.GetReflection()->MutableRepeatedMessage(&parent, &field, 0);
                  });
      continue;
    }
    const auto* oneof = field.real_containing_oneof();
    if (oneof != nullptr && !reflection.HasField(message, &field)) continue;
    v1::TaskSpec copy = root;
    Message& target = locate(copy);
    if (field.is_repeated()) {
      ChangeElement(field, *target.GetReflection(), target);
    } else {
      ChangeField(field, *target.GetReflection(), target);
    }
    ProducerKeys producers = Producers();
    producers["pretrain-metax"] = producers["pretrain-meta"];
    const absl::StatusOr<Digest> changed = TaskKeyEncoder("").Key(copy, producers);
    ASSERT_THAT(changed, IsOk()) << name;
    EXPECT_EQ(*changed == key, IsExcluded(name)) << name;
  }
}

// A field added to the protocol and forgotten in the encoder would let two different tasks share
// one result.
TEST(TaskKeyTest, EveryFieldOfTheSpecEntersTheKey) {
  v1::TaskSpec spec = DistillTask();
  spec.mutable_recipe()->set_gang_size(2);  // None and 1 mean the same, and have one key.
  *spec.mutable_evaluation() = GoldenSpec().evaluation();
  v1::OutOfDistributionSet& set = *spec.mutable_evaluation()->add_out_of_distribution();
  *set.mutable_dataset() = spec.dataset();
  *spec.mutable_few_shot()->mutable_dataset() = spec.dataset();
  spec.mutable_quality_gate()->set_largest_accuracy_gap(0.1);
  const auto check = [&spec] {
    const absl::StatusOr<Digest> key = TaskKeyEncoder("").Key(spec, Producers());
    ASSERT_THAT(key, IsOk());
    CheckFields(spec, *key, "", spec, [](v1::TaskSpec& copy) -> Message& { return copy; });
  };
  check();
  *spec.mutable_student()->mutable_vit() = spec.meta();
  check();
  v1::JobSpec nac = MinimalSpec();
  nac.mutable_student()->mutable_nac();
  *spec.mutable_student() = CompleteSpec(nac).student();
  check();
}

TEST(TaskKeyTest, PartsThatAnotherTaskHadAreTheSame) {
  TaskKeyEncoder encoder("");
  v1::TaskSpec other = DistillTask();
  other.set_module_index(0);
  other.mutable_teacher()->set_heads(other.meta().heads() + 1);
  *other.mutable_meta() = other.teacher();
  ASSERT_THAT(encoder.Key(other, Producers()), IsOk());
  EXPECT_EQ(*encoder.Key(DistillTask(), Producers()),
            *TaskKeyEncoder("").Key(DistillTask(), Producers()));
}

TEST(TaskKeyTest, BothZerosAreOneValue) {
  v1::TaskSpec positive = DistillTask();
  positive.mutable_recipe()->set_drop_path(0.0);
  v1::TaskSpec negative = DistillTask();
  negative.mutable_recipe()->set_drop_path(-0.0);
  EXPECT_EQ(*TaskKeyEncoder("").Key(positive, Producers()),
            *TaskKeyEncoder("").Key(negative, Producers()));
}

}  // namespace
}  // namespace distill::server
