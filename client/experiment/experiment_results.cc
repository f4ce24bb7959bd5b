#include "client/experiment/experiment_results.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace distill::client {
namespace {

constexpr char kStudentLabel[] = "student";  // The model that few-shot episodes start from.

// Measures of one model of one run; null when it has none.
const v1::Report::Model* FindModel(const v1::Report& report, const std::string& label) {
  for (const v1::Report::Model& model : report.models()) {
    if (model.label() == label && model.has_result()) return &model;
  }
  return nullptr;
}

std::optional<double> ValueOf(const RunResult& run, const std::string& model,
                              const std::string& measure) {
  const v1::Report::Model* const found = FindModel(run.report, model);
  if (found == nullptr) return std::nullopt;
  const Measures measures = MeasuresOf(run.report, *found);
  const auto value = measures.find(measure);
  if (value == measures.end()) return std::nullopt;
  return value->second;
}

void AddOnce(const std::string& text, std::vector<std::string>* list) {
  if (std::find(list->begin(), list->end(), text) == list->end()) list->push_back(text);
}

std::vector<Settings> DistinctSettings(const std::vector<RunResult>& results) {
  std::vector<Settings> distinct;
  for (const RunResult& run : results) {
    if (std::find(distinct.begin(), distinct.end(), run.settings) == distinct.end()) {
      distinct.push_back(run.settings);
    }
  }
  return distinct;
}

std::vector<std::string> ModelsShown(const Experiment& experiment,
                                     const std::vector<RunResult>& results) {
  if (!experiment.models.empty()) return experiment.models;
  std::vector<std::string> labels;
  for (const RunResult& run : results) {
    for (const v1::Report::Model& model : run.report.models()) {
      if (!absl::StrContains(model.label(), "hybrid")) AddOnce(model.label(), &labels);
    }
  }
  return labels;
}

std::string ValueAt(const Settings& settings, const std::string& axis) {
  for (const auto& [key, value] : settings) {
    if (key == axis) return value;
  }
  return "";
}

Settings Without(const Settings& settings, const std::string& axis) {
  Settings rest;
  for (const auto& setting : settings) {
    if (setting.first != axis) rest.push_back(setting);
  }
  return rest;
}

std::string Where(const Settings& settings) {
  return settings.empty() ? "" : SettingsLabel(settings);
}

// Differences of one model to another of the same job, for each setting.
void CompareWithin(const ExperimentComparison& comparison, const std::string& measure,
                   const std::vector<RunResult>& results, ExperimentResults* summary) {
  for (const Settings& settings : DistinctSettings(results)) {
    std::vector<double> differences;
    for (const RunResult& run : results) {
      if (run.settings != settings) continue;
      const std::optional<double> subject = ValueOf(run, comparison.model, measure);
      const std::optional<double> reference = ValueOf(run, comparison.against, measure);
      if (subject.has_value() && reference.has_value()) {
        differences.push_back(*subject - *reference);
      }
    }
    if (differences.empty()) continue;
    summary->differences.push_back({comparison.model, comparison.against, Where(settings), measure,
                                    EstimateMean(differences), comparison.claim});
  }
}

// Differences of one model along an axis to the axis' first value, all else being equal.
void CompareAcross(const ExperimentComparison& comparison, const std::string& measure,
                   const std::vector<RunResult>& results, ExperimentResults* summary) {
  const std::string& axis = comparison.across;
  std::vector<std::string> values;
  std::vector<Settings> elsewhere;
  for (const RunResult& run : results) {
    AddOnce(ValueAt(run.settings, axis), &values);
    const Settings rest = Without(run.settings, axis);
    if (std::find(elsewhere.begin(), elsewhere.end(), rest) == elsewhere.end()) {
      elsewhere.push_back(rest);
    }
  }
  const auto name = [&](const std::string& value) {
    return absl::StrCat(comparison.model, ", ", SettingsLabel({{axis, value}}));
  };
  for (const Settings& rest : elsewhere) {
    for (size_t i = 1; i < values.size(); ++i) {
      std::map<uint64_t, double> reference;
      std::map<uint64_t, double> subject;
      for (const RunResult& run : results) {
        if (Without(run.settings, axis) != rest) continue;
        const std::optional<double> value = ValueOf(run, comparison.model, measure);
        const std::string at = ValueAt(run.settings, axis);
        if (value.has_value() && at == values[0]) reference[run.seed] = *value;
        if (value.has_value() && at == values[i]) subject[run.seed] = *value;
      }
      std::vector<double> differences;
      for (const auto& [seed, value] : subject) {
        const auto paired = reference.find(seed);
        if (paired != reference.end()) differences.push_back(value - paired->second);
      }
      if (differences.empty()) continue;
      summary->differences.push_back({name(values[i]), name(values[0]), Where(rest), measure,
                                      EstimateMean(differences), comparison.claim});
    }
  }
}

}  // namespace

