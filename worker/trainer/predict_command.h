// `distill-trainer predict`: from its options to a request.
#pragma once

#include <CLI/CLI.hpp>

#include "worker/training/prediction.h"

namespace distill::worker {

// Declares the subcommand; parsing fills `request`, which outlives `app`. Returns the subcommand,
// whose parsed() tells whether it was asked for.
CLI::App* AddPredictCommand(CLI::App& app, training::PredictionRequest& request);

}  // namespace distill::worker
