// Losses that keep the experts of a mixture evenly busy. All take the tokens of one or more groups
// of equal size and return one value per group, with a gradient.
//
// Legend: G groups, S tokens of a group, E experts, k experts that a token asks for.
#pragma once

#include <torch/torch.h>

namespace distill::models {

// (std / mean)^2 over the last dimension: population variance (V-MoE).
torch::Tensor SquaredVariation(const torch::Tensor& values);
// variance / (mean^2 + 1e-10) with the unbiased variance (Shazeer et al.); 0 for a single value.
torch::Tensor UnbiasedSquaredVariation(const torch::Tensor& values);

// Squared variation of the experts' importance, the sum of their gates [G, S, E] over the tokens.
torch::Tensor ImportanceLoss(const torch::Tensor& gates);

// E * sum_e f_e P_e with f_e the share of tokens whose first choice [G, S] is e, and P_e the mean
// of gates [G, S, E] over the tokens (GShard). 1 when both are uniform.
torch::Tensor GshardLoss(const torch::Tensor& gates, const torch::Tensor& first_choice);

// The same with f_e the share of expert e among the tokens that are `kept` [G, S], and P_e divided
// by the number of those (Switch, as fastmoe has it).
torch::Tensor SwitchLoss(const torch::Tensor& gates, const torch::Tensor& first_choice,
                         const torch::Tensor& kept);

// The k-th largest of logits [..., E]: [...]. Carries the gradient.
torch::Tensor KthLargest(const torch::Tensor& logits, int64_t k);

// V-MoE: for each token and expert the probability [G, S, E] that new noise of standard deviation
// `deviation` would lift its clean logit over the k-th largest noisy one; and the squared variation
// of its mean over the tokens.
torch::Tensor LoadProbabilities(const torch::Tensor& clean, const torch::Tensor& noisy, int64_t k,
                                double deviation);
torch::Tensor LoadLoss(const torch::Tensor& clean, const torch::Tensor& noisy, int64_t k,
                       double deviation);

// Noisy top-k: the probability [G, S, E] that an expert stays among (or gets into) the k best when
// its own noise, of standard deviation `deviation` [G, S, E], is drawn again. Requires k < E.
torch::Tensor NoisyTopKProbabilities(const torch::Tensor& clean, const torch::Tensor& noisy,
                                     const torch::Tensor& deviation, int64_t k);

}  // namespace distill::models