Measures MeasuresOf(const v1::Report& report, const v1::Report::Model& model) {
  const v1::EvaluationResult& result = model.result();
  Measures measures;
  measures[kIidMeasure] = result.accuracy();
  if (result.corruptions_size() > 0) {
    measures[kCorruptionMeasure] = result.corruption_accuracy_mean();
  }
  for (const v1::EvaluationResult::OutOfDistribution& set : result.out_of_distribution()) {
    measures[set.name()] = set.accuracy();
  }
  if (model.label() != kStudentLabel) return measures;
  for (const v1::Report::FewShot& episode : report.few_shot()) {
    if (episode.has_accuracy()) {
      measures[absl::StrCat("few-shot ", episode.name())] = episode.accuracy();
    }
  }
  return measures;
}

Estimate EstimateMean(const std::vector<double>& values) {
  Estimate estimate;
  estimate.count = static_cast<int>(values.size());
  if (values.empty()) return estimate;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) estimate.mean += value / count;
  if (values.size() < 2) return estimate;
  double squares = 0;
  for (const double value : values) squares += (value - estimate.mean) * (value - estimate.mean);
  estimate.standard_error = std::sqrt(squares / (count - 1) / count);
  return estimate;
}

bool Shows(const Estimate& difference) {
  return difference.standard_error.has_value() &&
         std::abs(difference.mean) >= 2 * *difference.standard_error && difference.mean != 0;
}

std::string Verdict(const DifferenceRow& row) {
  if (row.claim == Claim::kNone) return "";
  const bool shows = Shows(row.difference);
  if (row.claim == Claim::kSame) return shows ? "a difference shows" : "shown";
  if (!shows) return "not shown at this scale";
  return (row.difference.mean > 0) == (row.claim == Claim::kHigher) ? "shown"
                                                                    : "the opposite shows";
}

ExperimentResults Summarise(const Experiment& experiment, const std::vector<RunResult>& results) {
  ExperimentResults summary;
  summary.measures = {kIidMeasure};
  for (const RunResult& run : results) {
    for (const v1::Report::Model& model : run.report.models()) {
      if (!model.has_result()) continue;
      for (const auto& [measure, value] : MeasuresOf(run.report, model)) {
        AddOnce(measure, &summary.measures);
      }
    }
  }
  const std::vector<std::string> models = ModelsShown(experiment, results);
  for (const Settings& settings : DistinctSettings(results)) {
    for (const std::string& model : models) {
      ModelRow row{settings, model, {}};
      for (const std::string& measure : summary.measures) {
        std::vector<double> values;
        for (const RunResult& run : results) {
          const std::optional<double> value =
              run.settings == settings ? ValueOf(run, model, measure) : std::nullopt;
          if (value.has_value()) values.push_back(*value);
        }
        if (!values.empty()) row.measures[measure] = EstimateMean(values);
      }
      if (!row.measures.empty()) summary.models.push_back(std::move(row));
    }
  }
  for (const ExperimentComparison& comparison : experiment.comparisons) {
    for (const std::string& measure : summary.measures) {
      if (comparison.across.empty()) {
        CompareWithin(comparison, measure, results, &summary);
      } else {
        CompareAcross(comparison, measure, results, &summary);
      }
    }
  }
  return summary;
}

}  // namespace distill::client
