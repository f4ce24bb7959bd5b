"""Numbers that any program can make again: the weights and inputs of the golden values."""

import math

import torch


class ChannelsFirstNorm(torch.nn.Module):
    """LayerNorm over the channels of [B, C, H, W]."""

    def __init__(self, channels, eps):
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = ((x - mean) ** 2).mean(1, keepdim=True)
        normal = (x - mean) / torch.sqrt(variance + self.eps)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


def norm_weights(module):
    """The identities of the weights of all layer norms."""
    norms = (torch.nn.LayerNorm, ChannelsFirstNorm)
    return {id(m.weight) for m in module.modules() if isinstance(m, norms) and m.weight is not None}


def fill(module, amplitude, names=None):
    """Fills all parameters: element i of the k-th, sorted by name, becomes amplitude * sin(0.7 i + 1.3 k),
    plus one for weights of layer norms. `names` gives (name, parameter) pairs, by default the module's own."""
    norms = norm_weights(module)
    for k, (_, p) in enumerate(sorted(names or module.named_parameters(), key=lambda pair: pair[0])):
        i = torch.arange(p.numel(), dtype=torch.float64)
        values = amplitude * torch.sin(0.7 * i + 1.3 * k) + (1.0 if id(p) in norms else 0.0)
        p.data = values.reshape(p.shape).to(p.dtype)
    return module


def wave(*shape, frequency):
    """sin(frequency * i) over the flat index."""
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(frequency * i).reshape(shape).float()
