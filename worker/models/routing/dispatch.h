// Who visits whom: sorts the visits that tokens pay to experts, within the experts' capacities.
// Works on the CPU in one pass, whatever the device; the result goes back in one piece.
//
// Legend: S tokens of all images of a batch, E experts, k visits that a token asks for, V visits
// that take place.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace distill::models {

// The visits sorted by expert, in token order within an expert. A token has a fixed number of slots
// for visits (k, or E where experts choose); slot j of token s is number s * slots + j.
struct Routing {
  std::vector<int64_t> counts;  // visits of each expert
  torch::Tensor tokens;         // int64 [V]: the token of each sorted visit
  torch::Tensor places;         // int64 [S * slots]: the sorted place of each slot, -1 if unused
  int64_t asked = 0;            // visits that tokens asked for; where experts choose: tokens
  int64_t dropped = 0;          // of these, those that no expert took
};

// Tokens that are routed together: [first, first + tokens), of which one expert takes `capacity`.
struct TokenGroup {
  int64_t first;
  int64_t tokens;
  int64_t capacity;
};

// Groups of `group_tokens` tokens one after the other, the last one perhaps smaller; `capacity_of`
// says what an expert takes of a group of so many.
template <typename CapacityOf>
std::vector<TokenGroup> GroupsOf(int64_t tokens, int64_t group_tokens, CapacityOf&& capacity_of) {
  std::vector<TokenGroup> groups;
  for (int64_t first = 0; first < tokens; first += group_tokens) {
    const int64_t size = group_tokens < tokens - first ? group_tokens : tokens - first;
    groups.push_back({first, size, capacity_of(size)});
  }
  return groups;
}

// Every visit of experts [S, k] takes place.
Routing SortByExpert(const torch::Tensor& experts, int64_t expert_count);

// Fills the experts of each group up to their capacity: all first choices before all second ones,
// within a choice in the order of the tokens or, where `priorities` [S] is defined, of decreasing
// priority. `keep` [S, k], where defined, then drops more visits, which leaves room unused.
Routing DispatchWithinCapacity(const torch::Tensor& experts, const torch::Tensor& priorities,
                               const torch::Tensor& keep, const std::vector<TokenGroup>& groups,
                               int64_t expert_count);

// Each expert takes, of each group, as many tokens as its capacity allows, those of largest
// `gates` [S, E]; the earlier token among equals. Slot e of a token is expert e.
Routing DispatchByExpert(const torch::Tensor& gates, const std::vector<TokenGroup>& groups);

}  // namespace distill::models
