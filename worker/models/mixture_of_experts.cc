// Gates, grouped expert products and their gradient.
#include "worker/models/mixture_of_experts.h"

namespace distill::models {
namespace {

// The weights of expert `e`: views of the stacked ones.
FeedForwardWeights ExpertAt(const ExpertWeights& experts, int64_t e) {
  return {experts.w1[e], experts.b1[e], experts.w2[e], experts.b2[e]};
}

// Noisy top-k's noise has at least this deviation.
constexpr double kSmallestDeviation = 1e-2;

// out [S, D] with out[s] = sum_j weights[s, j] * visits[places[s, j]] over the slots that are used;
// weight 1 where `weights` is undefined.
template <typename Scalar>
torch::Tensor Combine(const torch::Tensor& visits, const torch::Tensor& places,
                      const torch::Tensor& weights, int64_t tokens) {
  const int64_t width = visits.size(1), slots = places.numel() / tokens;
  torch::Tensor result = torch::zeros({tokens, width}, visits.options());
  const Scalar* const from = visits.data_ptr<Scalar>();
  const Scalar* const weight = weights.defined() ? weights.data_ptr<Scalar>() : nullptr;
  const int64_t* const place = places.data_ptr<int64_t>();
  Scalar* const out = result.data_ptr<Scalar>();
  for (int64_t slot = 0; slot < tokens * slots; ++slot) {
    if (place[slot] < 0) continue;
    const Scalar* const row = from + place[slot] * width;
    Scalar* const sum = out + slot / slots * width;
    const Scalar factor = weight == nullptr ? Scalar(1) : weight[slot];
    for (int64_t d = 0; d < width; ++d) sum[d] += factor * row[d];
  }
  return result;
}

// grad_visits [V, D] and grad_weights [S, slots] of Combine.
template <typename Scalar>
void CombineBackward(const torch::Tensor& visits, const torch::Tensor& places,
                     const torch::Tensor& weights, const torch::Tensor& grad,
                     torch::Tensor* grad_visits, torch::Tensor* grad_weights) {
  const int64_t width = visits.size(1), tokens = grad.size(0), slots = weights.size(1);
  *grad_visits = torch::empty_like(visits);
  *grad_weights = torch::empty_like(weights);
  const Scalar* const from = visits.data_ptr<Scalar>();
  const Scalar* const weight = weights.data_ptr<Scalar>();
  const Scalar* const grad_out = grad.data_ptr<Scalar>();
  const int64_t* const place = places.data_ptr<int64_t>();
  Scalar* const to = grad_visits->data_ptr<Scalar>();
  Scalar* const to_weight = grad_weights->data_ptr<Scalar>();
  for (int64_t slot = 0; slot < tokens * slots; ++slot) {
    if (place[slot] < 0) {
      to_weight[slot] = 0;
      continue;
    }
    const Scalar* const row = from + place[slot] * width;
    const Scalar* const upstream = grad_out + slot / slots * width;
    Scalar* const down = to + place[slot] * width;
    Scalar dot = 0;
    for (int64_t d = 0; d < width; ++d) dot += upstream[d] * row[d];
    for (int64_t d = 0; d < width; ++d) down[d] = weight[slot] * upstream[d];
    to_weight[slot] = dot;
  }
}

torch::Tensor Combine(const torch::Tensor& visits, const torch::Tensor& places,
                      const torch::Tensor& weights, int64_t tokens) {
  return visits.scalar_type() == torch::kFloat ? Combine<float>(visits, places, weights, tokens)
                                               : Combine<double>(visits, places, weights, tokens);
}

struct MixFunction : torch::autograd::Function<MixFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weights, const torch::Tensor& w1,
                               const torch::Tensor& b1, const torch::Tensor& w2,
                               const torch::Tensor& b2, const torch::Tensor& tokens,
                               const torch::Tensor& places, const std::vector<int64_t>& counts) {
    const ExpertWeights experts = {w1, b1, w2, b2};
    const torch::Tensor inputs = x.index_select(0, tokens);
    const torch::Tensor visits = torch::empty_like(inputs);
    std::vector<torch::Tensor> saved = {weights, w1, b1, w2, b2, places, inputs, visits};
    int64_t start = 0;
    for (size_t e = 0; e < counts.size(); ++e) {
      FeedForwardTape tape;
      if (counts[e] > 0) {
        visits.narrow(0, start, counts[e])
            .copy_(FeedForwardForward(inputs.narrow(0, start, counts[e]),
                                      ExpertAt(experts, static_cast<int64_t>(e)), &tape));
      }
      saved.push_back(tape.hidden);
      saved.push_back(tape.derivative);
      start += counts[e];
    }
    context->save_for_backward(std::move(saved));
    context->saved_data["counts"] = counts;
    return Combine(visits, places, weights.contiguous(), x.size(0));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    CheckFirstOrder();
    const auto saved = context->get_saved_variables();
    const torch::Tensor weights = saved[0].contiguous();
    const ExpertWeights experts = {saved[1], saved[2], saved[3], saved[4]};
    const torch::Tensor &places = saved[5], &inputs = saved[6], &visits = saved[7];
    const torch::Tensor grad = grads[0].contiguous();
    const std::vector<int64_t> counts = context->saved_data["counts"].toIntVector();
    const FeedForwardWanted wanted = {context->needs_input_grad(0), context->needs_input_grad(2)};

    torch::Tensor grad_visits, grad_weights;
    if (visits.scalar_type() == torch::kFloat) {
      CombineBackward<float>(visits, places, weights, grad, &grad_visits, &grad_weights);
    } else {
      CombineBackward<double>(visits, places, weights, grad, &grad_visits, &grad_weights);
    }
    torch::Tensor grad_inputs = wanted.input ? torch::empty_like(inputs) : torch::Tensor();
    FeedForwardGradients total;
    if (wanted.weights) {
      total.w1 = torch::zeros_like(experts.w1);
      total.b1 = torch::zeros_like(experts.b1);
      total.w2 = torch::zeros_like(experts.w2);
      total.b2 = torch::zeros_like(experts.b2);
    }
    int64_t start = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      const int64_t e = static_cast<int64_t>(i);
      const FeedForwardGradients one = FeedForwardBackward(
          inputs.narrow(0, start, counts[i]), ExpertAt(experts, e),
          {saved[8 + 2 * i], saved[9 + 2 * i]}, grad_visits.narrow(0, start, counts[i]), wanted);
      if (wanted.input) grad_inputs.narrow(0, start, counts[i]).copy_(one.x);
      if (wanted.weights) {
        total.w1[e].copy_(one.w1);
        total.b1[e].copy_(one.b1);
        total.w2[e].copy_(one.w2);
        total.b2[e].copy_(one.b2);
      }
      start += counts[i];
    }
    if (wanted.input) {
      total.x = Combine(grad_inputs, places, torch::Tensor(), grad.size(0));
    }
    return {total.x,  grad_weights,    total.w1,        total.b1,       total.w2,
            total.b2, torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor MixExperts(const torch::Tensor& x, const torch::Tensor& weights,
                         const Routing& routing, const ExpertWeights& experts) {
  if (!KernelsApply(x)) return MixExpertsPlain(x, weights, routing, experts);
  if (NeedsGradient({x, weights, experts.w1, experts.b1, experts.w2, experts.b2})) {
    return MixFunction::apply(x, weights, experts.w1, experts.b1, experts.w2, experts.b2,
                              routing.tokens, routing.places, routing.counts);
  }
  const torch::Tensor inputs = x.index_select(0, routing.tokens);
  const torch::Tensor visits = torch::empty_like(inputs);
  int64_t start = 0;
  for (size_t e = 0; e < routing.counts.size(); ++e) {
    const int64_t count = routing.counts[e];
    if (count == 0) continue;
    visits.narrow(0, start, count)
        .copy_(FeedForwardForward(inputs.narrow(0, start, count),
                                  ExpertAt(experts, static_cast<int64_t>(e)), nullptr));
    start += count;
  }
  return Combine(visits, routing.places, weights.contiguous(), x.size(0));
}

torch::Tensor MixExpertsPlain(const torch::Tensor& x, const torch::Tensor& weights,
                              const Routing& routing, const ExpertWeights& experts) {
  const torch::Tensor inputs = x.index_select(0, routing.tokens);
  std::vector<torch::Tensor> outputs;
  int64_t start = 0;
  for (size_t e = 0; e < routing.counts.size(); ++e) {
    const int64_t count = routing.counts[e];
    outputs.push_back(FeedForwardPlain(inputs.narrow(0, start, count),
                                       ExpertAt(experts, static_cast<int64_t>(e))));
    start += count;
  }
  torch::Tensor places = routing.places;
  if (places.numel() > start) {  // Unused slots look at a row of zeros.
    outputs.push_back(torch::zeros({1, x.size(1)}, outputs.front().options()));
    places = torch::where(places < 0, torch::full_like(places, start), places);
  }
  const torch::Tensor visits =
      torch::cat(outputs).index_select(0, places).view({x.size(0), -1, x.size(1)});
  return (visits * weights.unsqueeze(-1)).sum(1);
}

MixtureOfExpertsImpl::GateImpl::GateImpl(int64_t width, int64_t experts, RouterKind router) {
  if (router == RouterKind::kNoisyTopK) {
    w_gate = register_parameter("w_gate", torch::zeros({width, experts}));
    w_noise = register_parameter("w_noise", torch::zeros({width, experts}));
    return;
  }
  const bool with_bias = router != RouterKind::kVmoe && router != RouterKind::kExpertChoice;
  gate = register_module("gate", Linear(width, experts, with_bias));
}

MixtureOfExpertsImpl::MixtureOfExpertsImpl(int64_t width, int64_t hidden, int64_t experts,
                                           int64_t top_k, const RouterConfig& router)
    : experts_count_(experts),
      top_k_(top_k),
      router_(router),
      gate_(register_module("gate", std::make_shared<GateImpl>(width, experts, router.kind))),
      experts_(register_module("experts", std::make_shared<ExpertsImpl>(experts, width, hidden))) {}

RouterDecision MixtureOfExpertsImpl::Decide(const torch::Tensor& tokens, int64_t tokens_per_image,
                                            const ForwardContext& context) const {
  RouterInput input;
  input.training = context.training;
  input.wants_losses = context.training && context.auxiliary_losses != nullptr;
  input.group_tokens =
      router_.group_images == 0 ? tokens.size(0) : router_.group_images * tokens_per_image;
  input.logits = gate_->gate ? gate_->gate(tokens) : torch::mm(tokens, gate_->w_gate);
  RouterNoise noise;
  if (context.training) {
    noise = DrawRouterNoise(router_, tokens.size(0), experts_count_, context.random,
                            input.logits.options().requires_grad(false));
    if (gate_->w_noise.defined()) {
      input.deviation = torch::softplus(torch::mm(tokens, gate_->w_noise)) + kSmallestDeviation;
    }
  }
  RouterDecision decision = Route(router_, top_k_, input, noise);
  if (input.wants_losses) {
    const auto add = [&](const char* name, double weight, const torch::Tensor& value) {
      if (value.defined()) context.auxiliary_losses->push_back({name, weight, value});
    };
    add("router_balance", router_.balance_weight, decision.losses.balance);
    add("router_importance", router_.importance_weight, decision.losses.importance);
    add("router_load", router_.load_weight, decision.losses.load);
  }
  if (context.expert_loads != nullptr) {
    const torch::Tensor importance = torch::softmax(input.logits.detach(), -1)
                                         .sum(0, /*keepdim=*/false, torch::kDouble)
                                         .to(torch::kCPU);
    const double* const sums = importance.data_ptr<double>();
    context.expert_loads->push_back({decision.routing.counts,
                                     {sums, sums + experts_count_},
                                     decision.routing.asked,
                                     decision.routing.dropped});
  }
  return decision;
}

torch::Tensor MixtureOfExpertsImpl::forward(const torch::Tensor& x, const ForwardContext& context) {
  const torch::Tensor flat = x.reshape({-1, x.size(-1)});
  const RouterDecision decision = Decide(flat, x.size(-2), context);
  return MixExperts(flat, decision.weights, decision.routing,
                    {experts_->htoh4->weight, experts_->htoh4->bias, experts_->h4toh->weight,
                     experts_->h4toh->bias})
      .view_as(x);
}

}  // namespace distill::models
