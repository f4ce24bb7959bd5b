// Reads experiment files: one job file, changed along a few axes and under several seeds, and what
// is to be compared with what.
//
//   name: alpha-tau
//   title: Weight and temperature of the distillation
//   base: ../jobs/fashion-mnist-vmoe.yaml     # beside the experiment file
//   seeds: [0, 1, 2]
//   set: {evaluation.corruption_images: 500}  # for all jobs
//   arms:                                     # named settings; optional
//     - {name: short, set: {distill_modules.epochs: 1}}
//     - {name: long, set: {distill_modules.epochs: 10}}
//   grid: {distillation.alpha: [0.5, 0.9]}    # each value with each other and each arm
//   models: [student, teacher]                # rows of the report; default: all but the hybrids
//   compare:
//     - {model: student, against: baseline B1, claim: higher}   # within each job
//     - {model: student, across: distillation.alpha}            # each value against the first one
//     - {model: student, across: arm, claim: higher}
//
// Complaints look like a compiler's, as those of job files do.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "distill/v1/job.pb.h"

namespace distill::client {

// What is expected of a difference, from what the method claims.
enum class Claim { kNone, kHigher, kLower, kSame };

struct ExperimentComparison {
  std::string model;
  // One of the two is set: another model of the same job, or an axis along which the model is
  // compared with itself at the axis' first value.
  std::string against;
  std::string across;
  Claim claim = Claim::kNone;
};

// A setting of every axis, in the order of the file: {"arm", "long"}, {"distillation.alpha",
// "0.5"}.
using Settings = std::vector<std::pair<std::string, std::string>>;

struct ExperimentRun {
  Settings settings;
  uint64_t seed = 0;
  v1::JobSpec spec;
};

struct Experiment {
  std::string name;
  std::string title;
  std::string description;
  std::vector<std::string> models;
  std::vector<ExperimentComparison> comparisons;
  // All settings in the order of the file, the last axis fastest; the seeds of each together.
  std::vector<ExperimentRun> runs;
};

inline constexpr char kArmAxis[] = "arm";
inline constexpr size_t kMaxExperimentRuns = 1000;

// "long distillation.alpha=0.5"; "base" when nothing varies.
std::string SettingsLabel(const Settings& settings);

// Reads the file and the job file that it names. kInvalidArgument, one complaint a line;
// kResourceExhausted for more than kMaxExperimentRuns runs; errors of the files.
absl::StatusOr<Experiment> ReadExperiment(const std::string& path);

}  // namespace distill::client
