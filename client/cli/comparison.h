// Sets the accuracies of several jobs side by side, and asks of sweeps and seeds whether the
// student beats the baselines: the mean of the paired differences with its standard error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "distill/v1/report.pb.h"

namespace distill::client {

struct ComparedModel {
  std::string label;
  // One per job; empty where the job has no such model (yet), or no corruptions.
  std::vector<std::optional<double>> accuracy;
  std::vector<std::optional<double>> corruption_accuracy;
};

struct PairedDifference {
  // "student" minus this baseline.
  std::string baseline;
  // "accuracy" or "corruption_accuracy_mean".
  std::string metric;
  // Jobs that have both numbers.
  int jobs = 0;
  double mean = 0;
  // Of the mean; none for a single job.
  std::optional<double> standard_error;
};

struct Comparison {
  // Job ids, and what to call them: display names if those are all different.
  std::vector<std::string> jobs;
  std::vector<std::string> titles;
  // In the order of the first report that has them.
  std::vector<ComparedModel> models;
  std::vector<PairedDifference> differences;
};

Comparison CompareReports(const std::vector<v1::Report>& reports);

// Markdown: a table of accuracies, "IID / mean over corruptions", and one of differences.
std::string RenderMarkdown(const Comparison& comparison);
// Indented JSON with the fields of the structs above.
std::string RenderJson(const Comparison& comparison);

}  // namespace distill::client
