#include "server/report/report_sections.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "distill/v1/dataset_service.pb.h"
#include "server/report/report_choices.h"

namespace distill::server {
namespace {

constexpr size_t kMostImagesNamed = 5;
constexpr uint64_t kMostSeriesBytes = 16 << 20;

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

void WarnOfLeftOutImages(const v1::DatasetSpec& dataset, const storage::StateStore& store,
                         v1::Report& report) {
  if (dataset.name().empty() || dataset.corrupt_images() != v1::CORRUPT_IMAGE_POLICY_SKIP) return;
  const absl::StatusOr<storage::DatasetRecord> record =
      store.GetDataset(DatasetName(dataset.name()));
  v1::DatasetFacts facts;
  // The name may have gone, or stand for other files by now.
  if (!record.ok() || !facts.ParseFromString(record->status.facts) ||
      facts.digest() != dataset.digest()) {
    return;
  }
  int64_t images = 0;
  std::vector<std::string> named;
  for (const v1::DatasetSplit& split : facts.splits()) {
    images += split.corrupt_images_total();
    for (const std::string& image : split.corrupt_images()) {
      if (named.size() < kMostImagesNamed) named.push_back(image);
    }
  }
  if (images == 0) return;
  if (images > static_cast<int64_t>(named.size())) named.push_back("...");
  report.add_warnings(absl::StrCat(images, images == 1 ? " image" : " images", " of data set ",
                                   dataset.name(), " cannot be decoded and ",
                                   images == 1 ? "was" : "were",
                                   " left out: ", absl::StrJoin(named, "; ")));
}

// The curve of the attempt that made the task's results, be it another task's; null without.
const storage::NamedBlob* FindSeries(const ReportTask& task) {
  constexpr absl::string_view kSeries = "series";
  if (const auto* const own = FindBlob(task.record.status.observations, kSeries)) return own;
  for (const storage::AttemptRecord& attempt : task.reused_attempts) {
    if (attempt.state != storage::AttemptState::kSucceeded) continue;
    if (const auto* const reused = FindBlob(attempt.observations, kSeries)) return reused;
  }
  return nullptr;
}

}  // namespace

void AddLeftOutImages(const v1::JobSpec& spec, const storage::StateStore& store,
                      v1::Report& report) {
  std::vector<const v1::DatasetSpec*> datasets = {&spec.dataset()};
  for (const v1::OutOfDistributionSet& set : spec.evaluation().out_of_distribution()) {
    datasets.push_back(&set.dataset());
  }
  for (const v1::FewShotSpec& episode : spec.few_shot()) datasets.push_back(&episode.dataset());
  std::set<std::string> seen;
  for (const v1::DatasetSpec* dataset : datasets) {
    if (seen.insert(dataset->name()).second) WarnOfLeftOutImages(*dataset, store, report);
  }
}

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
      const std::string candidates =
          verdict.candidates_size() == 1
              ? "it did not pass the quality gate: it"
              : absl::StrCat("none of its ", verdict.candidates_size(),
                             " candidates passed the quality gate: the best");
      report.add_warnings(absl::StrFormat(
          "the student was assembled with module %d although %s falls short of the teacher hybrid "
          "by %.2f points, the gate allows %.2f",
          verdict.module_index(), candidates, 100.0 * gap, 100.0 * verdict.largest_accuracy_gap()));
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

void AddTrainingEnds(const ReportInputs& inputs, const storage::BlobStore& blobs,
                     v1::Report& report) {
  for (const ReportTask& task : inputs.tasks) {
    const storage::NamedBlob* const blob = FindSeries(task);
    if (blob == nullptr) continue;
    v1::Series series;
    const absl::StatusOr<std::string> bytes =
        storage::ReadBlob(blobs, blob->digest, kMostSeriesBytes);
    if (!bytes.ok() || !series.ParseFromString(*bytes)) {
      report.add_warnings(
          absl::StrCat("series of ", task.record.definition.name, " cannot be read: ",
                       bytes.ok() ? "it does not parse" : std::string(bytes.status().message())));
      continue;
    }
    if (series.points().empty()) continue;
    v1::Report::TrainingEnd& end = *report.add_training_ends();
    end.set_task(task.record.definition.name);
    *end.mutable_point() = series.points(series.points_size() - 1);
  }
}

}  // namespace distill::server
