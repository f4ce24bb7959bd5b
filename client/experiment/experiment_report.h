// The results of an experiment as files for people and programs: a Markdown page, a table of every
// number, and a chart for each measure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/experiment/experiment_results.h"

namespace distill::client {

// File names and their content: report.md, results.csv, differences.csv, and one SVG for each
// measure. The page lists the digests of the others, and of each job's own report.
std::map<std::string, std::string> RenderExperiment(const Experiment& experiment,
                                                    const std::vector<RunResult>& results);

}  // namespace distill::client
