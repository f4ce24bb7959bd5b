#include "client/experiment/experiment_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "client/experiment/bar_chart.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

// A field of a CSV line.
std::string Field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

// A cell of a Markdown table.
std::string Cell(const std::string& text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}});
}

std::string Points(double share) { return absl::StrFormat("%.2f", 100 * share); }

// "84.31 ± 0.12", in percent.
std::string EstimateText(const Estimate& estimate) {
  if (!estimate.standard_error.has_value()) return Points(estimate.mean);
  return absl::StrCat(Points(estimate.mean), " ± ", Points(*estimate.standard_error));
}

std::string ChartName(const std::string& measure) {
  std::string name = absl::AsciiStrToLower(measure);
  for (char& c : name) c = absl::ascii_isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return absl::StrCat("accuracy-", name, ".svg");
}

std::string ResultsCsv(const std::vector<RunResult>& results) {
  std::string csv = "settings,seed,job,state,model,measure,accuracy,metrics_digest,model_digest\n";
  for (const RunResult& run : results) {
    const std::string head = absl::StrCat(Field(SettingsLabel(run.settings)), ",", run.seed, ",",
                                          Field(run.report.job().id()), ",",
                                          v1::JobState_Name(run.report.job().state()), ",");
    if (run.report.models().empty()) absl::StrAppend(&csv, head, ",,,,\n");
    for (const v1::Report::Model& model : run.report.models()) {
      if (!model.has_result()) continue;
      for (const auto& [measure, accuracy] : MeasuresOf(run.report, model)) {
        absl::StrAppend(&csv, head, Field(model.label()), ",", Field(measure), ",",
                        absl::StrFormat("%.17g", accuracy), ",", model.metrics_digest(), ",",
                        model.model_digest(), "\n");
      }
    }
  }
  return csv;
}

std::string DifferencesCsv(const ExperimentResults& summary) {
  std::string csv = "subject,reference,where,measure,pairs,mean,standard_error,verdict\n";
  for (const DifferenceRow& row : summary.differences) {
    absl::StrAppend(&csv, Field(row.subject), ",", Field(row.reference), ",", Field(row.where), ",",
                    Field(row.measure), ",", row.difference.count, ",",
                    absl::StrFormat("%.17g", row.difference.mean), ",");
    if (row.difference.standard_error.has_value()) {
      absl::StrAppendFormat(&csv, "%.17g", *row.difference.standard_error);
    }
    absl::StrAppend(&csv, ",", Verdict(row), "\n");
  }
  return csv;
}

BarChart ChartOf(const Experiment& experiment, const ExperimentResults& summary,
                 const std::string& measure) {
  BarChart chart;
  chart.title =
      absl::StrCat(experiment.title.empty() ? experiment.name : experiment.title, ": ", measure);
  chart.axis = "accuracy, with standard error over seeds";
  for (const ModelRow& row : summary.models) {
    if (std::find(chart.series.begin(), chart.series.end(), row.model) == chart.series.end()) {
      chart.series.push_back(row.model);
    }
  }
  for (const ModelRow& row : summary.models) {
    const std::string label = SettingsLabel(row.settings);
    if (chart.groups.empty() || chart.groups.back().label != label) {
      chart.groups.push_back({label, {}});
      chart.groups.back().bars.resize(chart.series.size());
    }
    const auto value = row.measures.find(measure);
    if (value == row.measures.end()) continue;
    const auto series = std::find(chart.series.begin(), chart.series.end(), row.model);
    chart.groups.back().bars[static_cast<size_t>(series - chart.series.begin())] =
        Bar{value->second.mean, value->second.standard_error};
  }
  return chart;
}

