#include "server/report/report_builder.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "distill/v1/task.pb.h"
#include "google/protobuf/util/json_util.h"
#include "server/planner/planner.h"
#include "server/report/report_choices.h"
#include "server/report/report_markdown.h"
#include "server/report/report_sections.h"
#include "server/report/report_tasks.h"

namespace distill::server {
namespace {

// Digest of what the evaluating task measured: its last input.
std::string EvaluatedDigest(const ReportInputs& inputs, const ReportTask& task) {
  if (task.spec.inputs().empty()) return "";
  const v1::TaskInput& input = task.spec.inputs(task.spec.inputs_size() - 1);
  if (!input.has_produced()) return input.given_digest();
  for (const ReportTask& producer : inputs.tasks) {
    if (producer.record.definition.name != input.produced().task()) continue;
    const storage::NamedBlob* blob =
        FindBlob(producer.record.status.results, input.produced().output());
    return blob == nullptr ? "" : blob->digest.str();
  }
  return "";
}

// "evaluate-teacher-hybrid-0" -> "teacher hybrid 0"; "evaluate-baseline-b1" -> "baseline B1".
std::string ModelLabel(const std::string& task_name) {
  constexpr absl::string_view kPrefix = "evaluate-";
  absl::string_view rest = task_name;
  if (absl::StartsWith(rest, kPrefix)) rest.remove_prefix(kPrefix.size());
  return absl::StrReplaceAll(rest, {{"baseline-b", "baseline B"}, {"-", " "}});
}

// Meta, teacher, hybrids, student, baselines: the order in which people read.
int ModelRank(const v1::TaskSpec& spec, const std::string& name) {
  if (absl::StartsWith(name, "evaluate-baseline-")) return 6;
  switch (spec.subject()) {
    case v1::EVALUATION_SUBJECT_META:
      return 0;
    case v1::EVALUATION_SUBJECT_TEACHER:
      return 1;
    case v1::EVALUATION_SUBJECT_TEACHER_HYBRID:
      return 2;
    case v1::EVALUATION_SUBJECT_STUDENT_HYBRID:
      return 3;
    default:
      return name == "evaluate-student-distilled" ? 4 : 5;
  }
}

void AddModels(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report) {
  std::vector<const ReportTask*> evaluations;
  for (const ReportTask& task : inputs.tasks) {
    if (task.spec.kind() == v1::TASK_KIND_EVALUATE) evaluations.push_back(&task);
  }
  std::stable_sort(evaluations.begin(), evaluations.end(),
                   [](const ReportTask* a, const ReportTask* b) {
                     return ModelRank(a->spec, a->record.definition.name) <
                            ModelRank(b->spec, b->record.definition.name);
                   });
  for (const ReportTask* task : evaluations) {
    v1::Report::Model& model = *report.add_models();
    model.set_label(ModelLabel(task->record.definition.name));
    model.set_task(task->record.definition.name);
    model.set_state(storage::Name(task->record.status.state));
    model.set_model_digest(EvaluatedDigest(inputs, *task));
    const storage::NamedBlob* metrics = FindBlob(task->record.status.results, "metrics");
    if (metrics == nullptr) continue;
    model.set_metrics_digest(metrics->digest.str());
    const absl::Status read = ReadJsonResult(blobs, metrics->digest, *model.mutable_result());
    if (!read.ok()) {
      model.clear_result();
      report.add_warnings(absl::StrCat("metrics of ", model.label(),
                                       " cannot be read: ", std::string(read.message())));
    }
  }
}

bool IsLost(const storage::AttemptRecord& attempt) {
  return attempt.state == storage::AttemptState::kExpired ||
         (attempt.state == storage::AttemptState::kFailed &&
          attempt.failure_class != storage::FailureClass::kUser);
}

// Sums of one phase while its tasks are visited.
struct PhaseSums {
  v1::Report::Phase phase;
  absl::Time first_start = absl::InfiniteFuture();
  absl::Time last_finish = absl::InfinitePast();
};

void AddToPhase(const ReportTask& task, PhaseSums& sums) {
  v1::Report::Phase& phase = sums.phase;
  phase.set_tasks(phase.tasks() + 1);
  if (!task.record.status.reused_from.empty()) phase.set_tasks_reused(phase.tasks_reused() + 1);
  phase.set_predicted_memory_bytes(
      std::max(phase.predicted_memory_bytes(), task.record.definition.memory_bytes));
  for (const storage::AttemptRecord& attempt : task.reused_attempts) {
    v1::AttemptStats stats;
    if (!stats.ParseFromString(attempt.stats)) continue;
    phase.set_saved_wall_seconds(phase.saved_wall_seconds() + stats.wall_seconds());
    phase.set_saved_cpu_seconds(phase.saved_cpu_seconds() + stats.cpu_seconds());
  }
  for (const storage::AttemptRecord& attempt : task.attempts) {
    phase.set_attempts(phase.attempts() + 1);
    if (IsLost(attempt)) phase.set_attempts_lost(phase.attempts_lost() + 1);
    if (attempt.start_time != storage::kUnsetTime) {
      sums.first_start = std::min(sums.first_start, attempt.start_time);
    }
    if (attempt.finish_time != storage::kUnsetTime) {
      sums.last_finish = std::max(sums.last_finish, attempt.finish_time);
    }
    v1::AttemptStats stats;
    if (attempt.stats.empty() || !stats.ParseFromString(attempt.stats)) continue;
    phase.set_images_seen(phase.images_seen() + stats.images_seen());
    phase.set_cpu_seconds(phase.cpu_seconds() + stats.cpu_seconds());
    phase.set_peak_memory_bytes(std::max(phase.peak_memory_bytes(), stats.peak_memory_bytes()));
  }
}

void AddPhases(const ReportInputs& inputs, v1::Report& report) {
  std::vector<PhaseSums> phases;
  for (const ReportTask& task : inputs.tasks) {
    const std::string label = PhaseLabel(task.spec);
    auto place = std::find_if(phases.begin(), phases.end(),
                              [&](const PhaseSums& sums) { return sums.phase.label() == label; });
    if (place == phases.end()) {
      place = phases.insert(phases.end(), PhaseSums());
      place->phase.set_label(label);
    }
    AddToPhase(task, *place);
  }
  for (PhaseSums& sums : phases) {
    if (sums.last_finish > sums.first_start) {
      sums.phase.set_wall_seconds(absl::ToDoubleSeconds(sums.last_finish - sums.first_start));
    }
    *report.add_phases() = std::move(sums.phase);
  }
}

void AddWarnings(const ReportInputs& inputs, v1::Report& report) {
  const auto warn = [&](const std::string& text) { report.add_warnings(text); };
  if (!storage::IsTerminal(inputs.job.status.state)) {
    warn("the job is not over: numbers are missing or may change");
  }
  if (!inputs.job.status.failure_message.empty()) warn(inputs.job.status.failure_message);
  if (inputs.spec.execution().numeric_class() == "any") {
    warn("numeric class any: results may differ in bits from run to run");
  }
  if (inputs.spec.distillation().divisor() == v1::KD_DIVISOR_NUMEL) {
    warn("kd divisor numel weakens distillation by the number of classes");
  }
  int32_t lost = 0;
  int64_t resumed = 0;
  for (const ReportTask& task : inputs.tasks) {
    for (const storage::AttemptRecord& attempt : task.attempts) {
      lost += IsLost(attempt) ? 1 : 0;
      v1::AttemptStats stats;
      if (stats.ParseFromString(attempt.stats)) resumed += stats.resumed_from_step() > 0 ? 1 : 0;
    }
  }
  if (lost > 0) {
    warn(absl::StrCat(lost,
                      " attempts were lost; what they had trained since their last uploaded "
                      "checkpoint was done again (",
                      resumed,
                      " attempts resumed), and their "
                      "cost is not in the table"));
  }
  if (inputs.counts.reused > 0) {
    warn(absl::StrCat(inputs.counts.reused,
                      " tasks took the results of equal tasks; what these had cost is what reuse "
                      "saved, not what this job took"));
  }
}

}  // namespace

absl::StatusOr<v1::Report> BuildReport(const storage::StateStore& store,
                                       const storage::BlobStore& blobs, const JobId& job) {
  DISTILL_ASSIGN_OR_RETURN(const ReportInputs inputs, LoadReportInputs(store, job));
  v1::Report report;
  v1::Job& shown = *report.mutable_job();
  shown.set_name(absl::StrCat("projects/", inputs.job.project.str(), "/jobs/", job.str()));
  shown.set_id(job.str());
  *shown.mutable_spec() = inputs.spec;
  shown.set_state(static_cast<v1::JobState>(inputs.job.status.state));
  shown.set_failure_message(inputs.job.status.failure_message);
  shown.set_revision(inputs.job.status.revision);
  shown.set_tasks_total(inputs.counts.total);
  shown.set_tasks_succeeded(inputs.counts.succeeded);
  shown.set_tasks_running(inputs.counts.running);
  shown.set_tasks_reused(inputs.counts.reused);
  const auto set_time = [](absl::Time time, google::protobuf::Timestamp& timestamp) {
    const int64_t seconds = absl::ToUnixSeconds(time);
    timestamp.set_seconds(seconds);
    timestamp.set_nanos(
        static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
  };
  if (inputs.job.create_time != storage::kUnsetTime) {
    set_time(inputs.job.create_time, *shown.mutable_create_time());
  }
  if (inputs.job.status.finish_time != storage::kUnsetTime) {
    set_time(inputs.job.status.finish_time, *shown.mutable_finish_time());
  }
  AddModels(inputs, blobs, report);
  AddPrior(inputs, blobs, report);
  AddVerdicts(inputs, blobs, report);
  AddFewShot(inputs, blobs, report);
  AddTrainingEnds(inputs, blobs, report);
  AddPhases(inputs, report);
  AddChoices(inputs.spec, report);
  AddWarnings(inputs, report);
  AddLeftOutImages(inputs.spec, store, report);
  report.set_markdown(RenderMarkdown(report));
  const auto& artifacts = inputs.job.status.artifacts;
  if (const auto* json = FindBlob(artifacts, "report.json")) {
    report.set_json_digest(json->digest.str());
  }
  if (const auto* markdown = FindBlob(artifacts, "report.md")) {
    report.set_markdown_digest(markdown->digest.str());
  }
  return report;
}

absl::StatusOr<std::string> ReportJson(const v1::Report& report) {
  v1::Report stored = report;
  stored.clear_markdown();
  stored.clear_json_digest();
  stored.clear_markdown_digest();
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(stored, &json, options);
  if (!printed.ok()) {
    return absl::InternalError(absl::StrCat("cannot print report: ", printed.ToString()));
  }
  return json;
}

}  // namespace distill::server
