#include "server/planner/planner.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/counter_random.h"
#include "base/status_macros.h"
#include "server/planner/field_checks.h"
#include "server/planner/memory_prediction.h"
#include "server/planner/recipes.h"
#include "server/planner/task_key.h"
#include "server/planner/task_networks.h"
#include "storage/weights/stage_depths.h"

namespace distill::server {
namespace {

constexpr absl::string_view kModelOutput = "model";

int TrainImages(const v1::JobSpec& spec) {
  return spec.dataset().train_images() > 0 ? spec.dataset().train_images()
                                           : spec.dataset().train_size();
}

int64_t TotalImages(const v1::TrainingRecipe& recipe, int64_t train_images) {
  if (recipe.total_images() > 0) return recipe.total_images();
  return std::llround(recipe.epochs() * static_cast<double>(train_images));
}

// Makes epochs and total_images agree, so that equal budgets have equal keys however they were
// written.
v1::TrainingRecipe WithTotalImages(v1::TrainingRecipe recipe, int64_t total_images,
                                   int64_t train_images) {
  recipe.set_total_images(total_images);
  recipe.set_epochs(static_cast<double>(total_images) / static_cast<double>(train_images));
  return recipe;
}

bool KeepsStitches(const v1::StudentSpec& student) {
  return (student.has_vmoe() && student.vmoe().keep_stitches()) ||
         (student.has_nac() && student.nac().keep_stitches());
}

bool HasGate(const v1::QualityGateSpec& gate) {
  return gate.candidates() > 1 || gate.largest_accuracy_gap() < 1.0;
}

// What a task needs to know of the gate: the number of candidates shows in its inputs.
v1::QualityGateSpec GapOf(const v1::QualityGateSpec& gate) {
  v1::QualityGateSpec gap;
  gap.set_largest_accuracy_gap(gate.largest_accuracy_gap());
  return gap;
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
    if (NeedsMeta()) AddMeta();
    if (NeedsTeacher()) AddTeacher();
    AddPrior();
    AddModules();
    AddStudent();
    AddFewShot();
    AddBaselines();
    AddHybridEvaluations();
  }

  std::vector<PlannedTask> TakeTasks() { return std::move(tasks_); }

 private:
  bool IsNac() const { return spec_.student().has_nac(); }

  bool Distills() const {
    return !spec_.given().has_student() && spec_.given().student_modules().empty();
  }

  bool HasBaseline(v1::BaselineKind kind) const {
    return std::find(spec_.baselines().begin(), spec_.baselines().end(), kind) !=
           spec_.baselines().end();
  }

  bool TeacherIsGiven() const {
    return spec_.given().has_teacher() || !spec_.given().teacher_stages().empty();
  }

  bool NeedsTeacher() const {
    return Distills() || TeacherIsGiven() ||
           HasBaseline(v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION);
  }

  bool NeedsMeta() const {
    return Distills() || spec_.given().has_meta() || (NeedsTeacher() && !TeacherIsGiven());
  }

  // A task with what every kind has, drawing from `seed`.
  PlannedTask StartSeeded(std::string name, v1::TaskKind kind, uint64_t seed) const {
    PlannedTask task;
    task.name = std::move(name);
    v1::TaskSpec& spec = task.spec;
    spec.set_kind(kind);
    spec.set_modules(modules_);
    spec.set_patch_size(spec_.patch_size());
    *spec.mutable_dataset() = spec_.dataset();
    spec.set_seed(seed);
    spec.set_numeric_class(spec_.execution().numeric_class());
    spec.set_semantics_version(SemanticsVersion(kind));
    spec.set_checkpoint_interval_seconds(spec_.execution().checkpoint_interval_seconds());
    return task;
  }

  static CounterRandom PhaseRandom(uint64_t seed, absl::string_view label) {
    return CounterRandom(seed).Stream("task").Stream(label);
  }

  // `seed_label` names the phase: its modules share a seed, hence their batches. It is empty for
  // kinds that draw nothing, so that they are equal under any seed of the job.
  PlannedTask Start(std::string name, v1::TaskKind kind, absl::string_view seed_label) const {
    return StartSeeded(std::move(name), kind,
                       seed_label.empty() ? 0 : PhaseRandom(spec_.seed(), seed_label).NextUint64());
  }

