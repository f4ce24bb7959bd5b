"""The Neural Attentive Circuit and its module students, written from their definitions alone.

Evaluation only: nothing here draws random numbers. Attention goes head by head, the read-in computes the
keys and values of every input latent as they are defined. B batch, U receivers, V senders, C width of states.
"""

import torch
from torch import nn

from fill_rule import ChannelsFirstNorm


class ModFC(nn.Module):
    """A linear layer whose input is scaled, latent by latent, as the latent's code says."""

    def __init__(self, inputs, outputs, code, bias=True, gain=0.1):
        super().__init__()
        self.native_weight = nn.Parameter(torch.zeros(outputs, inputs))
        if bias:
            self.native_bias = nn.Parameter(torch.zeros(outputs))
        self.scale = nn.Linear(code, inputs, bias=False)
        self.scale_gain = nn.Parameter(torch.tensor(float(gain)))

    def factors(self, codes):
        raw = self.scale(codes)
        return 1 + self.scale_gain * nn.functional.layer_norm(raw, raw.shape[-1:], eps=1e-5)

    def forward(self, x, codes):
        """x [..., U, inputs], codes [U, code] or [1, code]."""
        y = (x * self.factors(codes)) @ self.native_weight.t()
        return y + self.native_bias if hasattr(self, "native_bias") else y


class Geglu(nn.Module):
    def forward(self, x):
        a, g = x.chunk(2, dim=-1)
        return a * nn.functional.gelu(g)


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(width))


class ModFFN(nn.Module):
    def __init__(self, width, code, capacity):
        super().__init__()
        hidden = int(round(capacity * width))
        self.layernorm = nn.LayerNorm(width, eps=1e-5)
        self.ffn = nn.ModuleList([ModFC(width, 2 * hidden, code), Geglu(), ModFC(hidden, width, code)])
        self.layer_scale = LayerScale(width)

    def forward(self, x, codes):
        h = self.ffn[1](self.ffn[0](self.layernorm(x), codes))
        return x + self.layer_scale.gamma * self.ffn[2](h, codes)


def attend(q, k, v, heads, log_mask=None):
    """q [..., U, H d], k and v [..., V, H d]; log_mask [U, V] is added to the scores of every head."""
    width = q.shape[-1] // heads
    parts = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(-1, -2) / width**0.5
        if log_mask is not None:
            scores = scores + log_mask
        parts.append(torch.softmax(scores, dim=-1) @ v[..., part])
    return torch.cat(parts, dim=-1)


class ReadInAttention(nn.Module):
    """Every input latent looks at the tokens through keys and values of its own."""

    def __init__(self, token, state, code, heads, head_dim, layer_scale=True):
        super().__init__()
        self.heads = heads
        self.sender_layernorm = nn.LayerNorm(token, eps=1e-5)
        self.receiver_layernorm = nn.LayerNorm(state, eps=1e-5)
        self.query_compiler = ModFC(state, heads * head_dim, code, bias=False)
        self.key_compiler = ModFC(token, heads * head_dim, code, bias=False)
        self.value_compiler = ModFC(token, heads * head_dim, code, bias=False)
        self.exit_layer = ModFC(heads * head_dim, state, code)
        if layer_scale:
            self.layer_scale = LayerScale(state)

    def forward(self, x, codes, tokens):
        r, t = self.receiver_layernorm(x), self.sender_layernorm(tokens)
        messages = []
        for u in range(x.shape[1]):
            code = codes[u:u + 1]
            q = self.query_compiler(r[:, u:u + 1], code)
            messages.append(attend(q, self.key_compiler(t, code), self.value_compiler(t, code), self.heads))
        out = self.exit_layer(torch.cat(messages, dim=1), codes)
        return x + self.layer_scale.gamma * out if hasattr(self, "layer_scale") else out


class Kernel(nn.Module):
    """The prior weight of a link, by the distance of two signatures. `positive`: the bandwidth is softplus of its
    parameter, sharpened twentyfold, rather than the parameter itself."""

    def __init__(self, truncation, positive=False):
        super().__init__()
        self.bandwidth = nn.Parameter(torch.tensor(1.0))
        self.truncation, self.positive = truncation, positive

    @staticmethod
    def distances(receivers, senders):
        unit = [s / s.norm(dim=1, keepdim=True) for s in (receivers, senders)]
        return 1 - unit[0] @ unit[1].t()

    def forward(self, receivers, senders):
        """The log-mask, normalised along the rows: [U, V]."""
        d = self.distances(receivers, senders)
        log_p = -d / (torch.log1p(torch.exp(20 * self.bandwidth)) / 20 if self.positive else self.bandwidth)
        if self.truncation is not None:
            log_p = log_p.masked_fill(d > self.truncation, float("-inf"))
        return torch.log_softmax(log_p, dim=1)


