"""The staged Vision Transformer and the mixture-of-experts student, written from their definitions alone.

A model is a chain of stages; each stage is a module that takes pixels or tokens and gives tokens or logits.
Plain and slow on purpose: one expert after another, attention in three lines. B batch, N tokens, D width.
"""

import torch
from torch import nn

import routers


class Attention(nn.Module):
    def __init__(self, dim, heads, qkv_bias=True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, d = x.shape
        width = d // self.heads
        q, k, v = self.qkv(x).split(d, dim=2)
        outputs = []
        for h in range(self.heads):
            part = slice(h * width, (h + 1) * width)
            scores = q[:, :, part] @ k[:, :, part].transpose(1, 2) / width**0.5
            outputs.append(torch.softmax(scores, dim=-1) @ v[:, :, part])
        return self.proj(torch.cat(outputs, dim=2))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class ExpertLinear(nn.Module):
    """A linear layer whose tensors have a leading dimension of one."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(1, outputs))

    def forward(self, x):
        return x @ self.weight[0].t() + self.bias[0]


class Expert(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.htoh4 = ExpertLinear(dim, hidden)
        self.h4toh = ExpertLinear(hidden, dim)

    def forward(self, x):
        return self.h4toh(nn.functional.gelu(self.htoh4(x)))


class Gate(nn.Module):
    """form: "bias", "no_bias", or "noisy", whose second matrix only scales the noise of training."""

    def __init__(self, dim, experts, form):
        super().__init__()
        if form == "noisy":
            self.w_gate = nn.Parameter(torch.zeros(dim, experts))
            self.w_noise = nn.Parameter(torch.zeros(dim, experts))
        else:
            self.gate = nn.Linear(dim, experts, bias=form == "bias")

    def forward(self, x):
        return x @ self.w_gate if hasattr(self, "w_gate") else self.gate(x)


class MixtureOfExperts(nn.Module):
    """`route` takes logits [T, E] and gives combine weights [T, E], zero where a token does not go."""

    def __init__(self, dim, hidden, experts, route, gate):
        super().__init__()
        self.gate = Gate(dim, experts, gate)
        self.experts = nn.ModuleList(Expert(dim, hidden) for _ in range(experts))
        self.route = route

    def forward(self, x):
        tokens = x.reshape(-1, x.shape[-1])
        weights = self.route(self.gate(tokens))
        out = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            out = out + weights[:, e:e + 1] * expert(tokens)
        return out.reshape(x.shape)


class Stitch(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.ln = nn.LayerNorm(inputs, eps=1e-5)
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.fc(self.ln(x))


class Block(nn.Module):
    def __init__(self, config, experts, pre, post):
        super().__init__()
        dim, hidden = config["dim"], int(config["dim"] * config.get("mlp_ratio", 4))
        eps = config.get("eps", 1e-6)
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, config["heads"], config.get("qkv_bias", True))
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        if experts:
            route = config.get("route") or (lambda logits: routers.top_k(logits, config.get("top_k", 2)))
            self.moe = MixtureOfExperts(dim, hidden, experts, route, config.get("gate", "bias"))
        else:
            self.mlp = Mlp(dim, hidden)
        if pre:
            self.pre_stitch = Stitch(pre, dim)
        if post:
            self.post_stitch = Stitch(dim, post)

    def forward(self, x):
        if hasattr(self, "pre_stitch"):
            x = self.pre_stitch(x)
        x = x + self.attn(self.norm1(x))
        x = x + (self.moe if hasattr(self, "moe") else self.mlp)(self.norm2(x))
        if hasattr(self, "post_stitch"):
            x = self.post_stitch(x)
        return x


class PatchEmbed(nn.Module):
    def __init__(self, channels, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Stage(nn.Module):
    """`blocks` is a list of (experts, pre-stitch width, post-stitch width), 0 for none."""

    def __init__(self, config, blocks, first, last):
        super().__init__()
        self.first, self.last = first, last
        dim = config["dim"]
        if first:
            count = (config["image"] // config["patch"])**2 + 1
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.zeros(1, count, dim))
            self.patch_embed = PatchEmbed(config.get("channels", 3), dim, config["patch"])
        self.blocks = nn.ModuleList(Block(config, *block) for block in blocks)
        if last:
            self.norm = nn.LayerNorm(dim, eps=config.get("eps", 1e-6))
            self.head = nn.Linear(dim, config["classes"])

    def forward(self, x):
        if self.first:
            x = self.patch_embed(x)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0]) if self.last else x


class Chain(nn.Module):
    """Stages one after another. role: "whole", "first", "middle" or "last", of a longer chain."""

    def __init__(self, config, depths, role="whole", moe=(), experts=0, pre=(), post=(), stitch=0):
        super().__init__()
        stages, position = [], 0
        for s, depth in enumerate(depths):
            blocks = []
            for b in range(position, position + depth):
                blocks.append((experts if b in moe else 0, stitch if b in pre else 0, stitch if b in post else 0))
            position += depth
            first = s == 0 and role in ("whole", "first")
            last = s == len(depths) - 1 and role in ("whole", "last")
            stages.append(Stage(config, blocks, first, last))
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return x

    def names(self):
        """The pairs of name and parameter, each parameter once, as the reference enumerates them."""
        for name, p in self.named_parameters():
            root = name in ("stages.0.cls_token", "stages.0.pos_embed")
            yield (name[len("stages.0."):] if root else name), p
