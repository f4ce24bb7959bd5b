"""Routers of mixtures of experts: from gate logits [S, E] to combine weights [S, E], by loops over tokens.

Where a router draws noise, the noise is an argument.
"""

import math

import torch


def top_k(logits, k):
    """m2mKD's gate: softmax over the k largest logits of each token."""
    values, index = torch.topk(logits, k, dim=1)
    return torch.zeros_like(logits).scatter(1, index, torch.softmax(values, dim=1))


def _choices(scores, k):
    """The k best experts of each token, best first; [S, k]."""
    return torch.topk(scores, k, dim=1).indices


def _keep(choices, capacity, experts, order=None):
    """Which assignments find a place: all first choices before all second ones, within a choice in token order
    or in `order`. [S, k] of booleans."""
    tokens, k = choices.shape
    kept = torch.zeros(tokens, k, dtype=torch.bool)
    used = [0] * experts
    for choice in range(k):
        for s in (range(tokens) if order is None else order):
            e = int(choices[s, choice])
            if used[e] < capacity:
                used[e] += 1
                kept[s, choice] = True
    return kept


def _combine(weights, choices, kept, experts):
    out = torch.zeros(weights.shape[0], experts, dtype=weights.dtype)
    return out.scatter(1, choices, weights * kept)


def coefficient_of_variation(x, unbiased):
    """(std / mean)^2."""
    return x.var(unbiased=unbiased) / x.mean()**2


def gshard(logits, capacity, u=None):
    """GShard's top-2 gate: (combine weights, balance loss). `u` [S] are the uniforms of the second expert's draw."""
    tokens, experts = logits.shape
    values, choices = torch.topk(logits, 2, dim=1)
    weights = torch.softmax(values, dim=1)
    gates = torch.softmax(logits, dim=1)
    first = torch.nn.functional.one_hot(choices[:, 0], experts).to(logits.dtype)
    balance = experts**2 * (first.mean(0) * gates.mean(0)).mean()
    kept = _keep(choices, capacity, experts)
    if u is not None:
        kept[:, 1] &= 2 * weights[:, 1] >= u
    return _combine(weights, choices, kept, experts), balance


def gshard_capacity(tokens, experts, factor):
    return math.ceil(factor * tokens) * 2 // experts


def switch(logits, capacity, jitter=None):
    """Switch's top-1 gate; `jitter` [S, E] is added to the logits."""
    experts = logits.shape[1]
    gates = torch.softmax(logits if jitter is None else logits + jitter, dim=1)
    choices = _choices(gates, 1)
    kept = _keep(choices, capacity, experts)
    weights = _combine(gates.gather(1, choices), choices, kept, experts)
    taken = torch.nn.functional.one_hot(choices[kept[:, 0], 0], experts).to(logits.dtype)
    count = max(int(kept.sum()), 1)
    balance = experts * (taken.sum(0) / count * gates.sum(0) / count).sum()
    return weights, balance


def normal_cdf(x):
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def vmoe(clean, k, capacity, noise=None, sigma=0.0, priority=False):
    """The original V-MoE: (combine weights, importance loss, load loss); noise [S, E] is added to the logits."""
    experts = clean.shape[1]
    noisy = clean if noise is None else clean + noise
    gates = torch.softmax(noisy, dim=1)
    choices = _choices(gates, k)
    order = None
    if priority:
        order = torch.argsort(gates.max(1).values, descending=True, stable=True).tolist()
    kept = _keep(choices, capacity, experts, order)
    weights = _combine(gates.gather(1, choices), choices, kept, experts)
    importance = coefficient_of_variation(torch.softmax(clean, dim=1).sum(0), unbiased=False)
    load = None
    if noise is not None:
        threshold = torch.topk(noisy, k, dim=1).values[:, -1:]
        p = 1 - normal_cdf((threshold - clean) / sigma)
        load = coefficient_of_variation(p.mean(0), unbiased=False)
    return weights, importance, load


def vmoe_capacity(tokens, experts, k, factor):
    """Rounded up to a multiple of four."""
    capacity = math.ceil(tokens * k * factor / experts)
    return (capacity + 3) // 4 * 4


def switch_capacity(tokens, experts, factor):
    return math.ceil(factor * tokens / experts)


def expert_choice(logits, capacity):
    """Each expert takes the tokens whose gates for it are largest."""
    gates = torch.softmax(logits, dim=1)
    taken = torch.topk(gates, min(capacity, gates.shape[0]), dim=0).indices
    return gates * torch.zeros_like(gates).scatter(0, taken, 1.0)
