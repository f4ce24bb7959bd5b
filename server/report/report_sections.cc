#include "server/report/report_sections.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/report/report_choices.h"

namespace distill::server {
namespace {

std::string DigestOf(const ReportTask& task, absl::string_view output) {
  const storage::NamedBlob* blob = FindBlob(task.record.status.results, output);
  return blob == nullptr ? "" : blob->digest.str();
}

// Reads the task's result `output`. False when it is not there, or cannot be read: then with a
// warning.
bool ReadOutput(const ReportTask& task, absl::string_view output, const storage::BlobStore& blobs,
                google::protobuf::Message& result, v1::Report& report) {
  const storage::NamedBlob* blob = FindBlob(task.record.status.results, output);
  if (blob == nullptr) return false;
  const absl::Status read = ReadJsonResult(blobs, blob->digest, result);
  if (read.ok()) return true;
  result.Clear();
  report.add_warnings(absl::StrCat(output, " of ", task.record.definition.name,
                                   " cannot be read: ", std::string(read.message())));
  return false;
}

}  // namespace

void AddPrior(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report) {
  for (const ReportTask& task : inputs.tasks) {
    if (task.spec.kind() != v1::TASK_KIND_FIT_PRIOR) continue;
    v1::Report::Prior& prior = *report.mutable_prior();
    prior.set_kind(EnumWords(v1::GraphPriorKind_Name(task.spec.student().nac().prior().kind()),
                             "GRAPH_PRIOR_KIND_"));
    prior.set_state(storage::Name(task.record.status.state));
    prior.set_signatures_digest(DigestOf(task, "signatures"));
    prior.set_affinity_digest(DigestOf(task, "affinity"));
    if (!ReadOutput(task, "connectivity", blobs, *prior.mutable_connectivity(), report)) {
      prior.clear_connectivity();
    }
  }
}

void AddVerdicts(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report) {
  for (const ReportTask& task : inputs.tasks) {
    if (task.spec.kind() != v1::TASK_KIND_SELECT_MODULE) continue;
    v1::ModuleVerdict verdict;
    if (!ReadOutput(task, "verdict", blobs, verdict, report)) continue;
    if (!verdict.accepted() && verdict.chosen() < verdict.candidates_size()) {
      const double gap =
          verdict.teacher_accuracy() - verdict.candidates(verdict.chosen()).accuracy();
      report.add_warnings(absl::StrFormat(
          "the student was assembled with module %d although none of its %d candidates passed the "
          "quality gate: the best falls short of the teacher hybrid by %.2f points, the gate "
          "allows %.2f",
          verdict.module_index(), verdict.candidates_size(), 100.0 * gap,
          100.0 * verdict.largest_accuracy_gap()));
    }
    *report.add_verdicts() = std::move(verdict);
  }
}

void AddFewShot(const ReportInputs& inputs, const storage::BlobStore& blobs, v1::Report& report) {
  for (const ReportTask& task : inputs.tasks) {
    if (task.spec.kind() != v1::TASK_KIND_FEW_SHOT) continue;
    v1::Report::FewShot& few_shot = *report.add_few_shot();
    few_shot.set_task(task.record.definition.name);
    few_shot.set_name(std::string(absl::StripPrefix(task.record.definition.name, "few-shot-")));
    few_shot.set_ways(task.spec.few_shot().ways());
    few_shot.set_shots(task.spec.few_shot().shots());
    few_shot.set_state(storage::Name(task.record.status.state));
    few_shot.set_model_digest(DigestOf(task, "model"));
    v1::EvaluationResult result;
    if (!ReadOutput(task, "metrics", blobs, result, report)) continue;
    few_shot.set_accuracy(result.accuracy());
    few_shot.set_images(result.images());
  }
}

}  // namespace distill::server
