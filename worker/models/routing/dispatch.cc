// Capacities, priorities and the counting sort behind all routers.
#include "worker/models/routing/dispatch.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace distill::models {
namespace {

constexpr int64_t kDropped = -1;

std::vector<int64_t> ToVector(const torch::Tensor& values) {
  const torch::Tensor packed = values.to(torch::kCPU, torch::kLong).contiguous();
  const int64_t* const from = packed.data_ptr<int64_t>();
  return std::vector<int64_t>(from, from + packed.numel());
}

// Values that can be ordered: what is not a number comes last.
std::vector<double> ToOrdered(const torch::Tensor& values) {
  const torch::Tensor packed = values.detach().to(torch::kCPU, torch::kDouble).contiguous();
  const double* const from = packed.data_ptr<double>();
  std::vector<double> result(from, from + packed.numel());
  for (double& value : result) {
    if (!(value == value)) value = -std::numeric_limits<double>::infinity();
  }
  return result;
}

// Sorts the visits by expert. `expert_of` names the expert of each slot, or kDropped.
Routing Sort(const std::vector<int64_t>& expert_of, int64_t slots, int64_t expert_count,
             const torch::Device& device) {
  Routing routing;
  routing.counts.assign(static_cast<size_t>(expert_count), 0);
  for (const int64_t expert : expert_of) {
    if (expert != kDropped) ++routing.counts[static_cast<size_t>(expert)];
  }
  std::vector<int64_t> next(routing.counts.size(), 0);
  std::partial_sum(routing.counts.begin(), routing.counts.end() - 1, next.begin() + 1);
  const int64_t visits = next.back() + routing.counts.back();
  torch::Tensor tokens = torch::empty({visits}, torch::kLong);
  torch::Tensor places = torch::empty({static_cast<int64_t>(expert_of.size())}, torch::kLong);
  int64_t* const token = tokens.data_ptr<int64_t>();
  int64_t* const place = places.data_ptr<int64_t>();
  for (size_t v = 0; v < expert_of.size(); ++v) {
    if (expert_of[v] == kDropped) {
      place[v] = kDropped;
      continue;
    }
    place[v] = next[static_cast<size_t>(expert_of[v])]++;
    token[place[v]] = static_cast<int64_t>(v) / slots;
  }
  routing.tokens = tokens.to(device);
  routing.places = places.to(device);
  routing.asked = static_cast<int64_t>(expert_of.size());
  routing.dropped = routing.asked - visits;
  return routing;
}

// The tokens of a group in the order in which they are served.
std::vector<int64_t> ServingOrder(const TokenGroup& group, const std::vector<double>& priorities) {
  std::vector<int64_t> order(static_cast<size_t>(group.tokens));
  std::iota(order.begin(), order.end(), group.first);
  if (priorities.empty()) return order;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return priorities[static_cast<size_t>(a)] > priorities[static_cast<size_t>(b)];
  });
  return order;
}

}  // namespace

Routing SortByExpert(const torch::Tensor& experts, int64_t expert_count) {
  return Sort(ToVector(experts), experts.size(1), expert_count, experts.device());
}

Routing DispatchWithinCapacity(const torch::Tensor& experts, const torch::Tensor& priorities,
                               const torch::Tensor& keep, const std::vector<TokenGroup>& groups,
                               int64_t expert_count) {
  const int64_t slots = experts.size(1);
  std::vector<int64_t> expert_of = ToVector(experts);
  std::vector<double> priority;
  if (priorities.defined()) priority = ToOrdered(priorities);
  for (const TokenGroup& group : groups) {
    const std::vector<int64_t> order = ServingOrder(group, priority);
    std::vector<int64_t> taken(static_cast<size_t>(expert_count), 0);
    for (int64_t slot = 0; slot < slots; ++slot) {
      for (const int64_t token : order) {
        int64_t& expert = expert_of[static_cast<size_t>(token * slots + slot)];
        int64_t& count = taken[static_cast<size_t>(expert)];
        if (count < group.capacity) {
          ++count;
        } else {
          expert = kDropped;
        }
      }
    }
  }
  if (keep.defined()) {
    const std::vector<int64_t> kept = ToVector(keep);
    for (size_t v = 0; v < expert_of.size(); ++v) {
      if (kept[v] == 0) expert_of[v] = kDropped;
    }
  }
  return Sort(expert_of, slots, expert_count, experts.device());
}

Routing DispatchByExpert(const torch::Tensor& gates, const std::vector<TokenGroup>& groups) {
  const int64_t tokens = gates.size(0), experts = gates.size(1);
  const std::vector<double> gate = ToOrdered(gates);
  std::vector<int64_t> expert_of(gate.size(), kDropped);
  std::vector<bool> served(static_cast<size_t>(tokens), false);
  for (const TokenGroup& group : groups) {
    const int64_t taken = std::min(group.capacity, group.tokens);
    std::vector<int64_t> order(static_cast<size_t>(group.tokens));
    for (int64_t e = 0; e < experts; ++e) {
      std::iota(order.begin(), order.end(), group.first);
      std::partial_sort(order.begin(), order.begin() + taken, order.end(),
                        [&](int64_t a, int64_t b) {
                          const double gate_a = gate[static_cast<size_t>(a * experts + e)];
                          const double gate_b = gate[static_cast<size_t>(b * experts + e)];
                          return gate_a != gate_b ? gate_a > gate_b : a < b;
                        });
      for (int64_t i = 0; i < taken; ++i) {
        const int64_t token = order[static_cast<size_t>(i)];
        expert_of[static_cast<size_t>(token * experts + e)] = e;
        served[static_cast<size_t>(token)] = true;
      }
    }
  }
  Routing routing = Sort(expert_of, experts, experts, gates.device());
  routing.asked = tokens;
  routing.dropped = std::count(served.begin(), served.end(), false);
  return routing;
}

}  // namespace distill::models
