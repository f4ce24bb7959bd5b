"""The networks of Distillery in plain PyTorch, so that what a job made runs anywhere: ViTs, V-MoEs, NACs, their modules.

Parameters have the names of the weight files (docs/weights.md). In evaluation a network computes what the trainer
computes; in training it has gradients but draws nothing: no drop path, no noise of routers, codes, links and states.
Importing this package imports torch.
"""

from __future__ import annotations

import torch

from distillery import architecture as architectures
from distillery.errors import WeightsError
from distillery.networks.nac import Mediator, Nac, ReadInModule, ReadOutModule
from distillery.networks.vit import Stage, VisionTransformer
from distillery.v1 import architecture_pb2

__all__ = ["Nac", "Stage", "VisionTransformer", "build"]


def build(described: architecture_pb2.ArchitectureDescription) -> torch.nn.Module:
    """Builds the network, or the one module, that is described, with all weights zero. Raises WeightsError.

    Takes images [B, channels, side, side] as the network saw them in training (scaled by mean and deviation of the
    data set) and gives logits [B, classes]; a module takes and gives what its neighbours give and take.
    """
    copy = architecture_pb2.ArchitectureDescription()
    copy.CopyFrom(described)
    copy = architectures.resolve(copy)
    if copy.nac.stochastic_evaluation:
        raise WeightsError("cannot build network: it draws random numbers in evaluation (nac.stochastic_evaluation)")
    if copy.HasField("nac"):
        return _build_nac(copy)
    if copy.HasField("module_index"):
        return Stage(copy, copy.module_index)
    return VisionTransformer(copy)


def _build_nac(described: architecture_pb2.ArchitectureDescription) -> torch.nn.Module:
    if not described.HasField("module_index"):
        return Nac(described)
    if described.module_index == 0:
        return ReadInModule(described)
    if described.module_index + 1 == described.modules:
        return ReadOutModule(described)
    return Mediator(described)
