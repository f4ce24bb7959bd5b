#include "server/planner/planner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/counter_random.h"
#include "base/status_macros.h"
#include "server/planner/shapes.h"
#include "server/planner/task_key.h"

namespace distill::server {
namespace {

constexpr absl::string_view kModelOutput = "model";

int TrainImages(const v1::JobSpec& spec) {
  return spec.dataset().train_images() > 0 ? spec.dataset().train_images()
                                           : spec.dataset().train_size();
}

int64_t TotalImages(const v1::TrainingRecipe& recipe, const v1::JobSpec& spec) {
  if (recipe.total_images() > 0) return recipe.total_images();
  return std::llround(recipe.epochs() * TrainImages(spec));
}

// Makes epochs and total_images agree, so that equal budgets have equal keys however they were
// written.
v1::TrainingRecipe WithTotalImages(v1::TrainingRecipe recipe, int64_t total_images,
                                   const v1::JobSpec& spec) {
  recipe.set_total_images(total_images);
  recipe.set_epochs(static_cast<double>(total_images) / TrainImages(spec));
  return recipe;
}

bool KeepsStitches(const v1::StudentSpec& student) {
  return student.has_vmoe() && student.vmoe().keep_stitches();
}

std::string Indexed(absl::string_view stem, int index) { return absl::StrCat(stem, index); }

v1::TaskInput Produced(absl::string_view name, absl::string_view task, absl::string_view output) {
  v1::TaskInput input;
  input.set_name(std::string(name));
  input.mutable_produced()->set_task(std::string(task));
  input.mutable_produced()->set_output(std::string(output));
  return input;
}

v1::TaskInput Given(absl::string_view name, absl::string_view digest) {
  v1::TaskInput input;
  input.set_name(std::string(name));
  input.set_given_digest(std::string(digest));
  return input;
}

v1::TaskInput Renamed(v1::TaskInput input, absl::string_view name) {
  input.set_name(std::string(name));
  return input;
}

// Builds the plan of one job, phase by phase.
class PlanBuilder {
 public:
  explicit PlanBuilder(const v1::JobSpec& spec) : spec_(spec), modules_(spec.modules()) {}

  void Build() {
    AddMeta();
    AddTeacher();
    AddModules();
    AddStudent();
    AddBaselines();
    AddHybridEvaluations();
  }

  std::vector<PlannedTask> TakeTasks() { return std::move(tasks_); }

 private:
  // A task with what every kind has. `seed_label` names the phase: its modules share a seed, hence
  // their batches. It is empty for kinds that draw nothing, so that
  // they are equal under any seed of the job.
  PlannedTask Start(std::string name, v1::TaskKind kind, absl::string_view seed_label) const {
    PlannedTask task;
    task.name = std::move(name);
    v1::TaskSpec& spec = task.spec;
    spec.set_kind(kind);
    spec.set_modules(modules_);
    spec.set_patch_size(spec_.patch_size());
    *spec.mutable_dataset() = spec_.dataset();
    if (!seed_label.empty()) {
      spec.set_seed(CounterRandom(spec_.seed()).Stream("task").Stream(seed_label).NextUint64());
    }
    spec.set_numeric_class(spec_.execution().numeric_class());
    spec.set_semantics_version(SemanticsVersion(kind));
    spec.set_checkpoint_interval_seconds(spec_.execution().checkpoint_interval_seconds());
    return task;
  }

  void SetRecipe(const v1::TrainingRecipe& recipe, PlannedTask& task) const {
    *task.spec.mutable_recipe() = WithTotalImages(recipe, TotalImages(recipe, spec_), spec_);
  }

  // Sets the student, and the meta model where the student's stitches have its width.
  void SetStudent(PlannedTask& task) const {
    *task.spec.mutable_student() = spec_.student();
    if (KeepsStitches(spec_.student())) *task.spec.mutable_meta() = spec_.meta();
  }

