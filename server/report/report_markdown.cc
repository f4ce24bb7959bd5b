#include "server/report/report_markdown.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "server/report/markdown_sections.h"
#include "server/report/markdown_table.h"

namespace distill::server {
namespace {

// Corruption names in the order of the results, and the mean accuracy of each over severities.
std::vector<std::string> CorruptionNames(const v1::Report& report) {
  std::vector<std::string> names;
  for (const v1::Report::Model& model : report.models()) {
    for (const auto& corruption : model.result().corruptions()) {
      bool known = false;
      for (const std::string& name : names) known = known || name == corruption.name();
      if (!known) names.push_back(corruption.name());
    }
  }
  return names;
}

std::map<std::string, double> MeanPerCorruption(const v1::EvaluationResult& result) {
  std::map<std::string, double> sums;
  std::map<std::string, int> counts;
  for (const auto& corruption : result.corruptions()) {
    sums[corruption.name()] += corruption.accuracy();
    ++counts[corruption.name()];
  }
  for (auto& [name, sum] : sums) sum /= counts[name];
  return sums;
}

// Whether this is the hybrid of a candidate that was never trained, since an earlier one passed the
// quality gate and was handed on: its numbers are that one's.
bool IsHandedOn(const v1::Report& report, const v1::Report::Model& model) {
  for (const v1::ModuleVerdict& verdict : report.verdicts()) {
    for (int i = 0; i < verdict.candidates_size(); ++i) {
      if (verdict.candidates(i).handed_on() &&
          model.label() ==
              absl::StrCat("student hybrid ", verdict.module_index(), " candidate ", i)) {
        return true;
      }
    }
  }
  return false;
}

std::string ModelTable(const v1::Report& report) {
  const std::vector<std::string> corruptions = CorruptionNames(report);
  std::vector<std::string> head = {"model", "parameters", "IID", "corruption mean"};
  head.insert(head.end(), corruptions.begin(), corruptions.end());
  std::string table = Header(head);
  for (const v1::Report::Model& model : report.models()) {
    if (IsHandedOn(report, model)) continue;
    std::vector<std::string> cells = {model.label()};
    if (!model.has_result()) {
      cells.push_back(absl::StrCat("(", absl::AsciiStrToLower(model.state()), ")"));
      cells.resize(head.size(), "");
    } else {
      const v1::EvaluationResult& result = model.result();
      cells.push_back(Grouped(result.parameters()));
      cells.push_back(Percent(result.accuracy()));
      cells.push_back(corruptions.empty() ? "-" : Percent(result.corruption_accuracy_mean()));
      const std::map<std::string, double> means = MeanPerCorruption(result);
      for (const std::string& name : corruptions) {
        const auto mean = means.find(name);
        cells.push_back(mean == means.end() ? "-" : Percent(mean->second));
      }
    }
    absl::StrAppend(&table, Row(cells));
  }
  return table;
}

// What module distillation gains over training the same student from scratch.
std::string ComparisonTable(const v1::Report& report) {
  const v1::Report::Model* student = nullptr;
  for (const v1::Report::Model& model : report.models()) {
    if (model.label() == "student" && model.has_result()) student = &model;
  }
  std::string rows;
  for (const v1::Report::Model& model : report.models()) {
    if (student == nullptr || !model.has_result() || !absl::StartsWith(model.label(), "baseline")) {
      continue;
    }
    absl::StrAppend(&rows, Row({absl::StrCat("student minus ", model.label()),
                                Points(student->result().accuracy() - model.result().accuracy()),
                                Points(student->result().corruption_accuracy_mean() -
                                       model.result().corruption_accuracy_mean())}));
  }
  if (rows.empty()) return "";
  return absl::StrCat("\n## Against the baselines (percentage points)\n\n",
                      Header({"difference", "IID", "corruption mean"}), rows);
}

bool IsTeacherPreparation(absl::string_view phase) {
  return phase == "pretrain meta" || absl::EndsWith(phase, "teacher");
}

std::vector<std::string> PhaseCells(const v1::Report::Phase& phase) {
  return {
      phase.label(),
      absl::StrCat(phase.tasks()),
      absl::StrCat(phase.tasks_reused()),
      Grouped(phase.images_seen()),
      phase.wall_seconds() > 0 ? absl::StrFormat("%.1f", phase.wall_seconds()) : "-",
      absl::StrFormat("%.1f", phase.cpu_seconds()),
      phase.peak_memory_bytes() > 0 ? absl::StrCat(phase.peak_memory_bytes() >> 20, " MiB") : "-",
      absl::StrCat(phase.attempts()),
      absl::StrCat(phase.attempts_lost())};
}

void AddCosts(const v1::Report::Phase& phase, v1::Report::Phase& sum) {
  sum.set_tasks(sum.tasks() + phase.tasks());
  sum.set_tasks_reused(sum.tasks_reused() + phase.tasks_reused());
  sum.set_images_seen(sum.images_seen() + phase.images_seen());
  sum.set_cpu_seconds(sum.cpu_seconds() + phase.cpu_seconds());
  sum.set_peak_memory_bytes(std::max(sum.peak_memory_bytes(), phase.peak_memory_bytes()));
  sum.set_attempts(sum.attempts() + phase.attempts());
  sum.set_attempts_lost(sum.attempts_lost() + phase.attempts_lost());
}

std::string PhaseTable(const v1::Report& report) {
  std::string table = Header({"phase", "tasks", "reused", "images seen", "wall s", "CPU s",
                              "peak memory", "attempts", "lost"});
  v1::Report::Phase preparation;
  preparation.set_label("**teacher preparation**");
  v1::Report::Phase rest;
  rest.set_label("**the rest**");
  for (const v1::Report::Phase& phase : report.phases()) {
    absl::StrAppend(&table, Row(PhaseCells(phase)));
    AddCosts(phase, IsTeacherPreparation(phase.label()) ? preparation : rest);
  }
  // Phases overlap, so their wall times do not add up.
  return absl::StrCat(table, Row(PhaseCells(preparation)), Row(PhaseCells(rest)));
}

std::string ProvenanceTable(const v1::Report& report) {
  std::string table = Header({"model", "task", "metrics", "evaluated weights"});
  for (const v1::Report::Model& model : report.models()) {
    if (IsHandedOn(report, model)) continue;
    absl::StrAppend(&table, Row({model.label(), model.task(), Code(model.metrics_digest()),
                                 Code(model.model_digest())}));
  }
  return table;
}

template <typename Lines>
std::string List(const Lines& lines) {
  std::string list;
  for (const std::string& line : lines) absl::StrAppend(&list, "- ", Escaped(line), "\n");
  return list;
}

// "Data set **imagenet**, `/data/imagenet` (`sha256:...`)."
std::string DatasetWords(const v1::DatasetSpec& dataset) {
  return absl::StrCat(
      "Data set ",
      dataset.name().empty() ? "" : absl::StrCat("**", Escaped(dataset.name()), "**, "), "`",
      dataset.path(), "` (`", dataset.digest(), "`).");
}

// " on 10,000 test images", once a model was evaluated. All see the same ones.
std::string OnTestImages(const v1::Report& report) {
  for (const v1::Report::Model& model : report.models()) {
    if (model.result().images() > 0) {
      return absl::StrCat(" on ", Grouped(model.result().images()), " test images");
    }
  }
  return "";
}

std::string StateWord(v1::JobState state) {
  constexpr absl::string_view kPrefix = "JOB_STATE_";
  const std::string name = v1::JobState_Name(state);
  return absl::AsciiStrToLower(absl::string_view(name).substr(kPrefix.size()));
}

}  // namespace

std::string RenderMarkdown(const v1::Report& report) {
  const v1::Job& job = report.job();
  const std::string title =
      job.spec().display_name().empty()
          ? job.id()
          : absl::StrCat(Escaped(job.spec().display_name()), " (", job.id(), ")");
  std::string page = absl::StrCat("# Report: ", title, "\n\n");
  absl::StrAppend(&page, "State **", StateWord(job.state()), "**, ", job.tasks_succeeded(), " of ",
                  job.tasks_total(), " tasks succeeded, ", job.tasks_reused(), " of them reused. ",
                  DatasetWords(job.spec().dataset()), "\n");
  absl::StrAppend(&page, "\n## Models\n\nTop-1 accuracy", OnTestImages(report),
                  "; each corruption is the mean over its severities.\n\n", ModelTable(report),
                  ComparisonTable(report), OutOfDistributionSection(report), FewShotSection(report),
                  PriorSection(report), ExpertSection(report), LossTermSection(report),
                  QualityGateSection(report));
  absl::StrAppend(&page, "\n## Phases\n\n", PhaseTable(report), ReuseSection(report),
                  MemorySection(report));
  absl::StrAppend(&page, "\n## Where the numbers come from\n\n", ProvenanceTable(report));
  absl::StrAppend(&page, "\n## Choices that affect results\n\n", List(report.choices()));
  if (!report.reference_choices().empty()) {
    absl::StrAppend(&page, "\n## Beside the reference implementation\n\n",
                    List(report.reference_choices()));
  }
  if (!report.warnings().empty()) {
    absl::StrAppend(&page, "\n## Warnings\n\n", List(report.warnings()));
  }
  return page;
}

}  // namespace distill::server
