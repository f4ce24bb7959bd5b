// A job that is written and read back must be the same job, whatever it holds.
#include "client/jobfile/yaml_writer.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "client/jobfile/job_file.h"
#include "distill/v1/job.pb.h"
#include "distill/v1/task.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/support/status_matchers.h"

namespace distill::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::MessageDifferencer;

std::string RandomText(CounterRandom* random) {
  static constexpr absl::string_view kLetters = "aZ09 _-./:#{}[],&*!|>'\"\\%@`~\n\t\x01=?<";
  std::string text;
  const uint32_t length = random->Below(12);
  for (uint32_t i = 0; i < length; ++i) {
    text += kLetters[random->Below(static_cast<uint32_t>(kLetters.size()))];
  }
  if (random->Below(4) == 0) text += "\xc3\xa9";  // An e with an acute accent.
  return text;
}

// Sets one element of a scalar field, or appends one, to something random.
void SetRandomScalar(CounterRandom* random, const FieldDescriptor& field, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  const bool one = !field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto value = static_cast<int32_t>(random->Below(1u << 31)) - (1 << 30);
      one ? reflection.SetInt32(message, &field, value)
          : reflection.AddInt32(message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_INT64:
      reflection.SetInt64(message, &field,
                          -static_cast<int64_t>(random->Below(1u << 31)) * (1 << 20));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      reflection.SetUInt64(message, &field, ~static_cast<uint64_t>(random->Below(1u << 31)));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double value =
          std::ldexp(random->Below(1u << 31), -static_cast<int>(random->Below(80)));
      one ? reflection.SetDouble(message, &field, value)
          : reflection.AddDouble(message, &field, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(message, &field, random->Below(2) == 1);
      break;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto& type = *field.enum_type();
      const auto* value = type.value(1 + static_cast<int>(random->Below(type.value_count() - 1)));
      one ? reflection.SetEnum(message, &field, value) : reflection.AddEnum(message, &field, value);
      break;
    }
    default:
      one ? reflection.SetString(message, &field, RandomText(random))
          : reflection.AddString(message, &field, RandomText(random));
  }
}

void Randomize(CounterRandom* random, Message* message) {
  const auto& type = *message->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (random->Below(3) == 0) continue;
    const uint32_t count = field.is_repeated() ? random->Below(4) : 1;
    for (uint32_t j = 0; j < count; ++j) {
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        SetRandomScalar(random, field, message);
      } else {
        Randomize(random, field.is_repeated()
                              ? message->GetReflection()->AddMessage(message, &field)
                              : message->GetReflection()->MutableMessage(message, &field));
      }
    }
  }
}

TEST(YamlWriterTest, RoundTripsRandomJobs) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CounterRandom random(seed);
    v1::JobSpec spec;
    Randomize(&random, &spec);
    spec.mutable_dataset()->set_path("/data");
    const std::string yaml = RenderYaml(spec);
    const auto parsed = ParseJobFile(yaml, "job.yaml", JobFileFormat::kYaml);
    ASSERT_THAT(parsed, IsOk()) << "seed " << seed << "\n" << yaml;
    ASSERT_TRUE(MessageDifferencer::Equals(parsed->spec, spec)) << "seed " << seed << "\n" << yaml;
  }
}

TEST(YamlWriterTest, WritesWhatAPersonWould) {
  v1::JobSpec spec;
  spec.set_display_name("null");
  spec.mutable_dataset()->set_path("/usr/share/datasets/fashion-mnist");
  spec.mutable_meta();
  spec.mutable_student()->mutable_vmoe()->add_moe_blocks(1);
  spec.mutable_student()->mutable_vmoe()->add_moe_blocks(3);
  spec.mutable_distill_modules()->set_learning_rate(1e-3);
  spec.mutable_distillation()->set_divisor(v1::KD_DIVISOR_BATCH_MEAN);
  spec.add_baselines(v1::BASELINE_KIND_FINETUNE_IMAGES);
  EXPECT_EQ(RenderYaml(spec), R"(display_name: "null"
dataset:
  path: /usr/share/datasets/fashion-mnist
meta: {}
student:
  vmoe:
    moe_blocks: [1, 3]
distill_modules:
  learning_rate: 0.001
distillation:
  divisor: batch_mean
baselines: [finetune_images]
)");
}

TEST(YamlWriterTest, WritesListsOfMessagesAsBlocks) {
  v1::TaskSpec spec;
  spec.add_inputs()->set_name("meta");
  spec.add_inputs()->mutable_produced()->set_task("split-teacher");
  EXPECT_EQ(RenderYaml(spec),
            "inputs:\n  - name: meta\n  - produced:\n      task: split-teacher\n");
}

TEST(YamlWriterTest, WritesAnEmptyMessage) { EXPECT_EQ(RenderYaml(v1::JobSpec()), "{}\n"); }

}  // namespace
}  // namespace distill::client