  void SetRecipe(const v1::TrainingRecipe& recipe, PlannedTask& task) const {
    const int64_t images = TrainImages(spec_);
    *task.spec.mutable_recipe() = WithTotalImages(recipe, TotalImages(recipe, images), images);
  }

  // Sets the whole student, and the meta model where the student's stitches have its width.
  void SetStudent(v1::StudentSpec used, PlannedTask& task) const {
    *task.spec.mutable_student() = std::move(used);
    if (KeepsStitches(spec_.student())) *task.spec.mutable_meta() = spec_.meta();
  }

  void SetBundleGroup(absl::string_view group, PlannedTask& task) const {
    if (spec_.execution().max_bundle() > 1) task.bundle_group = std::string(group);
  }

  // Appends the task and returns its first output as an input called "model".
  v1::TaskInput Add(PlannedTask task, std::vector<v1::TaskInput> inputs,
                    std::vector<std::string> outputs) {
    std::set<std::string> producers;
    for (v1::TaskInput& input : inputs) {
      if (input.has_produced() && producers.insert(input.produced().task()).second) {
        task.depends_on.push_back(input.produced().task());
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
    if (subject == v1::EVALUATION_SUBJECT_STUDENT) {
      SetStudent(StudentForEvaluation(spec_.student()), task);
    }
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
      // Merged only to be measured, or to teach a whole model.
      teacher_ = AssembleTeacher(stages_);
      EvaluateWhole("evaluate-teacher", v1::EVALUATION_SUBJECT_TEACHER, teacher_);
      return;
    }
    teacher_ =
        spec_.given().has_teacher() ? Given("model", spec_.given().teacher()) : TrainTeacher();
    EvaluateWhole("evaluate-teacher", v1::EVALUATION_SUBJECT_TEACHER, teacher_);
    if (!Distills() && !NeedsMeta()) return;  // Nobody asks for its stages.
    PlannedTask split = Start("split-teacher", v1::TASK_KIND_SPLIT_TEACHER, "");
    *split.spec.mutable_teacher() = spec_.teacher();
    std::vector<std::string> outputs;
    for (int i = 0; i < modules_; ++i) {
      outputs.push_back(Indexed("stage.", i));
      stages_.push_back(Produced("teacher_stage", "split-teacher", outputs.back()));
    }
    Add(std::move(split), {Renamed(teacher_, "model")}, std::move(outputs));
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
      inputs.push_back(Renamed(At(stages, i), Indexed("stage.", i)));
    }
    return Add(std::move(task), std::move(inputs), {"model"});
  }

  // Fits a NAC's prior, for whoever makes a whole student from something else.
  void AddPrior() {
    if (!IsNac() || (spec_.given().has_student() && spec_.baselines().empty())) return;
    const uint64_t seed = spec_.student().nac().prior().seed();
    PlannedTask task = StartSeeded("fit-prior", v1::TASK_KIND_FIT_PRIOR,
                                   PhaseRandom(seed, "fit-prior").NextUint64());
    // Signatures know no images: priors are shared between data sets.
    task.spec.clear_dataset();
    task.spec.clear_patch_size();
    task.spec.clear_modules();
    *task.spec.mutable_student() = StudentForPrior(spec_.student());
    signatures_ =
        Renamed(Add(std::move(task), {}, {"signatures", "connectivity", "affinity"}), "signatures");
  }

  static const v1::TaskInput& At(const std::vector<v1::TaskInput>& inputs, int index) {
    return inputs[static_cast<size_t>(index)];
  }

  // A distillation of module `index`; each candidate has a seed of its own, which all modules
  // share.
  PlannedTask StartDistillation(int index, int candidate) const {
    const std::string name = candidate == 0
                                 ? Indexed("distill-module-", index)
                                 : absl::StrCat("distill-module-", index, "-candidate-", candidate);
    CounterRandom random = PhaseRandom(spec_.seed(), "distill-module");
    if (candidate > 0) random = random.Stream("candidate").Stream(static_cast<uint64_t>(candidate));
    PlannedTask task = StartSeeded(name, v1::TASK_KIND_DISTILL_MODULE, random.NextUint64());
    task.spec.set_module_index(index);
    *task.spec.mutable_meta() = spec_.meta();
    *task.spec.mutable_teacher() = spec_.teacher();
    *task.spec.mutable_student() = StudentForModule(spec_.student(), modules_, index);
    *task.spec.mutable_distillation() = spec_.distillation();
    SetRecipe(spec_.distill_modules(), task);
    return task;
  }

