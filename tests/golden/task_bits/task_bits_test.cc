// Holds the bits of every task kind to those on record. Results are shared between jobs by task
// key, and the key counts the kind's semantics version: whoever changes the bits must raise it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/planner/task_key.h"
#include "tests/integration/trainer/training_fixture.h"
#include "worker/trainer/numeric_runtime.h"

namespace distill::training {
namespace {

constexpr int kModules = 3;
constexpr char kNumericClass[] = "cpu-x86-avx2";
using Files = std::map<std::string, std::string>;

constexpr char kHeading[] =
    "# Kind, semantics version, digest of the result of the job in task_bits_test.cc; class "
    "cpu-x86-avx2.\n";

std::string RecordPath() { return absl::StrCat(DISTILL_TASK_BITS_DIR, "/task_bits.txt"); }

// "<kind> <semantics version>" to the digest of the kind's result.
std::map<std::string, std::string> ReadRecord() {
  std::map<std::string, std::string> record;
  std::ifstream file(RecordPath());
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string kind, version, digest;
    words >> kind >> version >> digest;
    record[absl::StrCat(kind, " ", version)] = digest;
  }
  return record;
}

class TaskBitsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { worker::ConfigureNumericRuntime(); }

  // Runs the task and compares its output; returns all outputs.
  Files Check(const std::string& name, const v1::TaskSpec& spec, const Files& inputs,
              const std::string& output) {
    Files outputs = job_.RunTask(name, spec, inputs);
    const std::string entry =
        absl::StrCat(v1::TaskKind_Name(spec.kind()), " ", server::SemanticsVersion(spec.kind()));
    const std::string digest = DigestOf(outputs[output]);
    if (IsRewriting()) {
      record_[entry] = digest;
      return outputs;
    }
    EXPECT_EQ(digest, record_[entry])
        << "the bits of a kind have changed: raise its semantics version (server/planner), then "
           "record its new digest by running this test with DISTILL_REWRITE=1; "
        << entry;
    return outputs;
  }

  static bool IsRewriting() { return std::getenv("DISTILL_REWRITE") != nullptr; }

  void TearDown() override {
    if (!IsRewriting() || IsSkipped()) return;
    std::ofstream file(RecordPath());
    file << kHeading;
    for (const auto& [entry, digest] : record_) file << entry << " " << digest << "\n";
  }

  SmallJob job_{kModules};
  std::map<std::string, std::string> record_ = ReadRecord();
};

TEST_F(TaskBitsTest, EveryKindGivesTheBitsOnRecord) {
  if (worker::ActiveNumericClass(torch::kCPU) != kNumericClass) {
    GTEST_SKIP() << "computes in " << worker::ActiveNumericClass(torch::kCPU)
                 << "; run through ctest on a "
                 << "processor with AVX2";
  }
  const std::string meta =
      Check("meta", job_.Task(v1::TASK_KIND_PRETRAIN_META), {}, "model")["model"];
  Files stages;
  for (int i = 0; i < kModules; ++i) {
    const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_INCUBATE_TEACHER, i);
    const std::string name = absl::StrCat("incubate-", i);
    // One module stands for its kind.
    stages[absl::StrCat("stage.", i)] = i == 1
                                            ? Check(name, spec, {{"meta", meta}}, "stage")["stage"]
                                            : job_.RunTask(name, spec, {{"meta", meta}})["stage"];
  }
  const Files assembled =
      Check("assemble-teacher", job_.Task(v1::TASK_KIND_ASSEMBLE_TEACHER), stages, "model");
  const Files teacher =
      Check("finetune-teacher", job_.Task(v1::TASK_KIND_FINETUNE_TEACHER), assembled, "model");
  const Files split =
      Check("split-teacher", job_.Task(v1::TASK_KIND_SPLIT_TEACHER), teacher, "stage.2");
  Files modules;
  for (int i = 0; i < kModules; ++i) {
    const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_DISTILL_MODULE, i);
    const Files inputs = {{"meta", meta}, {"teacher_stage", split.at(absl::StrCat("stage.", i))}};
    const std::string name = absl::StrCat("distill-", i);
    modules[absl::StrCat("module.", i)] = i == 1 ? Check(name, spec, inputs, "module")["module"]
                                                 : job_.RunTask(name, spec, inputs)["module"];
  }
  const Files distilled =
      Check("assemble-student", job_.Task(v1::TASK_KIND_ASSEMBLE_STUDENT), modules, "model");
  const Files student =
      Check("finetune-student", job_.Task(v1::TASK_KIND_FINETUNE_STUDENT), distilled, "model");
  Check("baseline", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {}, "model");
  Check("evaluate", job_.Evaluation(v1::EVALUATION_SUBJECT_STUDENT), student, "metrics");
}

}  // namespace
}  // namespace distill::training
