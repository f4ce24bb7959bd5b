#!/usr/bin/env python3
"""One training step of a whole NAC in plain PyTorch: the peer of our trainer's step.

What is timed: forward in training mode, cross-entropy, backward, AdamW. No I/O, no augmentation. Weights and images follow the fill rule of the
golden tests (amplitude 0.05; LayerNorm weights 1 + that; names sorted; bandwidths 1), so another program can reproduce the losses of
`--noise 0` exactly: compare them before comparing the time. `--noise 1` draws what training draws: noise on codes and states, sampled links,
Gumbel pooling.

The read-in is the cheap exact form, in which keys and values of the image's tokens are never made for each latent; `--read-in naive` is as
the reference has it. Sizes default to those of a NAC in a job file.

  OMP_NUM_THREADS=1 python3 pytorch_nac_step.py --batch 64 --steps 30
  OMP_NUM_THREADS=1 python3 pytorch_nac_step.py --state 128 --mediators 128 --image 64 --channels 3 --batch 32 --noise 1

Prints one JSON line: median and quartiles of seconds per step, the losses, the library version.
"""
import argparse, json, statistics, time
import torch, torch.nn as nn, torch.nn.functional as F

CLASSES, TRUNCATION, TEMPERATURE, CODE_NOISE = 10, 0.9, 0.5, 0.05


class ModFC(nn.Module):
    def __init__(self, inputs, outputs, code, bias=True):
        super().__init__()
        self.native_weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.native_bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.scale_gain = nn.Linear(code, inputs, bias=False), nn.Parameter(torch.zeros(()))

    def factors(self, codes):
        raw = self.scale(codes)
        return 1 + self.scale_gain * F.layer_norm(raw, raw.shape[-1:])

    def forward(self, x, codes):
        return F.linear(x * self.factors(codes), self.native_weight, self.native_bias)


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(width))


class ModFFN(nn.Module):
    def __init__(self, a):
        super().__init__()
        hidden = round(a.capacity * a.state)
        self.layernorm = nn.LayerNorm(a.state)
        self.ffn = nn.ModuleList([ModFC(a.state, 2 * hidden, a.code), nn.Identity(), ModFC(hidden, a.state, a.code)])
        self.layer_scale = LayerScale(a.state)

    def forward(self, x, codes):
        value, gate = self.ffn[0](self.layernorm(x), codes).chunk(2, -1)
        return x + self.layer_scale.gamma * self.ffn[2](value * F.gelu(gate), codes)


def heads_first(x, heads):
    return x.reshape(*x.shape[:-1], heads, -1).transpose(-2, -3)


def heads_last(x):
    return x.transpose(-2, -3).flatten(-2)


class Compilers(nn.Module):
    """The projections that every attention has."""

    def __init__(self, a, sender):
        super().__init__()
        width = a.heads * a.head_dim
        self.heads, self.root = a.heads, a.head_dim**0.5
        self.receiver_layernorm = nn.LayerNorm(a.state)
        self.query_compiler = ModFC(a.state, width, a.code, bias=False)
        self.key_compiler = ModFC(sender, width, a.code, bias=False)
        self.value_compiler = ModFC(sender, width, a.code, bias=False)
        self.exit_layer = ModFC(width, a.state, a.code)
        self.layer_scale = LayerScale(a.state)


class ReadInAttention(Compilers):
    def __init__(self, a, token):
        super().__init__(a, token)
        self.naive = a.read_in == "naive"
        self.sender_layernorm = nn.LayerNorm(token)

    def forward(self, x, codes, tokens):
        q = self.query_compiler(self.receiver_layernorm(x), codes)
        t = self.sender_layernorm(tokens)
        m = self.by_definition(q, t, codes) if self.naive else self.without_keys(q, t, codes)
        return x + self.layer_scale.gamma * self.exit_layer(m, codes)

    def by_definition(self, q, t, codes):
        q = q.reshape(*q.shape[:2], 1, self.heads, -1).transpose(2, 3)  # [B, U, H, 1, d]
        k, v = (heads_first(c(t[:, None], codes[:, None]), self.heads) for c in (self.key_compiler, self.value_compiler))
        return (torch.softmax(q @ k.transpose(-1, -2) / self.root, -1) @ v).flatten(2)

    def without_keys(self, q, t, codes):
        b, u, _ = q.shape
        key = self.key_compiler.native_weight.view(self.heads, -1, t.shape[-1])
        value = self.value_compiler.native_weight.view(self.heads, -1, t.shape[-1])
        q = heads_first(q, self.heads) @ key * self.key_compiler.factors(codes)  # [B, H, U, I]
        scores = q.flatten(1, 2) @ t.transpose(1, 2) / self.root
        seen = (torch.softmax(scores, -1) @ t).view(b, self.heads, u, -1) * self.value_compiler.factors(codes)
        return heads_last(seen @ value.transpose(1, 2))