void AppendModels(const ExperimentResults& summary, std::string* page) {
  absl::StrAppend(page, "\n## Accuracy\n\nIn percent: mean ± standard error over seeds.\n\n",
                  "| settings | model | seeds |");
  std::string rule = "|---|---|---|";
  for (const std::string& measure : summary.measures) {
    absl::StrAppend(page, " ", Cell(measure), " |");
    absl::StrAppend(&rule, "---|");
  }
  absl::StrAppend(page, "\n", rule, "\n");
  for (const ModelRow& row : summary.models) {
    absl::StrAppend(page, "| ", Cell(SettingsLabel(row.settings)), " | ", Cell(row.model), " | ",
                    row.measures.begin()->second.count, " |");
    for (const std::string& measure : summary.measures) {
      const auto value = row.measures.find(measure);
      absl::StrAppend(page, " ", value == row.measures.end() ? "-" : EstimateText(value->second),
                      " |");
    }
    absl::StrAppend(page, "\n");
  }
}

void AppendDifferences(const ExperimentResults& summary, std::string* page) {
  if (summary.differences.empty()) return;
  absl::StrAppend(page,
                  "\n## Paired differences\n\nIn percentage points, paired by seed. A difference "
                  "shows when it is at least two standard errors away from zero; a claim that does "
                  "not show here may yet hold at another scale.\n\n"
                  "| subject | minus | where | measure | pairs | mean | standard error | shows | "
                  "claim |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const DifferenceRow& row : summary.differences) {
    const Estimate& difference = row.difference;
    absl::StrAppend(
        page, "| ", Cell(row.subject), " | ", Cell(row.reference), " | ", Cell(row.where), " | ",
        Cell(row.measure), " | ", difference.count, " | ",
        absl::StrFormat("%+.2f", 100 * difference.mean), " | ",
        difference.standard_error.has_value() ? Points(*difference.standard_error) : "-", " | ",
        Shows(difference) ? "yes" : "no", " | ", Verdict(row), " |\n");
  }
}

// "succeeded" for JOB_STATE_SUCCEEDED.
std::string StateText(v1::JobState state) {
  const auto* const value = v1::JobState_descriptor()->FindValueByNumber(state);
  return value == nullptr ? absl::StrCat(static_cast<int>(state)) : ShortEnumName(*value);
}

void AppendJobs(const std::vector<RunResult>& results, std::string* page) {
  absl::StrAppend(page,
                  "\n## Jobs\n\n| settings | seed | job | state | tasks | reused | report.json "
                  "|\n|---|---|---|---|---|---|---|\n");
  for (const RunResult& run : results) {
    const v1::Job& job = run.report.job();
    absl::StrAppend(page, "| ", Cell(SettingsLabel(run.settings)), " | ", run.seed, " | ", job.id(),
                    " | ", StateText(job.state()), " | ", job.tasks_total(), " | ",
                    job.tasks_reused(), " | ", run.report.json_digest(), " |\n");
  }
}

}  // namespace

std::map<std::string, std::string> RenderExperiment(const Experiment& experiment,
                                                    const std::vector<RunResult>& results) {
  const ExperimentResults summary = Summarise(experiment, results);
  std::map<std::string, std::string> files;
  files["results.csv"] = ResultsCsv(results);
  files["differences.csv"] = DifferencesCsv(summary);
  for (const std::string& measure : summary.measures) {
    files[ChartName(measure)] = RenderSvg(ChartOf(experiment, summary, measure));
  }
  std::string page =
      absl::StrCat("# ", experiment.title.empty() ? experiment.name : experiment.title, "\n");
  if (!experiment.description.empty()) absl::StrAppend(&page, "\n", experiment.description, "\n");
  AppendModels(summary, &page);
  for (const std::string& measure : summary.measures) {
    absl::StrAppend(&page, "\n![", measure, "](", ChartName(measure), ")\n");
  }
  AppendDifferences(summary, &page);
  AppendJobs(results, &page);
  absl::StrAppend(&page, "\n## Files\n\n| file | digest |\n|---|---|\n");
  for (const auto& [name, content] : files) {
    absl::StrAppend(&page, "| ", name, " | ", Digest::OfBytes(content).str(), " |\n");
  }
  files["report.md"] = std::move(page);
  return files;
}

}  // namespace distill::client
