"""The losses of module distillation, by their formulas."""

import torch


def soft_cross_entropy(z, t):
    return -(t * torch.log_softmax(z, dim=1)).sum(1).mean()


def smoothed_cross_entropy(z, labels, smoothing):
    log_p = torch.log_softmax(z, dim=1)
    likelihood = log_p[torch.arange(len(labels)), labels]
    return (-(1 - smoothing) * likelihood - smoothing * log_p.mean(1)).mean()


def distillation(z, w, tau, divisor):
    """tau^2 * KL(teacher || student) of softened classes, summed and divided by B ("batch_mean") or B K ("numel")."""
    p, q = torch.softmax(z / tau, dim=1), torch.softmax(w / tau, dim=1)
    total = (q * (torch.log(q) - torch.log(p))).sum()
    return tau**2 * total / (z.numel() if divisor == "numel" else z.shape[0])


def hard_distillation(z, w):
    return -torch.log_softmax(z, dim=1)[torch.arange(len(w)), w.argmax(1)].mean()


def combined(z, t, w, alpha, tau, divisor):
    """(loss, cross-entropy, distillation)."""
    ce, kd = soft_cross_entropy(z, t), distillation(z, w, tau, divisor)
    return (1 - alpha) * ce + alpha * kd, ce, kd
