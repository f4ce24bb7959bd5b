"""Staged Vision Transformers, with mixtures of experts in the blocks that say so, and their modules.

B batch, N tokens, D width, E experts.
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import nn

from distillery import architecture as architectures
from distillery.networks import routers
from distillery.v1 import architecture_pb2, model_pb2


class Attention(nn.Module):
    """Multi-head self-attention; one projection gives queries, keys and values."""

    def __init__(self, vit: model_pb2.VitSpec) -> None:
        super().__init__()
        self.heads = vit.heads
        self.qkv = nn.Linear(vit.embed_dim, 3 * vit.embed_dim, bias=vit.qkv_bias)
        self.proj = nn.Linear(vit.embed_dim, vit.embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) * (d // self.heads)**-0.5, dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class _ExpertLinear(nn.Module):
    """A linear layer whose tensors have a leading dimension of one, as the reference's have."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(1, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight[0], self.bias[0])


class Expert(nn.Module):
    """An MLP of a mixture."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.htoh4 = _ExpertLinear(width, hidden)
        self.h4toh = _ExpertLinear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.h4toh(nn.functional.gelu(self.htoh4(x)))


class Gate(nn.Module):
    """Logits [S, E] of tokens [S, D]. The second matrix of noisy top-k scales the noise of training alone."""

    def __init__(self, width: int, experts: int, kind: int) -> None:
        super().__init__()
        self.noisy = kind == model_pb2.ROUTER_KIND_NOISY_TOP_K
        if self.noisy:
            self.w_gate = nn.Parameter(torch.zeros(width, experts))
            self.w_noise = nn.Parameter(torch.zeros(width, experts))
        else:
            no_bias = (model_pb2.ROUTER_KIND_VMOE, model_pb2.ROUTER_KIND_EXPERT_CHOICE)
            self.gate = nn.Linear(width, experts, bias=kind not in no_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w_gate if self.noisy else self.gate(x)


class MixtureOfExperts(nn.Module):
    """Sends each token to the experts that the router names, and sums what they give, weighted."""

    def __init__(self, vmoe: model_pb2.VmoeSpec, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = Gate(width, vmoe.experts, vmoe.router.kind)
        self.experts = nn.ModuleList(Expert(width, hidden) for _ in range(vmoe.experts))
        self._route = routers.make_router(vmoe.router, vmoe.experts, vmoe.top_k)
        self._group_images = routers.group_images(vmoe.router)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        logits = self.gate(tokens)
        group = self._group_images * x.shape[-2] or logits.shape[0]
        weights = torch.cat([self._route(part) for part in logits.split(group)])
        out = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            index = torch.nonzero(weights[:, e])[:, 0]
            out = out.index_add(0, index, weights[index, e:e + 1] * expert(tokens[index]))
        return out.reshape(x.shape)


class Stitch(nn.Module):
    """Carries tokens of one width to another."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(inputs, eps=1e-5)
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.ln(x))


class Block(nn.Module):
    """One pre-norm block; `position` counts blocks over the whole network."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription, position: int, pre: bool, post: bool) -> None:
        super().__init__()
        vit, stitch = architectures.backbone(described), described.stitch_width
        width, hidden = vit.embed_dim, int(vit.embed_dim * vit.mlp_ratio)
        self.norm1 = nn.LayerNorm(width, eps=vit.layer_norm_epsilon)
        self.attn = Attention(vit)
        self.norm2 = nn.LayerNorm(width, eps=vit.layer_norm_epsilon)
        self.mixes = described.HasField("vmoe") and position in described.vmoe.moe_blocks
        if self.mixes:
            self.moe = MixtureOfExperts(described.vmoe, width, hidden)
        else:
            self.mlp = Mlp(width, hidden)
        self.pre_stitch = Stitch(stitch, width) if pre else None
        self.post_stitch = Stitch(width, stitch) if post else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pre_stitch is not None:
            x = self.pre_stitch(x)
        x = x + self.attn(self.norm1(x))
        feed_forward: nn.Module = self.moe if self.mixes else self.mlp
        x = x + feed_forward(self.norm2(x))
        if self.post_stitch is not None:
            x = self.post_stitch(x)
        return x


class PatchEmbed(nn.Module):
    """Images [B, C, H, W] to tokens [B, N, D]."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """One module: the first takes images, the last gives logits, all others take and give tokens. In a whole network the
    first leaves class token and position embedding to it."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription, index: int, whole: bool = False) -> None:
        super().__init__()
        vit = architectures.backbone(described)
        width, depth, stitch = vit.embed_dim, vit.stage_depths[index], described.stitch_width > 0
        self.is_first, self.is_last = index == 0, index + 1 == described.modules
        if self.is_first:
            if not whole:
                self.cls_token, self.pos_embed = first_tokens(described)
            self.patch_embed = PatchEmbed(described.channels, width, described.patch_size)
        first = architectures.first_blocks(described)[index]
        self.blocks = nn.ModuleList(
            Block(described, first + b, pre=stitch and b == 0 and not self.is_first,
                  post=stitch and b + 1 == depth and not self.is_last) for b in range(depth))
        if self.is_last:
            self.norm = nn.LayerNorm(width, eps=vit.layer_norm_epsilon)
            self.head = nn.Linear(width, described.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(embed(self.patch_embed(x), self.cls_token, self.pos_embed) if self.is_first else x)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """The blocks and what follows them."""
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0]) if self.is_last else x


class VisionTransformer(nn.Module):
    """A whole ViT or V-MoE: its modules one after another."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__()
        self.cls_token, self.pos_embed = first_tokens(described)
        self.stages = nn.ModuleList(Stage(described, index, whole=True) for index in range(described.modules))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = embed(self.stages[0].patch_embed(x), self.cls_token, self.pos_embed)
        for stage in self.stages:
            x = stage.run(x)
        return x


def first_tokens(described: architecture_pb2.ArchitectureDescription) -> Tuple[nn.Parameter, nn.Parameter]:
    """Class token [1, 1, D] and position embedding [1, N + 1, D]."""
    width = architectures.backbone(described).embed_dim
    count = (described.image_size // described.patch_size)**2 + 1
    return nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, count, width))


def embed(tokens: torch.Tensor, cls_token: torch.Tensor, pos_embed: torch.Tensor) -> torch.Tensor:
    """Puts the class token in front and adds positions."""
    return torch.cat([cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1) + pos_embed