  void SetBundleGroup(absl::string_view group, PlannedTask& task) const {
    if (spec_.execution().max_bundle() > 1) task.bundle_group = std::string(group);
  }

  // Appends the task and returns its first output as an input called "model".
  v1::TaskInput Add(PlannedTask task, std::vector<v1::TaskInput> inputs,
                    std::vector<std::string> outputs) {
    for (v1::TaskInput& input : inputs) {
      if (input.has_produced()) {
        const std::string& producer = input.produced().task();
        if (std::find(task.depends_on.begin(), task.depends_on.end(), producer) ==
            task.depends_on.end()) {
          task.depends_on.push_back(producer);
        }
      }
      *task.spec.add_inputs() = std::move(input);
    }
    for (std::string& output : outputs) task.spec.add_outputs(std::move(output));
    v1::TaskInput result = Produced(kModelOutput, task.name, task.spec.outputs(0));
    tasks_.push_back(std::move(task));
    return result;
  }

  PlannedTask StartEvaluation(std::string name, v1::EvaluationSubject subject) const {
    PlannedTask task = Start(std::move(name), v1::TASK_KIND_EVALUATE, "");
    task.spec.set_subject(subject);
    *task.spec.mutable_evaluation() = spec_.evaluation();
    return task;
  }

  void EvaluateWhole(std::string name, v1::EvaluationSubject subject, const v1::TaskInput& model) {
    PlannedTask task = StartEvaluation(std::move(name), subject);
    if (subject == v1::EVALUATION_SUBJECT_META) *task.spec.mutable_meta() = spec_.meta();
    if (subject == v1::EVALUATION_SUBJECT_TEACHER) *task.spec.mutable_teacher() = spec_.teacher();
    if (subject == v1::EVALUATION_SUBJECT_STUDENT) SetStudent(task);
    Add(std::move(task), {Renamed(model, "model")}, {"metrics"});
  }

  void AddMeta() {
    if (spec_.given().has_meta()) {
      meta_ = Given("meta", spec_.given().meta());
    } else {
      PlannedTask task = Start("pretrain-meta", v1::TASK_KIND_PRETRAIN_META, "pretrain-meta");
      *task.spec.mutable_meta() = spec_.meta();
      SetRecipe(spec_.pretrain_meta(), task);
      meta_ = Renamed(Add(std::move(task), {}, {"model"}), "meta");
    }
    EvaluateWhole("evaluate-meta", v1::EVALUATION_SUBJECT_META, meta_);
  }

  void AddTeacher() {
    if (!spec_.given().teacher_stages().empty()) {
      for (const std::string& digest : spec_.given().teacher_stages()) {
        stages_.push_back(Given("teacher_stage", digest));
      }
      // Merged only to be measured.
      EvaluateWhole("evaluate-teacher", v1::EVALUATION_SUBJECT_TEACHER, AssembleTeacher(stages_));
      return;
    }
    const v1::TaskInput teacher =
        spec_.given().has_teacher() ? Given("model", spec_.given().teacher()) : TrainTeacher();
    EvaluateWhole("evaluate-teacher", v1::EVALUATION_SUBJECT_TEACHER, teacher);
    PlannedTask split = Start("split-teacher", v1::TASK_KIND_SPLIT_TEACHER, "");
    *split.spec.mutable_teacher() = spec_.teacher();
    std::vector<std::string> outputs;
    for (int i = 0; i < modules_; ++i) {
      outputs.push_back(Indexed("stage.", i));
      stages_.push_back(Produced("teacher_stage", "split-teacher", outputs.back()));
    }
    Add(std::move(split), {Renamed(teacher, "model")}, std::move(outputs));
  }