class Kernel(nn.Module):
    def __init__(self, truncated):
        super().__init__()
        self.bandwidth, self.truncated = nn.Parameter(torch.ones(())), truncated

    def forward(self, distances, batch, noise):
        """The log-mask of links: [U, V], or sampled for each image [B, 1, U, V]."""
        log_p = -distances / self.bandwidth
        cut = distances > TRUNCATION
        if self.truncated and noise:
            eps = torch.finfo(log_p.dtype).eps
            p = log_p.exp().clamp(eps, 1 - eps)
            u = torch.rand(batch, 1, *p.shape).clamp(eps, 1 - eps)
            log_p = F.logsigmoid((torch.logit(u) + torch.logit(p)) / TEMPERATURE)
        return log_p.masked_fill(cut, float("-inf")) if self.truncated else log_p


class LatentAttention(Compilers):
    def __init__(self, a, read_out):
        super().__init__(a, a.state)
        self.read_out, self.kernel = read_out, Kernel(not read_out)
        if read_out:
            self.sender_layernorm = nn.LayerNorm(a.state)

    def forward(self, x, codes, senders, sender_codes, distances, noise):
        t = (self.sender_layernorm if self.read_out else self.receiver_layernorm)(senders)
        q = heads_first(self.query_compiler(self.receiver_layernorm(x), codes), self.heads)
        k, v = (heads_first(c(t, sender_codes), self.heads) for c in (self.key_compiler, self.value_compiler))
        scores = q @ k.transpose(-1, -2) / self.root + self.kernel(distances, len(x), noise)
        out = self.layer_scale.gamma * self.exit_layer(heads_last(torch.softmax(scores, -1) @ v), codes)
        return out if self.read_out else x + out


class Layer(nn.Module):
    def __init__(self, a, read_out=False):
        super().__init__()
        self.latent_attention, self.ffn = LatentAttention(a, read_out), ModFFN(a)


class ReadIn(nn.Module):
    def __init__(self, a, token):
        super().__init__()
        self.read_in_attention, self.ffn = ReadInAttention(a, token), ModFFN(a)


class Latents(nn.Module):
    def __init__(self, count, a):
        super().__init__()
        self.signatures_, self.codes_ = (nn.Parameter(torch.zeros(count, width)) for width in (a.signature, a.code))


class Seeder(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.layernorm = nn.LayerNorm(a.code)
        self.code_to_state_mu = nn.Linear(a.code, a.state)
        if a.noise:
            self.code_to_state_logvar = nn.Linear(a.code, a.state)

    def forward(self, codes, batch, noise):
        n = self.layernorm(codes)
        mean = self.code_to_state_mu(n).expand(batch, -1, -1)
        return mean + torch.randn_like(mean) * (0.5 * self.code_to_state_logvar(n)).exp() if noise else mean


class ChannelsFirstNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width, 1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).permute(0, 3, 1, 2)


class Backbone(nn.Module):
    def __init__(self, a):
        super().__init__()
        one, two = a.state // 4, a.state // 2
        self.downsample_layers = nn.ModuleList([
            nn.Sequential(nn.Conv2d(a.channels, one, 4, 4), ChannelsFirstNorm(one, 1e-6)),
            nn.Sequential(ChannelsFirstNorm(one, 1e-6), nn.Conv2d(one, two, 2, 2))])
        self.stages = nn.ModuleList(nn.Sequential(ConvNextBlock(width)) for width in (one, two))