  void AddModules() {
    for (const std::string& digest : spec_.given().student_modules()) {
      distilled_.push_back(Given("module", digest));
    }
    if (!Distills()) return;
    for (int i = 0; i < modules_; ++i) {
      PlannedTask task = StartDistillation(i, /*candidate=*/0);
      SetBundleGroup("distill-module", task);
      distilled_.push_back(Add(std::move(task), {meta_, At(stages_, i)}, {"module"}));
    }
    if (!HasGate(spec_.quality_gate())) return;
    for (int i = 0; i < modules_; ++i) {
      const v1::TaskInput chosen = SelectModule(i, At(distilled_, i));
      distilled_[static_cast<size_t>(i)] = chosen;
    }
  }

  // Adds the further candidates of module `index`, measures all, and returns the one taken.
  v1::TaskInput SelectModule(int index, const v1::TaskInput& first) {
    const v1::TaskInput teacher_metrics = EvaluateTeacherHybrid(index);
    std::vector<v1::TaskInput> inputs;
    v1::TaskInput module = first;
    for (int candidate = 0; candidate < spec_.quality_gate().candidates(); ++candidate) {
      if (candidate > 0) {
        module = AddCandidate(index, candidate, module, inputs.back(), teacher_metrics);
      }
      v1::TaskInput metrics = EvaluateStudentHybrid(index, candidate, module);
      inputs.push_back(Renamed(module, Indexed("candidate.", candidate)));
      inputs.push_back(Renamed(std::move(metrics), Indexed("metrics.", candidate)));
    }
    inputs.push_back(teacher_metrics);
    PlannedTask task = Start(Indexed("select-module-", index), v1::TASK_KIND_SELECT_MODULE, "");
    task.spec.set_module_index(index);
    *task.spec.mutable_quality_gate() = GapOf(spec_.quality_gate());
    return Add(std::move(task), std::move(inputs), {"module", "verdict"});
  }

  v1::TaskInput AddCandidate(int index, int candidate, const v1::TaskInput& previous,
                             const v1::TaskInput& previous_metrics,
                             const v1::TaskInput& teacher_metrics) {
    PlannedTask task = StartDistillation(index, candidate);
    std::vector<v1::TaskInput> inputs = {meta_, At(stages_, index)};
    if (spec_.quality_gate().best_of_all()) {
      SetBundleGroup(absl::StrCat("distill-module-candidate-", candidate), task);
    } else {
      // Whether it trains is only known when it runs, so that it shares its trainer with none.
      *task.spec.mutable_quality_gate() = GapOf(spec_.quality_gate());
      inputs.push_back(Renamed(previous, "previous_module"));
      inputs.push_back(Renamed(previous_metrics, "previous_metrics"));
      inputs.push_back(teacher_metrics);
    }
    return Add(std::move(task), std::move(inputs), {"module"});
  }

  void AddStudent() {
    if (spec_.given().has_student()) {
      student_ = Given("model", spec_.given().student());
      EvaluateWhole("evaluate-student", v1::EVALUATION_SUBJECT_STUDENT, student_);
      return;
    }
    // A NAC has parts that no module brings along.
    PlannedTask assemble = Start("assemble-student", v1::TASK_KIND_ASSEMBLE_STUDENT,
                                 IsNac() ? "assemble-student" : "");
    SetStudent(StudentForAssembly(spec_.student()), assemble);
    std::vector<v1::TaskInput> inputs;
    for (int i = 0; i < modules_; ++i) {
      inputs.push_back(Renamed(At(distilled_, i), Indexed("module.", i)));
    }
    if (IsNac()) inputs.push_back(signatures_);
    const v1::TaskInput assembled = Add(std::move(assemble), std::move(inputs), {"model"});
    EvaluateWhole("evaluate-student-distilled", v1::EVALUATION_SUBJECT_STUDENT, assembled);
    PlannedTask task =
        Start("finetune-student", v1::TASK_KIND_FINETUNE_STUDENT, "finetune-student");
    SetStudent(StudentForTraining(spec_.student()), task);
    SetRecipe(spec_.finetune_student(), task);
    student_ = Add(std::move(task), {assembled}, {"model"});
    EvaluateWhole("evaluate-student", v1::EVALUATION_SUBJECT_STUDENT, student_);
  }

