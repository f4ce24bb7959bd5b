#!/usr/bin/env python3
"""One step of distilling one V-MoE module, in plain PyTorch: the peer of our trainer's step.

What is timed: teacher hybrid forward (no gradient), student hybrid forward, loss, backward, AdamW. No I/O, no augmentation.
L = 4 modules, one meta block each, teacher stages of 2 blocks, the student module is one MoE block (top-2) with stitches.
Runs on Debian's python3-torch 1.13 and on newer ones. Weights and images follow the fill rule of the golden tests
(amplitude 0.05; LayerNorm weights 1 + that; names sorted; the meta, the teacher and the student are filled one by one), so another program can
reproduce the losses exactly: compare them before comparing the time.

  OMP_NUM_THREADS=1 python3 pytorch_step.py --dim 64 --student-dim 48 --batch 64 --module 1 --steps 50
  OMP_NUM_THREADS=1 python3 pytorch_step.py --dim 96 --student-dim 96 --batch 256 --module 1 --steps 20

Prints one JSON line: median and quartiles of seconds per step, the losses, the library version.
"""
import argparse, json, math, statistics, time
import torch, torch.nn as nn, torch.nn.functional as F

L, CLASSES, IMAGE, PATCH, EXPERTS = 4, 10, 28, 7, 4


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(b, n, c))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class MoE(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gate, self.experts = nn.Linear(dim, EXPERTS), nn.ModuleList(Mlp(dim) for _ in range(EXPERTS))

    def forward(self, x):
        flat = x.reshape(-1, x.size(-1))
        score, index = self.gate(flat).topk(2, -1)
        weight, out = score.softmax(-1), torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            token, slot = (index == e).nonzero(as_tuple=True)
            out = out.index_add(0, token, expert(flat[token]) * weight[token, slot, None])
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, dim, heads, moe=False, pre=0, post=0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn, self.mlp = Attention(dim, heads), MoE(dim) if moe else Mlp(dim)
        self.pre_stitch = nn.Sequential(nn.LayerNorm(pre), nn.Linear(pre, dim)) if pre else nn.Identity()
        self.post_stitch = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, post)) if post else nn.Identity()

    def forward(self, x):
        x = self.pre_stitch(x)
        x = x + self.attn(self.norm1(x))
        return self.post_stitch(x + self.mlp(self.norm2(x)))


class Stage(nn.Module):
    def __init__(self, index, dim, heads, depth, moe=False, stitch=0):
        super().__init__()
        self.first, self.last = index == 0, index == L - 1
        if self.first:
            self.patch_embed = nn.Conv2d(1, dim, PATCH, PATCH)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
            self.pos_embed = nn.Parameter(torch.zeros(1, (IMAGE // PATCH) ** 2 + 1, dim))
        self.blocks = nn.ModuleList(
            Block(dim, heads, moe, stitch if d == 0 and not self.first else 0, stitch if d == depth - 1 and not self.last else 0)
            for d in range(depth))
        if self.last:
            self.norm, self.head = nn.LayerNorm(dim, 1e-6), nn.Linear(dim, CLASSES)

    def forward(self, x):
        if self.first:
            x = self.patch_embed(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0]) if self.last else x


def fill(module, amplitude=0.05):
    norms = {(n + "." if n else "") + "weight" for n, m in module.named_modules() if isinstance(m, nn.LayerNorm)}
    for k, (name, p) in enumerate(sorted(module.named_parameters())):
        v = amplitude * torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64) + 1.3 * k)
        p.data = ((1 + v) if name in norms else v).reshape(p.shape).float()
    return module


def main():
    a = argparse.ArgumentParser()
    for name, default in dict(dim=64, student_dim=48, heads=4, batch=64, module=1, steps=50, warmup=5).items():
        a.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    a = a.parse_args()
    meta = [fill(Stage(i, a.dim, a.heads, 1)) for i in range(L)]
    teacher = fill(Stage(a.module, a.dim, a.heads, 2))
    student = fill(Stage(a.module, a.student_dim, a.heads, 1, moe=True, stitch=a.dim))
    for m in [*meta, teacher]:
        m.requires_grad_(False)
    images = torch.sin(0.01 * torch.arange(a.batch * IMAGE * IMAGE, dtype=torch.float64)).float().view(a.batch, 1, IMAGE, IMAGE)
    labels = torch.arange(a.batch) % CLASSES
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-3, weight_decay=0.05, foreach=True)

    def step():
        with torch.no_grad():
            x = images
            for m in meta[:a.module]:
                x = m(x)
            w = teacher(x)
            for m in meta[a.module + 1:]:
                w = m(w)
        z = student(x)
        for m in meta[a.module + 1:]:
            z = m(z)
        kd = F.kl_div(F.log_softmax(z, 1), F.log_softmax(w, 1), reduction="batchmean", log_target=True)
        loss = 0.5 * F.cross_entropy(z, labels) + 0.5 * kd
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
    print(json.dumps(dict(torch=torch.__version__, threads=torch.get_num_threads(), dim=a.dim, student_dim=a.student_dim,
                          batch=a.batch, module=a.module, seconds_median=round(q[1], 6), seconds_quartiles=[round(q[0], 6), round(q[2], 6)],
                          images_per_second=round(a.batch / q[1], 1), losses=[round(x, 6) for x in losses])))


main()