  v1::TaskInput TrainTeacher() {
    std::vector<v1::TaskInput> incubated;
    for (int i = 0; i < modules_; ++i) {
      const std::string name = Indexed("incubate-teacher-", i);
      PlannedTask task = Start(name, v1::TASK_KIND_INCUBATE_TEACHER, "incubate-teacher");
      task.spec.set_module_index(i);
      *task.spec.mutable_meta() = spec_.meta();
      *task.spec.mutable_teacher() = spec_.teacher();
      SetRecipe(spec_.incubate_teacher(), task);
      SetBundleGroup("incubate-teacher", task);
      incubated.push_back(Add(std::move(task), {meta_}, {"stage"}));
    }
    const v1::TaskInput assembled = AssembleTeacher(incubated);
    PlannedTask task =
        Start("finetune-teacher", v1::TASK_KIND_FINETUNE_TEACHER, "finetune-teacher");
    *task.spec.mutable_teacher() = spec_.teacher();
    SetRecipe(spec_.finetune_teacher(), task);
    return Add(std::move(task), {assembled}, {"model"});
  }

  v1::TaskInput AssembleTeacher(const std::vector<v1::TaskInput>& stages) {
    PlannedTask task = Start("assemble-teacher", v1::TASK_KIND_ASSEMBLE_TEACHER, "");
    *task.spec.mutable_teacher() = spec_.teacher();
    std::vector<v1::TaskInput> inputs;
    for (int i = 0; i < modules_; ++i) {
      inputs.push_back(Renamed(stages[static_cast<size_t>(i)], Indexed("stage.", i)));
    }
    return Add(std::move(task), std::move(inputs), {"model"});
  }

  void AddModules() {
    for (int i = 0; i < modules_; ++i) {
      const std::string name = Indexed("distill-module-", i);
      PlannedTask task = Start(name, v1::TASK_KIND_DISTILL_MODULE, "distill-module");
      task.spec.set_module_index(i);
      *task.spec.mutable_meta() = spec_.meta();
      *task.spec.mutable_teacher() = spec_.teacher();
      *task.spec.mutable_student() = spec_.student();
      *task.spec.mutable_distillation() = spec_.distillation();
      SetRecipe(spec_.distill_modules(), task);
      SetBundleGroup("distill-module", task);
      distilled_.push_back(
          Add(std::move(task), {meta_, stages_[static_cast<size_t>(i)]}, {"module"}));
    }
  }

  void AddStudent() {
    PlannedTask assemble = Start("assemble-student", v1::TASK_KIND_ASSEMBLE_STUDENT, "");
    SetStudent(assemble);
    std::vector<v1::TaskInput> inputs;
    for (int i = 0; i < modules_; ++i) {
      inputs.push_back(Renamed(distilled_[static_cast<size_t>(i)], Indexed("module.", i)));
    }
    const v1::TaskInput assembled = Add(std::move(assemble), std::move(inputs), {"model"});
    EvaluateWhole("evaluate-student-distilled", v1::EVALUATION_SUBJECT_STUDENT, assembled);
    PlannedTask task =
        Start("finetune-student", v1::TASK_KIND_FINETUNE_STUDENT, "finetune-student");
    SetStudent(task);
    SetRecipe(spec_.finetune_student(), task);
    const v1::TaskInput student = Add(std::move(task), {assembled}, {"model"});
    EvaluateWhole("evaluate-student", v1::EVALUATION_SUBJECT_STUDENT, student);
  }

  int64_t BaselineImages(v1::BaselineKind kind) const {
    const int64_t finetune = TotalImages(spec_.finetune_student(), spec_);
    const int64_t distill = TotalImages(spec_.distill_modules(), spec_);
    switch (kind) {
      case v1::BASELINE_KIND_ALL_IMAGES:
        return finetune + distill;
      case v1::BASELINE_KIND_EQUAL_COMPUTE:
        return finetune + modules_ * distill;
      default:
        return finetune;
    }
  }