  void AddFewShot() {
    for (const v1::FewShotSpec& episode : spec_.few_shot()) {
      PlannedTask task =
          StartSeeded(absl::StrCat("few-shot-", episode.name()), v1::TASK_KIND_FEW_SHOT,
                      PhaseRandom(episode.seed(), "few-shot").NextUint64());
      SetStudent(StudentForFewShot(spec_.student(), episode.features()), task);
      // One trainer keeps what the student makes of images for all episodes.
      if (episode.features() == v1::FEW_SHOT_FEATURES_CACHED) SetBundleGroup("few-shot", task);
      const int64_t images = int64_t{episode.ways()} * episode.shots();
      *task.spec.mutable_recipe() =
          WithTotalImages(episode.recipe(), TotalImages(episode.recipe(), images), images);
      v1::FewShotSpec& few_shot = *task.spec.mutable_few_shot();
      few_shot = episode;
      few_shot.clear_name();
      few_shot.clear_seed();
      few_shot.clear_recipe();
      Add(std::move(task), {Renamed(student_, "model")}, {"model", "metrics"});
    }
  }

  int64_t BaselineImages(v1::BaselineKind kind) const {
    const int64_t finetune = TotalImages(spec_.finetune_student(), TrainImages(spec_));
    const int64_t distill = TotalImages(spec_.distill_modules(), TrainImages(spec_));
    switch (kind) {
      case v1::BASELINE_KIND_ALL_IMAGES:
      case v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION:
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
    for (const v1::BaselineKind kind : kinds) AddBaseline(kind);
  }

  void AddBaseline(v1::BaselineKind kind) {
    const std::string suffix = absl::StrCat("b", static_cast<int>(kind));
    // One seed for all baselines: they differ in nothing but their budget and their loss.
    PlannedTask task =
        Start(absl::StrCat("baseline-", suffix), v1::TASK_KIND_TRAIN_BASELINE, "baseline");
    SetStudent(StudentForBaseline(spec_.student()), task);
    task.spec.set_baseline(kind);
    *task.spec.mutable_recipe() =
        WithTotalImages(spec_.finetune_student(), BaselineImages(kind), TrainImages(spec_));
    std::vector<v1::TaskInput> inputs;
    if (IsNac()) inputs.push_back(signatures_);
    if (kind == v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION) {
      *task.spec.mutable_teacher() = spec_.teacher();
      *task.spec.mutable_distillation() = spec_.distillation();
      inputs.push_back(Renamed(teacher_, "teacher"));
    }
    const v1::TaskInput model = Add(std::move(task), std::move(inputs), {"model"});
    EvaluateWhole(absl::StrCat("evaluate-baseline-", suffix), v1::EVALUATION_SUBJECT_STUDENT,
                  model);
  }

  PlannedTask StartHybrid(std::string name, v1::EvaluationSubject subject, int index) const {
    PlannedTask task = StartEvaluation(std::move(name), subject);
    task.spec.mutable_evaluation()->clear_out_of_distribution();
    task.spec.set_module_index(index);
    *task.spec.mutable_meta() = spec_.meta();
    return task;
  }

  v1::TaskInput EvaluateTeacherHybrid(int index) {
    PlannedTask task = StartHybrid(Indexed("evaluate-teacher-hybrid-", index),
                                   v1::EVALUATION_SUBJECT_TEACHER_HYBRID, index);
    *task.spec.mutable_teacher() = spec_.teacher();
    return Renamed(Add(std::move(task), {meta_, At(stages_, index)}, {"metrics"}),
                   "teacher_metrics");
  }

  v1::TaskInput EvaluateStudentHybrid(int index, int candidate, const v1::TaskInput& module) {
    std::string name = Indexed("evaluate-student-hybrid-", index);
    if (candidate > 0) absl::StrAppend(&name, "-candidate-", candidate);
    PlannedTask task = StartHybrid(std::move(name), v1::EVALUATION_SUBJECT_STUDENT_HYBRID, index);
    *task.spec.mutable_student() = StudentForModule(spec_.student(), modules_, index);
    return Add(std::move(task), {meta_, Renamed(module, "module")}, {"metrics"});
  }

  // At the end: nobody waits for them, unless there is a gate, which measured them itself.
  void AddHybridEvaluations() {
    if (!NeedsMeta() || (Distills() && HasGate(spec_.quality_gate()))) return;
    if (!stages_.empty()) {
      for (int i = 0; i < modules_; ++i) EvaluateTeacherHybrid(i);
    }
    if (distilled_.empty()) return;
    for (int i = 0; i < modules_; ++i) EvaluateStudentHybrid(i, 0, At(distilled_, i));
  }

  const v1::JobSpec& spec_;
  const int modules_;
  v1::TaskInput meta_;                    // Named "meta".
  v1::TaskInput teacher_;                 // Whole, named "model".
  v1::TaskInput signatures_;              // Named "signatures".
  std::vector<v1::TaskInput> stages_;     // Named "teacher_stage".
  std::vector<v1::TaskInput> distilled_;  // The student's modules.
  v1::TaskInput student_;                 // Fine-tuned, named "model".
  std::vector<PlannedTask> tasks_;
};

bool IsComplete(const v1::DatasetSpec& dataset) {
  return dataset.has_digest() && dataset.channels() > 0 && dataset.input_size() > 0;
}

absl::Status RequireComplete(const v1::JobSpec& spec) {
  bool complete = IsComplete(spec.dataset()) && spec.dataset().train_size() > 0;
  for (const v1::OutOfDistributionSet& set : spec.evaluation().out_of_distribution()) {
    complete = complete && IsComplete(set.dataset());
  }
  for (const v1::FewShotSpec& few_shot : spec.few_shot()) {
    complete = complete && IsComplete(few_shot.dataset());
  }
  if (!complete) {
    return absl::InvalidArgumentError(
        "cannot plan job: dataset: got no digest, input_size, channels or train_size, want all of "
        "them; the server fills them in when it can read dataset.path");
  }
  if (spec.execution().numeric_class().empty()) {
    return absl::InvalidArgumentError(
        "cannot plan job: execution.numeric_class: got nothing, want a class such as cpu-x86-avx2");
  }
  return absl::OkStatus();
}

// The job whose networks its tasks carry: each of thousands of modules must not list them all.
v1::JobSpec WithoutEvenDepths(v1::JobSpec spec) {
  storage::ForgetEvenDepths(*spec.mutable_meta());
  storage::ForgetEvenDepths(*spec.mutable_teacher());
  v1::StudentSpec& student = *spec.mutable_student();
  if (student.has_vit()) storage::ForgetEvenDepths(*student.mutable_vit());
  if (student.has_vmoe()) storage::ForgetEvenDepths(*student.mutable_vmoe()->mutable_backbone());
  return spec;
}

// Whether the job's class of machines can compute as its recipes say.
absl::Status CheckPrecision(const v1::JobSpec& spec) {
  const std::string& numeric_class = spec.execution().numeric_class();
  if (numeric_class == kAnyNumericClass || absl::StartsWith(numeric_class, "cuda")) {
    return absl::OkStatus();
  }
  FieldChecks checks;
  for (const NamedRecipe& named : RecipesOf(spec)) {
    if (named.recipe->precision() != v1::PRECISION_FLOAT16) continue;
    checks.Fail(
        absl::StrCat(named.path, ".precision"), "float16", "float32 or bfloat16",
        absl::StrCat("loss scaling needs CUDA; execution.numeric_class is ", numeric_class));
  }
  return checks.ToStatus("plan job");
}

}  // namespace

absl::StatusOr<JobPlan> Plan(const v1::JobSpec& complete, absl::string_view job_scope) {
  DISTILL_RETURN_IF_ERROR(RequireComplete(complete));
  DISTILL_RETURN_IF_ERROR(CheckPrecision(complete));
  JobPlan plan;
  plan.spec = complete;
  const v1::JobSpec compact = WithoutEvenDepths(complete);
  PlanBuilder builder(compact);
  builder.Build();
  plan.tasks = builder.TakeTasks();
  const bool shared = complete.execution().numeric_class() != kAnyNumericClass;
  TaskKeyEncoder encoder(shared ? absl::string_view() : job_scope);
  ProducerKeys keys;
  for (PlannedTask& task : plan.tasks) {
    DISTILL_ASSIGN_OR_RETURN(task.key, encoder.Key(task.spec, keys));
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