class LatentAttention(nn.Module):
    """kernel: "truncated", "plain" (reaches everywhere), or None."""

    def __init__(self, state, code, heads, head_dim, kernel, shared_norm, residual, truncation=0.9,
                 positive=False):
        super().__init__()
        self.heads, self.residual = heads, residual
        if kernel:
            self.kernel = Kernel(truncation if kernel == "truncated" else None, positive)
        self.receiver_layernorm = nn.LayerNorm(state, eps=1e-5)
        if not shared_norm:
            self.sender_layernorm = nn.LayerNorm(state, eps=1e-5)
        self.query_compiler = ModFC(state, heads * head_dim, code, bias=False)
        self.key_compiler = ModFC(state, heads * head_dim, code, bias=False)
        self.value_compiler = ModFC(state, heads * head_dim, code, bias=False)
        self.exit_layer = ModFC(heads * head_dim, state, code)
        self.layer_scale = LayerScale(state)

    def forward(self, x, x_codes, senders, sender_codes, x_signatures=None, sender_signatures=None):
        norm = self.sender_layernorm if hasattr(self, "sender_layernorm") else self.receiver_layernorm
        r, t = self.receiver_layernorm(x), norm(senders)
        mask = self.kernel(x_signatures, sender_signatures) if hasattr(self, "kernel") else None
        message = attend(self.query_compiler(r, x_codes), self.key_compiler(t, sender_codes),
                         self.value_compiler(t, sender_codes), self.heads, mask)
        out = self.layer_scale.gamma * self.exit_layer(message, x_codes)
        return x + out if self.residual else out


class ReadIn(nn.Module):
    def __init__(self, c, token):
        super().__init__()
        self.read_in_attention = ReadInAttention(token, c["state"], c["code"], c["heads"], c["head_dim"])
        self.ffn = ModFFN(c["state"], c["code"], c["capacity"])

    def forward(self, x, codes, tokens):
        return self.ffn(self.read_in_attention(x, codes, tokens), codes)


class Layer(nn.Module):
    """A propagator, a read-out, or the middle of their module students."""

    def __init__(self, c, kernel, read_out):
        super().__init__()
        self.latent_attention = LatentAttention(c["state"], c["code"], c["heads"], c["head_dim"], kernel,
                                                shared_norm=not read_out, residual=not read_out,
                                                truncation=c.get("truncation", 0.9), positive=c.get("positive", False))
        self.ffn = ModFFN(c["state"], c["code"], c["capacity"])

    def forward(self, x, x_codes, *others):
        return self.ffn(self.latent_attention(x, x_codes, *others), x_codes)


class Latents(nn.Module):
    def __init__(self, count, signature, code):
        super().__init__()
        self.signatures_ = nn.Parameter(torch.zeros(count, signature))
        self.codes_ = nn.Parameter(torch.zeros(count, code))


class Seeder(nn.Module):
    """The means of states; `noise`: whether there are parameters for their noise."""

    def __init__(self, state, code, noise=True):
        super().__init__()
        self.layernorm = nn.LayerNorm(code, eps=1e-5)
        self.code_to_state_mu = nn.Linear(code, state)
        if noise:
            self.code_to_state_logvar = nn.Linear(code, state)

    def forward(self, codes, batch):
        return self.code_to_state_mu(self.layernorm(codes)).expand(batch, -1, -1)


class ConvNextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class Backbone(nn.Module):
    def __init__(self, channels, depths, state, stem=4):
        super().__init__()
        widths = [state // 2**(len(depths) - i) for i in range(len(depths))]
        self.downsample_layers, self.stages = nn.ModuleList(), nn.ModuleList()
        for i, (depth, width) in enumerate(zip(depths, widths)):
            if i == 0:
                reduce = [nn.Conv2d(channels, width, stem, stride=stem), ChannelsFirstNorm(width, 1e-6)]
            else:
                reduce = [ChannelsFirstNorm(widths[i - 1], 1e-6), nn.Conv2d(widths[i - 1], width, 2, stride=2)]
            self.downsample_layers.append(nn.ModuleList(reduce))
            self.stages.append(nn.ModuleList(ConvNextBlock(width) for _ in range(depth)))

    def forward(self, x):
        for reduce, blocks in zip(self.downsample_layers, self.stages):
            for module in [*reduce, *blocks]:
                x = module(x)
        return x


class PositionalGrid(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.grid = nn.Parameter(torch.zeros(channels, side, side))


class Tokenizer(nn.Module):
    def __init__(self, c):
        super().__init__()
        depths, stem = c.get("depths", [1, 1]), c.get("stem", 4)
        self.backbone = Backbone(c.get("channels", 3), depths, c["state"], stem)
        self.positional_grid = PositionalGrid(c["grid"], c["image"] // stem // 2**(len(depths) - 1))
        self.width = c["state"] // 2 + c["grid"]

    def forward(self, x):
        x = self.backbone(x)
        grid = self.positional_grid.grid.expand(x.shape[0], -1, -1, -1)
        return torch.cat([x, grid], dim=1).flatten(2).transpose(1, 2)


class OutputTokenizer(nn.Module):
    """Pools output latents by softmax of their confidence, then classifies."""

    def __init__(self, state, classes):
        super().__init__()
        self.confidence_scorer = nn.Linear(state, 1)
        self.to_logits = nn.Linear(state, classes)

    def forward(self, x):
        weights = torch.softmax(self.confidence_scorer(x), dim=1)
        return self.to_logits((weights * x).sum(1))


class LatentGraph(nn.Module):
    def __init__(self, c, token):
        super().__init__()
        for name in ("input", "mediator", "output"):
            self.add_module(name + "_latents", Latents(c[name + "_latents"], c["signature"], c["code"]))
        self.latent_seeder = Seeder(c["state"], c["code"], c.get("state_noise", True))
        self.read_in = ReadIn(c, token)
        self.layers, shared = c["layers"], c.get("shared", False)
        self.propagators = nn.ModuleList(Layer(c, "truncated", False) for _ in range(1 if shared else self.layers))
        self.read_out = Layer(c, "plain", True)

    def forward(self, tokens):
        inputs, mediators, outputs = self.input_latents, self.mediator_latents, self.output_latents
        batch = tokens.shape[0]
        x_in = self.read_in(self.latent_seeder(inputs.codes_, batch), inputs.codes_, tokens)
        x_med = self.latent_seeder(mediators.codes_, batch)
        x_out = self.latent_seeder(outputs.codes_, batch)
        codes = torch.cat([inputs.codes_, mediators.codes_])
        signatures = torch.cat([inputs.signatures_, mediators.signatures_])
        for i in range(self.layers):
            layer = self.propagators[i % len(self.propagators)]
            senders = torch.cat([x_in, x_med], dim=1)
            x_med = layer(x_med, mediators.codes_, senders, codes, mediators.signatures_, signatures)
        senders = torch.cat([x_in, x_med], dim=1)
        x_out = self.read_out(x_out, outputs.codes_, senders, codes, outputs.signatures_, signatures)
        return x_in, x_med, x_out


class Nac(nn.Module):
    """c: state, code, signature, input_latents, mediator_latents, output_latents, heads, head_dim, capacity, layers,
    image, grid, classes, and optionally channels, depths, stem, truncation, state_noise, positive (bandwidths),
    shared (layers)."""

    def __init__(self, c):
        super().__init__()
        self.input_tokenizer = Tokenizer(c)
        self.latent_graphs = nn.ModuleList([LatentGraph(c, self.input_tokenizer.width)])
        self.output_tokenizer = OutputTokenizer(c["state"], c["classes"])

    def forward(self, x):
        return self.parts(x)["logits"]

    def parts(self, x):
        tokens = self.input_tokenizer(x)
        x_in, x_med, x_out = self.latent_graphs[0](tokens)
        return {"tokens": tokens, "inputs": x_in, "mediators": x_med, "outputs": x_out,
                "logits": self.output_tokenizer(x_out)}


class Student(nn.Module):
    """What all module students have: one code [1, code], trained or not, and a constant state [1, C] if it starts a
    latent from one."""

    def __init__(self, c, starts_latent):
        super().__init__()
        if c.get("learned_codes", False):
            self.codes = nn.Parameter(torch.zeros(1, c["code"]))
        else:
            self.register_buffer("codes", torch.zeros(1, c["code"]))
        if starts_latent:
            self.register_buffer("states", torch.zeros(1, c["state"]))

    def state(self, batch):
        return self.states.expand(batch, 1, -1)


class ReadInStudent(Student):
    """Pixels to one token of the meta model's width."""

    def __init__(self, c, stitch):
        super().__init__(c, True)
        self.tokenizer = Tokenizer(c)
        self.read_in = ReadIn(c, self.tokenizer.width)
        self.post_stitch = nn.Linear(c["state"], stitch)

    def forward(self, image):
        return self.post_stitch(self.read_in(self.state(image.shape[0]), self.codes, self.tokenizer(image)))


class MediatorStudent(Student):
    def __init__(self, c, stitch):
        super().__init__(c, False)
        layer = Layer(c, None, False)
        self.latent_attention, self.ffn = layer.latent_attention, layer.ffn
        self.pre_stitch = nn.Linear(stitch, c["state"])
        self.post_stitch = nn.Linear(c["state"], stitch)

    def forward(self, tokens):
        y, code = self.pre_stitch(tokens), self.codes
        return self.post_stitch(self.ffn(self.latent_attention(y, code, y, code), code))


class ReadOutStudent(Student):
    def __init__(self, c, stitch):
        super().__init__(c, True)
        layer = Layer(c, None, True)
        self.latent_attention, self.ffn = layer.latent_attention, layer.ffn
        self.pre_stitch = nn.Linear(stitch, c["state"])
        self.tokenizer = OutputTokenizer(c["state"], c["classes"])

    def forward(self, tokens):
        senders, code = self.pre_stitch(tokens), self.codes
        x = self.latent_attention(self.state(tokens.shape[0]), code, senders, code)
        return self.tokenizer(self.ffn(x, code))