  void AddBaselines() {
    std::vector<v1::BaselineKind> kinds;
    for (const int kind : spec_.baselines()) kinds.push_back(static_cast<v1::BaselineKind>(kind));
    std::sort(kinds.begin(), kinds.end());
    for (const v1::BaselineKind kind : kinds) {
      const std::string suffix = absl::StrCat("b", static_cast<int>(kind));
      // One seed for all baselines: they differ in nothing but their budget.
      PlannedTask task =
          Start(absl::StrCat("baseline-", suffix), v1::TASK_KIND_TRAIN_BASELINE, "baseline");
      SetStudent(task);
      task.spec.set_baseline(kind);
      *task.spec.mutable_recipe() =
          WithTotalImages(spec_.finetune_student(), BaselineImages(kind), spec_);
      const v1::TaskInput model = Add(std::move(task), {}, {"model"});
      EvaluateWhole(absl::StrCat("evaluate-baseline-", suffix), v1::EVALUATION_SUBJECT_STUDENT,
                    model);
    }
  }

  void AddHybridEvaluations() {
    for (int i = 0; i < modules_; ++i) {
      PlannedTask task = StartEvaluation(Indexed("evaluate-teacher-hybrid-", i),
                                         v1::EVALUATION_SUBJECT_TEACHER_HYBRID);
      task.spec.set_module_index(i);
      *task.spec.mutable_meta() = spec_.meta();
      *task.spec.mutable_teacher() = spec_.teacher();
      Add(std::move(task), {meta_, stages_[static_cast<size_t>(i)]}, {"metrics"});
    }
    for (int i = 0; i < modules_; ++i) {
      PlannedTask task = StartEvaluation(Indexed("evaluate-student-hybrid-", i),
                                         v1::EVALUATION_SUBJECT_STUDENT_HYBRID);
      task.spec.set_module_index(i);
      *task.spec.mutable_meta() = spec_.meta();
      *task.spec.mutable_student() = spec_.student();
      Add(std::move(task), {meta_, Renamed(distilled_[static_cast<size_t>(i)], "module")},
          {"metrics"});
    }
  }

  const v1::JobSpec& spec_;
  const int modules_;
  v1::TaskInput meta_;                    // Named "meta".
  std::vector<v1::TaskInput> stages_;     // Named "teacher_stage".
  std::vector<v1::TaskInput> distilled_;  // Outputs of distill-module-*.
  std::vector<PlannedTask> tasks_;
};

absl::Status RequireComplete(const v1::JobSpec& spec) {
  const v1::DatasetSpec& dataset = spec.dataset();
  if (!dataset.has_digest() || dataset.image_size() <= 0 || dataset.channels() <= 0 ||
      dataset.train_size() <= 0) {
    return absl::InvalidArgumentError(
        "cannot plan job: dataset: got no digest, image_size, channels or train_size, want all of "
        "them; the server fills them in when it can read dataset.path");
  }
  if (spec.execution().numeric_class().empty()) {
    return absl::InvalidArgumentError(
        "cannot plan job: execution.numeric_class: got nothing, want a class such as cpu-x86-avx2");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobPlan> Plan(const v1::JobSpec& complete, absl::string_view job_scope) {
  DISTILL_RETURN_IF_ERROR(RequireComplete(complete));
  JobPlan plan;
  plan.spec = complete;
  PlanBuilder builder(complete);
  builder.Build();
  plan.tasks = builder.TakeTasks();
  const bool shared = complete.execution().numeric_class() != kAnyNumericClass;
  ProducerKeys keys;
  for (PlannedTask& task : plan.tasks) {
    DISTILL_ASSIGN_OR_RETURN(task.key,
                             TaskKey(task.spec, keys, shared ? absl::string_view() : job_scope));
    keys[task.name] = task.key;
    task.predicted_memory_bytes = PredictMemoryBytes(task.spec);
  }
  return plan;
}

std::string PhaseLabel(const v1::TaskSpec& spec) {
  absl::string_view name = v1::TaskKind_Name(spec.kind());
  constexpr absl::string_view kPrefix = "TASK_KIND_";
  if (name.substr(0, kPrefix.size()) == kPrefix) name.remove_prefix(kPrefix.size());
  return absl::AsciiStrToLower(absl::StrReplaceAll(name, {{"_", " "}}));
}

}  // namespace distill::server
