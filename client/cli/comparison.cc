#include "client/cli/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/format.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

using Accuracies = std::vector<std::optional<double>>;

constexpr char kStudent[] = "student";

std::vector<std::string> Titles(const std::vector<v1::Report>& reports) {
  std::vector<std::string> ids;
  std::vector<std::string> names;
  for (const v1::Report& report : reports) {
    ids.push_back(report.job().id());
    names.push_back(report.job().spec().display_name());
  }
  const std::set<std::string> distinct(names.begin(), names.end());
  return distinct.size() == names.size() && distinct.count("") == 0 ? names : ids;
}

// Mean and standard error of a[i] - b[i] over the jobs that have both.
PairedDifference Difference(const ComparedModel& baseline, const char* metric, const Accuracies& a,
                            const Accuracies& b) {
  PairedDifference difference;
  difference.baseline = baseline.label;
  difference.metric = metric;
  std::vector<double> values;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].has_value() && b[i].has_value()) values.push_back(*a[i] - *b[i]);
  }
  difference.jobs = static_cast<int>(values.size());
  if (values.empty()) return difference;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) difference.mean += value / count;
  if (values.size() < 2) return difference;
  double squares = 0;
  for (const double value : values) {
    squares += (value - difference.mean) * (value - difference.mean);
  }
  difference.standard_error = std::sqrt(squares / (count - 1) / count);
  return difference;
}

std::string Cell(const std::optional<double>& accuracy) {
  return accuracy.has_value() ? FormatAccuracy(*accuracy) : "-";
}

nlohmann::ordered_json ToJsonArray(const Accuracies& accuracies) {
  auto array = nlohmann::ordered_json::array();
  for (const auto& accuracy : accuracies) {
    accuracy.has_value() ? array.push_back(*accuracy) : array.push_back(nullptr);
  }
  return array;
}

}  // namespace

Comparison CompareReports(const std::vector<v1::Report>& reports) {
  Comparison comparison;
  comparison.titles = Titles(reports);
  std::map<std::string, size_t> index;
  for (size_t job = 0; job < reports.size(); ++job) {
    comparison.jobs.push_back(reports[job].job().id());
    for (const v1::Report::Model& model : reports[job].models()) {
      const auto [entry, is_new] = index.emplace(model.label(), comparison.models.size());
      if (is_new) {
        comparison.models.push_back(
            {model.label(), Accuracies(reports.size()), Accuracies(reports.size())});
      }
      if (!model.has_result()) continue;
      ComparedModel& row = comparison.models[entry->second];
      row.accuracy[job] = model.result().accuracy();
      if (model.result().corruptions_size() > 0) {
        row.corruption_accuracy[job] = model.result().corruption_accuracy_mean();
      }
    }
  }
  const auto student = index.find(kStudent);
  if (student == index.end()) return comparison;
  const ComparedModel& subject = comparison.models[student->second];
  for (const ComparedModel& model : comparison.models) {
    if (!absl::StartsWith(model.label, "baseline")) continue;
    const PairedDifference differences[] = {
        Difference(model, "accuracy", subject.accuracy, model.accuracy),
        Difference(model, "corruption_accuracy_mean", subject.corruption_accuracy,
                   model.corruption_accuracy)};
    for (const PairedDifference& difference : differences) {
      if (difference.jobs > 0) comparison.differences.push_back(difference);
    }
  }
  return comparison;
}

std::string RenderMarkdown(const Comparison& comparison) {
  std::string text = "Accuracy: IID / mean over corruptions\n\n| model |";
  std::string rule = "|---|";
  for (const std::string& title : comparison.titles) {
    absl::StrAppend(&text, " ", title, " |");
    absl::StrAppend(&rule, "---|");
  }
  absl::StrAppend(&text, "\n", rule, "\n");
  for (const ComparedModel& model : comparison.models) {
    absl::StrAppend(&text, "| ", model.label, " |");
    for (size_t job = 0; job < comparison.jobs.size(); ++job) {
      absl::StrAppend(&text, " ", Cell(model.accuracy[job]), " / ",
                      Cell(model.corruption_accuracy[job]), " |");
    }
    absl::StrAppend(&text, "\n");
  }
  if (comparison.differences.empty()) return text;
  absl::StrAppend(&text,
                  "\nStudent minus baseline, paired by job\n\n"
                  "| baseline | metric | jobs | mean | standard error |\n|---|---|---|---|---|\n");
  for (const PairedDifference& difference : comparison.differences) {
    absl::StrAppendFormat(
        &text, "| %s | %s | %d | %+.4f | %s |\n", difference.baseline, difference.metric,
        difference.jobs, difference.mean,
        difference.standard_error.has_value() ? FormatAccuracy(*difference.standard_error) : "-");
  }
  return text;
}

std::string RenderJson(const Comparison& comparison) {
  nlohmann::ordered_json json;
  json["jobs"] = comparison.jobs;
  json["titles"] = comparison.titles;
  json["models"] = nlohmann::ordered_json::array();
  for (const ComparedModel& model : comparison.models) {
    nlohmann::ordered_json row;
    row["label"] = model.label;
    row["accuracy"] = ToJsonArray(model.accuracy);
    row["corruption_accuracy_mean"] = ToJsonArray(model.corruption_accuracy);
    json["models"].push_back(std::move(row));
  }
  json["differences"] = nlohmann::ordered_json::array();
  for (const PairedDifference& difference : comparison.differences) {
    nlohmann::ordered_json row;
    row["baseline"] = difference.baseline;
    row["metric"] = difference.metric;
    row["jobs"] = difference.jobs;
    row["mean"] = difference.mean;
    row["standard_error"] = difference.standard_error.has_value()
                                ? nlohmann::ordered_json(*difference.standard_error)
                                : nlohmann::ordered_json(nullptr);
    json["differences"].push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

}  // namespace distill::client
