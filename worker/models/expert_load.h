// How busy the experts of mixtures are: counted by each layer in each forward pass, summed over
// passes by whoever evaluates.
#pragma once

#include <cstdint>
#include <vector>

namespace distill::models {

// What one mixture-of-experts layer did in one forward pass, or in several.
struct ExpertLoad {
  std::vector<int64_t> tokens;     // per expert, the tokens that it computed
  std::vector<double> importance;  // per expert, the sum of its probability over the tokens
  int64_t asked = 0;               // visits that the gate asked for; with expert choice: tokens
  int64_t dropped = 0;             // of these, those that no expert had room for
};

// Adds the layers of one pass to those of earlier ones; `sum` is empty or has as many layers.
void AddExpertLoads(const std::vector<ExpertLoad>& pass, std::vector<ExpertLoad>* sum);

// Per expert, its share of what all experts computed, and of all probability; 0 where there is
// none.
std::vector<double> TokenShares(const ExpertLoad& load);
std::vector<double> ImportanceShares(const ExpertLoad& load);
// The share of the visits asked for that were dropped.
double DroppedShare(const ExpertLoad& load);

}  // namespace distill::models
