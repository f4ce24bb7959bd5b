// What the jobs of an experiment came to: means over seeds, and differences paired by seed with
// their standard errors.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/experiment/experiment_file.h"
#include "distill/v1/report.pb.h"

namespace distill::client {

// Accuracies of one model by the name of the measure: "IID", "corruptions", an out-of-distribution
// set, or for the student "few-shot EPISODE". Between 0 and 1.
using Measures = std::map<std::string, double>;

inline constexpr char kIidMeasure[] = "IID";
inline constexpr char kCorruptionMeasure[] = "corruptions";

// Of one of the report's models, which has a result.
Measures MeasuresOf(const v1::Report& report, const v1::Report::Model& model);

// One job of the experiment with its report; a job that failed has no models.
struct RunResult {
  Settings settings;
  uint64_t seed = 0;
  v1::Report report;
};

struct Estimate {
  int count = 0;
  double mean = 0;
  // Of the mean; none for a single value.
  std::optional<double> standard_error;
};

Estimate EstimateMean(const std::vector<double>& values);

// A row of the table of accuracies.
struct ModelRow {
  Settings settings;
  std::string model;
  std::map<std::string, Estimate> measures;
};

// A row of the table of differences.
struct DifferenceRow {
  std::string subject;    // "student, distillation.alpha=0.9"
  std::string reference;  // "student, distillation.alpha=0.5"
  std::string where;      // What else was set: "arm long"; may be empty.
  std::string measure;
  Estimate difference;
  Claim claim = Claim::kNone;
};

// Whether the difference shows: it is at least twice its standard error away from zero.
bool Shows(const Estimate& difference);
// "shown", "not shown at this scale", "the opposite shows"; empty without a claim.
std::string Verdict(const DifferenceRow& row);

struct ExperimentResults {
  std::vector<std::string> measures;  // Those that any model has, IID first.
  std::vector<ModelRow> models;
  std::vector<DifferenceRow> differences;
};

// The experiment's runs and `results` are in the same order.
ExperimentResults Summarise(const Experiment& experiment, const std::vector<RunResult>& results);

}  // namespace distill::client
