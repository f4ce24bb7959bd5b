// One function per router, from shared parts.
#include "worker/models/routing/router.h"

#include "worker/models/routing/balance_losses.h"

namespace distill::models {
namespace {

// Mean over all groups of loss(tensors of some groups [G, S, ...]) -> [G]; the last group may be
// smaller than the others.
template <typename Loss>
torch::Tensor MeanOverGroups(const std::vector<torch::Tensor>& tensors, int64_t group_tokens,
                             Loss&& loss) {
  const int64_t tokens = tensors.front().size(0);
  const int64_t whole = tokens / group_tokens, rest = tokens % group_tokens;
  const auto of_groups = [&](int64_t first, int64_t groups, int64_t size) {
    std::vector<torch::Tensor> parts;
    for (const torch::Tensor& tensor : tensors) {
      std::vector<int64_t> shape = tensor.sizes().vec();
      shape[0] = size;
      shape.insert(shape.begin(), groups);
      parts.push_back(tensor.narrow(0, first, groups * size).reshape(shape));
    }
    return loss(parts).sum();
  };
  torch::Tensor sum;
  if (whole > 0) sum = of_groups(0, whole, group_tokens);
  if (rest > 0) {
    const torch::Tensor last = of_groups(whole * group_tokens, 1, rest);
    sum = sum.defined() ? sum + last : last;
  }
  return sum / static_cast<double>(whole + (rest > 0 ? 1 : 0));
}

std::vector<TokenGroup> Groups(const RouterConfig& config, int64_t top_k,
                               const RouterInput& input) {
  const int64_t experts = input.logits.size(1);
  return GroupsOf(input.logits.size(0), input.group_tokens, [&](int64_t tokens) {
    return ExpertCapacity(config, input.training, tokens, experts, top_k);
  });
}

// `weights` [S, k] of the chosen experts, the first one being the largest.
Routing Dispatch(const RouterConfig& config, const RouterInput& input, const torch::Tensor& experts,
                 const torch::Tensor& weights, const torch::Tensor& keep) {
  const torch::Tensor priorities =
      config.batch_priority ? weights.detach().select(1, 0) : torch::Tensor();
  return DispatchWithinCapacity(experts, priorities, keep, Groups(config, experts.size(1), input),
                                input.logits.size(1));
}

RouterDecision RouteTopK(int64_t top_k, const RouterInput& input) {
  const GateChoice choice = ChooseExperts(input.logits, top_k);
  return {choice.weights, SortByExpert(choice.experts, input.logits.size(1)), {}};
}

RouterDecision RouteGshard(const RouterConfig& config, int64_t top_k, const RouterInput& input,
                           const RouterNoise& noise) {
  const GateChoice choice = ChooseExperts(input.logits, top_k);
  torch::Tensor keep;
  if (noise.second.defined()) {
    keep = torch::ones_like(choice.experts);
    keep.select(1, 1).copy_(choice.weights.detach().select(1, 1) * 2.0 >= noise.second);
  }
  RouterDecision decision = {
      choice.weights, Dispatch(config, input, choice.experts, choice.weights, keep), {}};
  if (input.wants_losses) {
    decision.losses.balance = MeanOverGroups(
        {torch::softmax(input.logits, -1), choice.experts.select(1, 0)}, input.group_tokens,
        [](const std::vector<torch::Tensor>& parts) { return GshardLoss(parts[0], parts[1]); });
  }
  return decision;
}

RouterDecision RouteSwitch(const RouterConfig& config, const RouterInput& input,
                           const RouterNoise& noise) {
  const torch::Tensor logits =
      noise.logits.defined() ? input.logits + (noise.logits * config.noise + 1.0) : input.logits;
  const torch::Tensor gates = torch::softmax(logits, -1);
  const auto [weights, experts] = gates.topk(1, -1);
  RouterDecision decision = {weights, Dispatch(config, input, experts, weights, {}), {}};
  if (input.wants_losses) {
    decision.losses.balance =
        MeanOverGroups({gates, experts.select(1, 0), decision.routing.places >= 0},
                       input.group_tokens, [](const std::vector<torch::Tensor>& parts) {
                         return SwitchLoss(parts[0], parts[1], parts[2]);
                       });
  }
  return decision;
}

RouterDecision RouteNoisyTopK(const RouterConfig& config, int64_t top_k, const RouterInput& input,
                              const RouterNoise& noise) {
  const bool noisy = noise.logits.defined();
  const torch::Tensor logits = noisy ? input.logits + noise.logits * input.deviation : input.logits;
  const GateChoice choice = ChooseExperts(logits, top_k);
  RouterDecision decision = {
      choice.weights, Dispatch(config, input, choice.experts, choice.weights, {}), {}};
  if (!input.wants_losses) return decision;
  const torch::Tensor gates = torch::zeros_like(logits).scatter(1, choice.experts, choice.weights);
  decision.losses.importance =
      MeanOverGroups({gates}, input.group_tokens, [](const std::vector<torch::Tensor>& parts) {
        return UnbiasedSquaredVariation(parts[0].sum(-2));
      });
  // With all experts chosen or without noise nothing can change places.
  if (noisy && top_k < logits.size(1)) {
    decision.losses.load =
        MeanOverGroups({input.logits, logits, input.deviation}, input.group_tokens,
                       [&](const std::vector<torch::Tensor>& parts) {
                         return UnbiasedSquaredVariation(
                             NoisyTopKProbabilities(parts[0], parts[1], parts[2], top_k).sum(-2));
                       });
  }
  return decision;
}

RouterDecision RouteVmoe(const RouterConfig& config, int64_t top_k, const RouterInput& input,
                         const RouterNoise& noise) {
  const double deviation = config.noise / static_cast<double>(input.logits.size(1));
  const bool noisy = noise.logits.defined();
  const torch::Tensor logits = noisy ? input.logits + noise.logits * deviation : input.logits;
  const auto [weights, experts] = torch::softmax(logits, -1).topk(top_k, -1);
  RouterDecision decision = {weights, Dispatch(config, input, experts, weights, {}), {}};
  if (!input.wants_losses) return decision;
  decision.losses.importance = MeanOverGroups(
      {torch::softmax(input.logits, -1)}, input.group_tokens,
      [](const std::vector<torch::Tensor>& parts) { return ImportanceLoss(parts[0]); });
  if (noisy) {
    decision.losses.load = MeanOverGroups({input.logits, logits}, input.group_tokens,
                                          [&](const std::vector<torch::Tensor>& parts) {
                                            return LoadLoss(parts[0], parts[1], top_k, deviation);
                                          });
  }
  return decision;
}

RouterDecision RouteByExpert(const RouterConfig& config, int64_t top_k, const RouterInput& input) {
  const torch::Tensor gates = torch::softmax(input.logits, -1);
  return {gates, DispatchByExpert(gates, Groups(config, top_k, input)), {}};
}

}  // namespace

GateChoice ChooseExperts(const torch::Tensor& logits, int64_t top_k) {
  const auto [scores, experts] = logits.topk(top_k, -1);
  return {experts, torch::softmax(scores, -1)};
}

RouterNoise DrawRouterNoise(const RouterConfig& config, int64_t tokens, int64_t experts,
                            const CounterRandom& random, const torch::TensorOptions& options) {
  RouterNoise noise;
  const bool is_normal = config.kind == RouterKind::kNoisyTopK ||
                         (config.kind == RouterKind::kVmoe && config.noise > 0);
  const bool is_uniform = config.kind == RouterKind::kSwitch && config.noise > 0;
  if (is_normal || is_uniform) {
    torch::Tensor values = torch::empty({tokens, experts}, torch::kFloat);
    CounterRandom stream = random.Stream("router noise");
    const size_t count = static_cast<size_t>(values.numel());
    if (is_normal) {
      stream.FillNormal(values.data_ptr<float>(), count);
    } else {
      stream.FillUniform(values.data_ptr<float>(), count);
      values.mul_(2.0).sub_(1.0);
    }
    noise.logits = values.to(options);
  }
  if (config.kind == RouterKind::kGshard) {
    torch::Tensor values = torch::empty({tokens}, torch::kFloat);
    random.Stream("router drop").FillUniform(values.data_ptr<float>(), static_cast<size_t>(tokens));
    noise.second = values.to(options);
  }
  return noise;
}

RouterDecision Route(const RouterConfig& config, int64_t top_k, const RouterInput& input,
                     const RouterNoise& noise) {
  switch (config.kind) {
    case RouterKind::kGshard:
      return RouteGshard(config, top_k, input, noise);
    case RouterKind::kSwitch:
      return RouteSwitch(config, input, noise);
    case RouterKind::kNoisyTopK:
      return RouteNoisyTopK(config, top_k, input, noise);
    case RouterKind::kVmoe:
      return RouteVmoe(config, top_k, input, noise);
    case RouterKind::kExpertChoice:
      return RouteByExpert(config, top_k, input);
    case RouterKind::kTopK:
      break;
  }
  return RouteTopK(top_k, input);
}

}  // namespace distill::models
