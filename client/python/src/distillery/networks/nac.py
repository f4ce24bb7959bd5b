"""Neural Attentive Circuits (arXiv 2210.08031) and their modules, in evaluation.

B batch, U receivers, V senders, T tokens of the image, C width of states, H heads.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import nn

from distillery.v1 import architecture_pb2, model_pb2

_EPSILON = 1e-5


class ModFC(nn.Module):
    """A linear layer whose input is scaled, latent by latent, as the latent's code says."""

    def __init__(self, inputs: int, outputs: int, code: int, bias: bool = True) -> None:
        super().__init__()
        self.native_weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.native_bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = nn.Linear(code, inputs, bias=False)
        self.scale_gain = nn.Parameter(torch.zeros(()))

    def factors(self, codes: torch.Tensor) -> torch.Tensor:
        """[U, inputs]"""
        raw = self.scale(codes)
        return 1 + self.scale_gain * nn.functional.layer_norm(raw, raw.shape[-1:], eps=_EPSILON)

    def forward(self, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """x [..., U, inputs], codes [U, code] or [1, code]."""
        return nn.functional.linear(x * self.factors(codes), self.native_weight, self.native_bias)


class _Geglu(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, gate = x.chunk(2, dim=-1)
        return a * nn.functional.gelu(gate)


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(width))


class ModFFN(nn.Module):
    """Feed-forward network of states, residual."""

    def __init__(self, nac: model_pb2.NacSpec) -> None:
        super().__init__()
        width, hidden = nac.state_dim, round(nac.ffn_capacity_factor * nac.state_dim)
        self.layernorm = nn.LayerNorm(width, eps=_EPSILON)
        self.ffn = nn.ModuleList([ModFC(width, 2 * hidden, nac.code_dim), _Geglu(), ModFC(hidden, width, nac.code_dim)])
        self.layer_scale = _LayerScale(width)

    def forward(self, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        expand, gate, contract = self.ffn
        return x + self.layer_scale.gamma * contract(gate(expand(self.layernorm(x), codes)), codes)


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[..., U, H d] to [..., H, U, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


class ReadInAttention(nn.Module):
    """Every input latent looks at the tokens through keys and values of its own.

    Those of latent u are W (f_u * token), with its factors f_u. Both products are taken apart, so that no token is
    projected once for each latent: a key meets a query as (f_u * W^T q) . token.
    """

    def __init__(self, nac: model_pb2.NacSpec, token: int) -> None:
        super().__init__()
        state, code, width = nac.state_dim, nac.code_dim, nac.heads * nac.head_dim
        self.heads, self.head_dim = nac.heads, nac.head_dim
        self.sender_layernorm = nn.LayerNorm(token, eps=_EPSILON)
        self.receiver_layernorm = nn.LayerNorm(state, eps=_EPSILON)
        self.query_compiler = ModFC(state, width, code, bias=False)
        self.key_compiler = ModFC(token, width, code, bias=False)
        self.value_compiler = ModFC(token, width, code, bias=False)
        self.exit_layer = ModFC(width, state, code)
        self.layer_scale = _LayerScale(state)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.sender_layernorm(tokens)
        q = self.query_compiler(self.receiver_layernorm(x), codes).unflatten(-1, (self.heads, -1))
        key, value = (w.native_weight.unflatten(0, (self.heads, -1)) for w in (self.key_compiler, self.value_compiler))
        probe = torch.einsum("buhd,hdt->buht", q, key) * self.key_compiler.factors(codes)[:, None]
        weights = torch.softmax(torch.einsum("buht,bnt->buhn", probe, tokens) * self.head_dim**-0.5, dim=-1)
        seen = torch.einsum("buhn,bnt->buht", weights, tokens) * self.value_compiler.factors(codes)[:, None]
        message = torch.einsum("buht,hdt->buhd", seen, value).flatten(-2)
        return x + self.layer_scale.gamma * self.exit_layer(message, codes)


class Kernel(nn.Module):
    """How much a link may carry, by the cosine distance of two signatures; beyond `truncation` nothing."""

    def __init__(self, truncation: Optional[float], positive: bool) -> None:
        super().__init__()
        self.bandwidth = nn.Parameter(torch.ones(()))
        self.truncation, self.positive = truncation, positive

    def forward(self, receivers: torch.Tensor, senders: torch.Tensor) -> torch.Tensor:
        """The log-mask, normalised along the rows: [U, V]."""
        receivers, senders = (s / s.norm(dim=1, keepdim=True) for s in (receivers, senders))
        distances = 1 - receivers @ senders.t()
        bandwidth = nn.functional.softplus(20 * self.bandwidth, threshold=1e9) / 20 if self.positive else self.bandwidth
        logits = -distances / bandwidth
        if self.truncation is not None:
            logits = logits.masked_fill(distances > self.truncation, float("-inf"))
        return torch.log_softmax(logits, dim=1)


class LatentAttention(nn.Module):
    """Receivers attend to senders, along the links of a kernel if there is one."""

    def __init__(self, nac: model_pb2.NacSpec, kernel: Optional[Kernel], is_read_out: bool) -> None:
        super().__init__()
        state, code, width = nac.state_dim, nac.code_dim, nac.heads * nac.head_dim
        self.heads, self.head_dim, self.is_read_out = nac.heads, nac.head_dim, is_read_out
        self.kernel = kernel
        self.receiver_layernorm = nn.LayerNorm(state, eps=_EPSILON)
        self.sender_layernorm = nn.LayerNorm(state, eps=_EPSILON) if is_read_out else None
        self.query_compiler = ModFC(state, width, code, bias=False)
        self.key_compiler = ModFC(state, width, code, bias=False)
        self.value_compiler = ModFC(state, width, code, bias=False)
        self.exit_layer = ModFC(width, state, code)
        self.layer_scale = _LayerScale(state)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, senders: torch.Tensor, sender_codes: torch.Tensor,
                log_mask: Optional[torch.Tensor] = None) -> torch.Tensor:
        norm = self.receiver_layernorm if self.sender_layernorm is None else self.sender_layernorm
        receivers, senders = self.receiver_layernorm(x), norm(senders)
        q = _heads(self.query_compiler(receivers, codes), self.heads)
        k = _heads(self.key_compiler(senders, sender_codes), self.heads)
        v = _heads(self.value_compiler(senders, sender_codes), self.heads)
        scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
        if log_mask is not None:
            scores = scores + log_mask
        message = (torch.softmax(scores, dim=-1) @ v).transpose(-3, -2).flatten(-2)
        out = self.layer_scale.gamma * self.exit_layer(message, codes)
        return out if self.is_read_out else x + out


class ReadIn(nn.Module):
    """Input latents take in the image."""

    def __init__(self, nac: model_pb2.NacSpec, token: int) -> None:
        super().__init__()
        self.read_in_attention = ReadInAttention(nac, token)
        self.ffn = ModFFN(nac)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.ffn(self.read_in_attention(x, codes, tokens), codes)


class Layer(nn.Module):
    """A propagator or a read-out."""

    def __init__(self, nac: model_pb2.NacSpec, kernel: Optional[Kernel], is_read_out: bool) -> None:
        super().__init__()
        self.latent_attention = LatentAttention(nac, kernel, is_read_out)
        self.ffn = ModFFN(nac)

    def mask(self, receivers: torch.Tensor, senders: torch.Tensor) -> Optional[torch.Tensor]:
        """The log-mask of the links between latents with these signatures."""
        kernel = self.latent_attention.kernel
        return None if kernel is None else kernel(receivers, senders)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, senders: torch.Tensor, sender_codes: torch.Tensor,
                log_mask: Optional[torch.Tensor] = None) -> torch.Tensor:
        return self.ffn(self.latent_attention(x, codes, senders, sender_codes, log_mask), codes)


class Latents(nn.Module):
    """A population of latents."""

    def __init__(self, count: int, nac: model_pb2.NacSpec) -> None:
        super().__init__()
        self.signatures_ = nn.Parameter(torch.zeros(count, nac.signature_dim))
        self.codes_ = nn.Parameter(torch.zeros(count, nac.code_dim))


class Seeder(nn.Module):
    """States that codes start from: their means, since evaluation draws nothing."""

    def __init__(self, nac: model_pb2.NacSpec) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(nac.code_dim, eps=_EPSILON)
        self.code_to_state_mu = nn.Linear(nac.code_dim, nac.state_dim)
        self.code_to_state_logvar = nn.Linear(nac.code_dim, nac.state_dim)

    def forward(self, codes: torch.Tensor, batch: int) -> torch.Tensor:
        return self.code_to_state_mu(self.layernorm(codes)).expand(batch, -1, -1)


class ChannelsFirstNorm(nn.Module):
    """LayerNorm over the channels of [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.permute(0, 2, 3, 1)
        return nn.functional.layer_norm(rows, rows.shape[-1:], self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A block of ConvNeXt (arXiv 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class Backbone(nn.Module):
    """Stages of ConvNeXt; stage s of n has width state_dim / 2^(n-s)."""

    def __init__(self, nac: model_pb2.NacSpec, channels: int) -> None:
        super().__init__()
        depths = list(nac.tokenizer_depths)
        widths = [nac.state_dim >> (len(depths) - s) for s in range(len(depths))]
        self.downsample_layers, self.stages = nn.ModuleList(), nn.ModuleList()
        for s, (depth, width) in enumerate(zip(depths, widths)):
            if s == 0:
                stem = nac.tokenizer_stem
                reduce = [nn.Conv2d(channels, width, stem, stride=stem), ChannelsFirstNorm(width)]
            else:
                reduce = [ChannelsFirstNorm(widths[s - 1]), nn.Conv2d(widths[s - 1], width, 2, stride=2)]
            self.downsample_layers.append(nn.ModuleList(reduce))
            self.stages.append(nn.ModuleList(ConvNextBlock(width) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for reduce, blocks in zip(self.downsample_layers, self.stages):
            for module in [*reduce, *blocks]:
                x = module(x)
        return x


class _PositionalGrid(nn.Module):
    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.grid = nn.Parameter(torch.zeros(channels, side, side))


class Tokenizer(nn.Module):
    """Images to tokens [B, T, token_width]: features beside learned positions."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__()
        nac = described.nac
        self.backbone = Backbone(nac, described.channels)
        side = described.image_size // nac.tokenizer_stem >> (len(nac.tokenizer_depths) - 1)
        self.positional_grid = _PositionalGrid(nac.grid_channels, side) if nac.grid_channels else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.backbone(x)
        if self.positional_grid is not None:
            x = torch.cat([x, self.positional_grid.grid.expand(x.shape[0], -1, -1, -1)], dim=1)
        return x.flatten(2).transpose(1, 2)


def token_width(nac: model_pb2.NacSpec) -> int:
    """Width of the tokens that a tokenizer gives."""
    return nac.state_dim // 2 + nac.grid_channels


class OutputTokenizer(nn.Module):
    """Pools output latents by softmax of their confidence, then classifies."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__()
        self.confidence_scorer = nn.Linear(described.nac.state_dim, 1)
        self.to_logits = nn.Linear(described.nac.state_dim, described.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.confidence_scorer(x), dim=1)
        return self.to_logits((weights * x).sum(1))


class LatentGraph(nn.Module):
    """The three populations and the layers between them."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__()
        nac = described.nac
        self.layers = described.modules - 2
        positive = not nac.reference_bandwidth
        self.input_latents = Latents(nac.input_latents, nac)
        self.mediator_latents = Latents(nac.mediator_latents, nac)
        self.output_latents = Latents(nac.output_latents, nac)
        self.latent_seeder = Seeder(nac)
        self.read_in = ReadIn(nac, token_width(nac))
        self.propagators = nn.ModuleList(Layer(nac, Kernel(nac.truncation, positive), False)
                                         for _ in range(1 if nac.share_layers else self.layers))
        self.read_out = Layer(nac, Kernel(None, positive), True)
        self.keeps_stitches = described.stitch_width > 0
        if self.keeps_stitches:
            width, stitch = nac.state_dim, described.stitch_width
            self.stitch_norm = nn.LayerNorm(width, eps=_EPSILON)
            self.stitch_pairs = nn.ModuleList(nn.ModuleList([nn.Linear(width, stitch), nn.Linear(stitch, width)])
                                              for _ in range(described.modules - 1))

    def stitch(self, x: torch.Tensor, index: int) -> torch.Tensor:
        """What is left of the stitches after module `index`, if they were kept."""
        if not self.keeps_stitches:
            return x
        there, back = self.stitch_pairs[index]
        return x + back(nn.functional.gelu(there(self.stitch_norm(x))))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        inputs, mediators, outputs = self.input_latents, self.mediator_latents, self.output_latents
        batch = tokens.shape[0]
        x_in = self.read_in(self.latent_seeder(inputs.codes_, batch), inputs.codes_, tokens)
        x_in = self.stitch(x_in, 0)
        x_med = self.latent_seeder(mediators.codes_, batch)
        codes = torch.cat([inputs.codes_, mediators.codes_])
        signatures = torch.cat([inputs.signatures_, mediators.signatures_])
        for i in range(self.layers):
            layer = self.propagators[i % len(self.propagators)]
            mask = layer.mask(mediators.signatures_, signatures)
            x_med = self.stitch(layer(x_med, mediators.codes_, torch.cat([x_in, x_med], dim=1), codes, mask), i + 1)
        mask = self.read_out.mask(outputs.signatures_, signatures)
        return self.read_out(self.latent_seeder(outputs.codes_, batch), outputs.codes_, torch.cat([x_in, x_med], dim=1),
                             codes, mask)


class Nac(nn.Module):
    """A whole NAC: images to logits."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__()
        self.input_tokenizer = Tokenizer(described)
        self.latent_graphs = nn.ModuleList([LatentGraph(described)])
        self.output_tokenizer = OutputTokenizer(described)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output_tokenizer(self.latent_graphs[0](self.input_tokenizer(x)))


class _Module(nn.Module):
    """What all modules have: one code for the latent or latents that they stand for."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription, starts_latent: bool) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.zeros(1, described.nac.code_dim))
        if starts_latent:
            self.states = nn.Parameter(torch.zeros(1, described.nac.state_dim))


class ReadInModule(_Module):
    """Images to one token of the meta model's width."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__(described, True)
        self.tokenizer = Tokenizer(described)
        self.read_in = ReadIn(described.nac, token_width(described.nac))
        self.post_stitch = nn.Linear(described.nac.state_dim, described.stitch_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.states.expand(x.shape[0], 1, -1)
        return self.post_stitch(self.read_in(state, self.codes, self.tokenizer(x)))


class Mediator(_Module):
    """Tokens to tokens."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__(described, False)
        nac, stitch = described.nac, described.stitch_width
        self.latent_attention = LatentAttention(nac, None, False)
        self.ffn = ModFFN(nac)
        self.pre_stitch = nn.Linear(stitch, nac.state_dim)
        self.post_stitch = nn.Linear(nac.state_dim, stitch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pre_stitch(x)
        y = self.ffn(self.latent_attention(y, self.codes, y, self.codes), self.codes)
        return self.post_stitch(y)


class ReadOutModule(_Module):
    """Tokens to logits."""

    def __init__(self, described: architecture_pb2.ArchitectureDescription) -> None:
        super().__init__(described, True)
        nac = described.nac
        self.latent_attention = LatentAttention(nac, None, True)
        self.ffn = ModFFN(nac)
        self.pre_stitch = nn.Linear(described.stitch_width, nac.state_dim)
        self.tokenizer = OutputTokenizer(described)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.states.expand(x.shape[0], 1, -1)
        y = self.latent_attention(state, self.codes, self.pre_stitch(x), self.codes)
        return self.tokenizer(self.ffn(y, self.codes))