class Tokenizer(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.backbone, side = Backbone(a), a.image // 8
        self.positional_grid = nn.ParameterDict({"grid": nn.Parameter(torch.zeros(a.grid, side, side))})

    def forward(self, x):
        for reduce, blocks in zip(self.backbone.downsample_layers, self.backbone.stages):
            x = blocks(reduce(x))
        grid = self.positional_grid["grid"].expand(len(x), -1, -1, -1)
        return torch.cat([x, grid], 1).flatten(2).transpose(1, 2)


class Pooling(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.confidence_scorer, self.to_logits = nn.Linear(a.state, 1), nn.Linear(a.state, CLASSES)

    def forward(self, x, noise):
        score = self.confidence_scorer(x).squeeze(-1)
        weight = F.gumbel_softmax(score, dim=-1) if noise else score.softmax(-1)
        return self.to_logits((weight[:, None] @ x).squeeze(1))


class Graph(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.input_latents, self.mediator_latents, self.output_latents = (
            Latents(count, a) for count in (a.inputs, a.mediators, a.outputs))
        self.latent_seeder, self.read_in = Seeder(a), ReadIn(a, a.state // 2 + a.grid)
        self.propagators, self.read_out = nn.ModuleList(Layer(a) for _ in range(a.layers)), Layer(a, read_out=True)


class Nac(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.noise = bool(a.noise)
        self.input_tokenizer, self.output_tokenizer = Tokenizer(a), Pooling(a)
        self.latent_graphs = nn.ModuleList([Graph(a)])

    def noisy(self, codes):
        return codes + (2 * torch.rand_like(codes) - 1) * CODE_NOISE * codes.abs() if self.noise else codes

    def forward(self, image):
        g, noise, noisy = self.latent_graphs[0], self.noise, self.noisy
        tokens = self.input_tokenizer(image)
        latents = g.input_latents, g.mediator_latents, g.output_latents
        x_in, x, x_out = (g.latent_seeder(noisy(l.codes_), len(image), noise) for l in latents)
        c_in, c, c_out = (l.codes_ for l in latents)
        code = noisy(c_in)
        x_in = g.read_in.ffn(g.read_in.read_in_attention(x_in, code, tokens), code)
        units = [F.normalize(l.signatures_) for l in latents]
        reached = torch.cat(units[:2]).t()
        distances, out_distances = 1 - units[1] @ reached, 1 - units[2] @ reached
        for layer in g.propagators:
            code = noisy(c)
            x = layer.latent_attention(x, code, torch.cat([x_in, x], 1), noisy(torch.cat([c_in, c])), distances, noise)
            x = layer.ffn(x, code)
        code = noisy(c_out)
        senders = torch.cat([x_in, x], 1), noisy(torch.cat([c_in, c]))
        x_out = g.read_out.latent_attention(x_out, code, *senders, out_distances, noise)
        return self.output_tokenizer(g.read_out.ffn(x_out, code), noise)


def fill(module, amplitude=0.05):
    norms = {n + ".weight" for n, m in module.named_modules() if isinstance(m, nn.LayerNorm)}
    for k, (name, p) in enumerate(sorted(module.named_parameters())):
        v = amplitude * torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64) + 1.3 * k)
        p.data = ((1 + v) if name in norms else v).reshape(p.shape).float()
        if name.endswith("bandwidth"):
            p.data.fill_(1.0)
    return module


def main():
    a = argparse.ArgumentParser()
    for name, default in dict(state=64, code=64, signature=64, inputs=16, mediators=64, outputs=16, layers=2, heads=4, head_dim=16,
                              grid=64, image=28, channels=1, batch=64, steps=30, warmup=5, noise=0).items():
        a.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    a.add_argument("--capacity", type=float, default=2.0)
    a.add_argument("--read-in", choices=["fast", "naive"], default="fast")
    a = a.parse_args()
    torch.manual_seed(0)
    model = fill(Nac(a))
    count = a.batch * a.channels * a.image**2
    images = torch.sin(0.01 * torch.arange(count, dtype=torch.float64)).float().view(a.batch, a.channels, a.image, a.image)
    labels = torch.arange(a.batch) % CLASSES
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, foreach=True)

    def step():
        loss = F.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()

    losses = [float(step()) for _ in range(a.warmup)]
    seconds = []
    for _ in range(a.steps):
        t = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - t)
        losses.append(float(loss))
    q = statistics.quantiles(seconds, n=4)
    print(json.dumps(dict(torch=torch.__version__, threads=torch.get_num_threads(), **vars(a), parameters=sum(p.numel() for p in model.parameters()),
                          seconds_median=round(q[1], 6), seconds_quartiles=[round(q[0], 6), round(q[2], 6)],
                          images_per_second=round(a.batch / q[1], 1), losses=[round(x, 6) for x in losses])))


if __name__ == "__main__":
    main()
