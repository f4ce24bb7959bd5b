// The whole method at toy size, task by task, as a job runs it: meta model, incubation, teacher,
// split, distillation, student, evaluation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

using Files = std::map<std::string, std::string>;

TEST(ChainTest, RunsFromPixelsToAnEvaluatedStudent) {
  constexpr int kModules = 3;
  SmallJob job(kModules);
  Files stages;
  for (int i = 0; i < kModules; ++i) {
    stages[absl::StrCat("stage.", i)] = job.TeacherStage(i);
  }
  const Files assembled =
      job.RunTask("assemble-teacher", job.Task(v1::TASK_KIND_ASSEMBLE_TEACHER), stages);
  const Files teacher =
      job.RunTask("finetune-teacher", job.Task(v1::TASK_KIND_FINETUNE_TEACHER), assembled);
  const Files split = job.RunTask("split-teacher", job.Task(v1::TASK_KIND_SPLIT_TEACHER), teacher);
  ASSERT_EQ(split.size(), kModules);
  Files modules;
  for (int i = 0; i < kModules; ++i) {
    modules[absl::StrCat("module.", i)] = job.RunTask(
        absl::StrCat("distill-", i), job.Task(v1::TASK_KIND_DISTILL_MODULE, i),
        {{"meta", job.Meta()}, {"teacher_stage", split.at(absl::StrCat("stage.", i))}})["module"];
  }
  const Files distilled =
      job.RunTask("assemble-student", job.Task(v1::TASK_KIND_ASSEMBLE_STUDENT), modules);
  const Files student =
      job.RunTask("finetune-student", job.Task(v1::TASK_KIND_FINETUNE_STUDENT), distilled);
  EXPECT_NE(DigestOf(student.at("model")), DigestOf(distilled.at("model")));
  const Files metrics =
      job.RunTask("evaluate", job.Evaluation(v1::EVALUATION_SUBJECT_STUDENT), student);

  const auto json = nlohmann::json::parse(ReadFile(metrics.at("metrics")).value());
  EXPECT_EQ(json["images"], 100);
  EXPECT_EQ(json["experts"], 3);
  ASSERT_EQ(json["expertLoad"].size(), kModules * 3);
  double load = 0;
  for (int e = 0; e < 3; ++e) load += json["expertLoad"][e].get<double>();
  EXPECT_NEAR(load, 1.0, 1e-6);
  ASSERT_EQ(json["corruptions"].size(), 4);
  EXPECT_EQ(json["corruptions"][0]["name"], "gaussian_noise");
  EXPECT_EQ(json["corruptions"][3]["images"], 40);
}

TEST(ChainTest, EvaluatesHybrids) {
  SmallJob job(/*modules=*/3);
  for (int i = 0; i < 3; ++i) {
    const Files teacher =
        job.RunTask(absl::StrCat("teacher-hybrid-", i),
                    job.Evaluation(v1::EVALUATION_SUBJECT_TEACHER_HYBRID, i),
                    {{"meta", job.Meta()}, {"teacher_stage", job.TeacherStage(i)}});
    EXPECT_EQ(teacher.count("metrics"), 1);
    const Files module = job.RunTask(
        absl::StrCat("distill-", i), job.Task(v1::TASK_KIND_DISTILL_MODULE, i, /*images=*/16),
        {{"meta", job.Meta()}, {"teacher_stage", job.TeacherStage(i)}});
    const Files student = job.RunTask(absl::StrCat("student-hybrid-", i),
                                      job.Evaluation(v1::EVALUATION_SUBJECT_STUDENT_HYBRID, i),
                                      {{"meta", job.Meta()}, {"module", module.at("module")}});
    EXPECT_EQ(student.count("metrics"), 1);
  }
}

// Assembly and split only rename; a round trip gives the same bytes.
TEST(ChainTest, SplitUndoesAssembly) {
  constexpr int kModules = 3;
  SmallJob job(kModules);
  Files stages;
  for (int i = 0; i < kModules; ++i) stages[absl::StrCat("stage.", i)] = job.TeacherStage(i);
  const Files whole = job.RunTask("assemble", job.Task(v1::TASK_KIND_ASSEMBLE_TEACHER), stages);
  const Files parts = job.RunTask("split", job.Task(v1::TASK_KIND_SPLIT_TEACHER), whole);
  for (const auto& [name, path] : stages) EXPECT_EQ(DigestOf(parts.at(name)), DigestOf(path));
  const Files again = job.RunTask("again", job.Task(v1::TASK_KIND_ASSEMBLE_TEACHER), parts);
  EXPECT_EQ(DigestOf(again.at("model")), DigestOf(whole.at("model")));
}

// With stitches kept, the assembled student is the chain of its modules, unchanged.
TEST(ChainTest, KeptStitchesStayInTheStudent) {
  constexpr int kModules = 3;
  SmallJob job(kModules);
  const auto keep = [](v1::TaskSpec spec) {
    spec.mutable_student()->mutable_vmoe()->set_keep_stitches(true);
    return spec;
  };
  Files modules;
  for (int i = 0; i < kModules; ++i) {
    modules[absl::StrCat("module.", i)] = job.RunTask(
        absl::StrCat("distill-", i), keep(job.Task(v1::TASK_KIND_DISTILL_MODULE, i, 16)),
        {{"meta", job.Meta()}, {"teacher_stage", job.TeacherStage(i)}})["module"];
  }
  const Files student =
      job.RunTask("assemble", keep(job.Task(v1::TASK_KIND_ASSEMBLE_STUDENT)), modules);
  const auto whole = ReadTensorFile(student.at("model"));
  ASSERT_THAT(whole, IsOk());
  const auto middle = ReadTensorFile(modules.at("module.1"));
  ASSERT_THAT(middle, IsOk());
  for (const auto& [name, tensor] : middle->tensors) {
    ASSERT_EQ(whole->tensors.count("stages.1." + name), 1) << name;
    EXPECT_TRUE(whole->tensors.at("stages.1." + name).equal(tensor)) << name;
  }
}

}  // namespace
}  // namespace distill::training
