// Sums and shares of expert loads.
#include "worker/models/expert_load.h"

#include <numeric>

#include "base/check.h"

namespace distill::models {
namespace {

template <typename Number>
void AddTo(const std::vector<Number>& more, std::vector<Number>* sum) {
  sum->resize(more.size());
  for (size_t i = 0; i < more.size(); ++i) (*sum)[i] += more[i];
}

template <typename Number>
std::vector<double> Shares(const std::vector<Number>& parts) {
  const double total = static_cast<double>(std::accumulate(parts.begin(), parts.end(), Number(0)));
  std::vector<double> shares;
  for (const Number part : parts) {
    shares.push_back(total == 0 ? 0 : static_cast<double>(part) / total);
  }
  return shares;
}

}  // namespace

void AddExpertLoads(const std::vector<ExpertLoad>& pass, std::vector<ExpertLoad>* sum) {
  DISTILL_CHECK(sum->empty() || sum->size() == pass.size(), "all passes have the same mixtures");
  sum->resize(pass.size());
  for (size_t layer = 0; layer < pass.size(); ++layer) {
    AddTo(pass[layer].tokens, &(*sum)[layer].tokens);
    AddTo(pass[layer].importance, &(*sum)[layer].importance);
    (*sum)[layer].asked += pass[layer].asked;
    (*sum)[layer].dropped += pass[layer].dropped;
  }
}

std::vector<double> TokenShares(const ExpertLoad& load) { return Shares(load.tokens); }

std::vector<double> ImportanceShares(const ExpertLoad& load) { return Shares(load.importance); }

double DroppedShare(const ExpertLoad& load) {
  return load.asked == 0 ? 0 : static_cast<double>(load.dropped) / static_cast<double>(load.asked);
}

}  // namespace distill::models
