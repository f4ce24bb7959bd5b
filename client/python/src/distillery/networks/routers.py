"""Routers of mixtures of experts in evaluation: from a gate's logits [S, E] to combine weights [S, E], zero where a token
does not go. S tokens of a routing group, E experts, k experts that a token asks for.

What each router is, and where it comes from: docs/method.md.
"""

from __future__ import annotations

import math
from typing import Callable, Dict, Optional

import torch

from distillery.v1 import model_pb2

Router = Callable[[torch.Tensor], torch.Tensor]

_EVALUATION_CAPACITY: Dict[int, float] = {
    model_pb2.ROUTER_KIND_GSHARD: 2.4, model_pb2.ROUTER_KIND_SWITCH: 1.0, model_pb2.ROUTER_KIND_VMOE: 1.05,
    model_pb2.ROUTER_KIND_EXPERT_CHOICE: 1.05}
_ROUNDED_TO_FOUR = (model_pb2.ROUTER_KIND_VMOE, model_pb2.ROUTER_KIND_EXPERT_CHOICE)


def capacity(spec: model_pb2.RouterSpec, tokens: int, experts: int, top_k: int) -> Optional[int]:
    """How many tokens of a group an expert takes; None: all."""
    factor = _EVALUATION_CAPACITY.get(spec.kind, 0.0)
    if spec.HasField("capacity_factor") and spec.kind != model_pb2.ROUTER_KIND_GSHARD:
        factor = spec.capacity_factor
    if spec.HasField("evaluation_capacity_factor"):
        factor = spec.evaluation_capacity_factor
    if spec.kind in (model_pb2.ROUTER_KIND_UNSPECIFIED, model_pb2.ROUTER_KIND_TOP_K) or factor == 0:
        return None
    if spec.kind == model_pb2.ROUTER_KIND_GSHARD:
        return math.ceil(factor * tokens) * top_k // experts
    if spec.kind in _ROUNDED_TO_FOUR:
        return (math.ceil(tokens * top_k * factor / experts) + 3) // 4 * 4
    return math.ceil(factor * tokens * top_k / experts)


def _within_capacity(choices: torch.Tensor, experts: int, most: int, order: Optional[torch.Tensor]) -> torch.Tensor:
    """Which choices [S, k] find a place: all first choices before all second ones, and within a choice the tokens in
    their order, or in `order` [S]."""
    tokens, k = choices.shape
    rows = torch.arange(tokens, device=choices.device) if order is None else order
    queue = choices[rows].t().reshape(-1)  # By choice, then by place in the row.
    taken = torch.nn.functional.one_hot(queue, experts).cumsum(0)
    place = taken.gather(1, queue[:, None])[:, 0]
    kept = torch.zeros_like(choices, dtype=torch.bool)
    kept[rows] = (place <= most).reshape(k, tokens).t()
    return kept


def make_router(spec: model_pb2.RouterSpec, experts: int, top_k: int) -> Router:
    """Returns the function for one group of tokens."""
    kind = spec.kind
    softmax_of_all = kind in (model_pb2.ROUTER_KIND_SWITCH, model_pb2.ROUTER_KIND_VMOE)

    def by_expert(logits: torch.Tensor) -> torch.Tensor:
        gates = torch.softmax(logits, dim=1)
        most = capacity(spec, logits.shape[0], experts, top_k)
        best = torch.topk(gates, min(most or logits.shape[0], logits.shape[0]), dim=0).indices
        return gates * torch.zeros_like(gates).scatter(0, best, 1.0)

    def by_token(logits: torch.Tensor) -> torch.Tensor:
        scores = torch.softmax(logits, dim=1) if softmax_of_all else logits
        values, choices = torch.topk(scores, top_k, dim=1)
        weights = values if softmax_of_all else torch.softmax(values, dim=1)
        most = capacity(spec, logits.shape[0], experts, top_k)
        if most is not None:
            order = torch.argsort(weights[:, 0], descending=True, stable=True) if spec.batch_priority else None
            weights = weights * _within_capacity(choices, experts, most, order)
        return torch.zeros_like(logits).scatter(1, choices, weights)

    return by_expert if kind == model_pb2.ROUTER_KIND_EXPERT_CHOICE else by_token


def group_images(spec: model_pb2.RouterSpec) -> int:
    """Images whose tokens are routed together; 0: the whole batch."""
    if spec.HasField("group_images"):
        return spec.group_images
    return 8 if spec.kind == model_pb2.ROUTER_KIND_VMOE else 0
