"""Writes optimizers.json: losses and gradient norms of 50 steps of a small network by PyTorch's optimizers, and where it ends.

    python tests/data/pytorch/optimizers.py

Written with torch 2.15.0 (CPU), in f64. The network starts from, and learns, numbers that a formula gives, so that both sides can
write them down. `torch.optim` has SGD and AdamW; Muon is written here from its description (Keller Jordan and others, 2024), with
what airbench94 does to the weights before each step. Of each parameter after the last step its mean, and its root mean square.
"""

import json
import math
from pathlib import Path

import torch
from torch import nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
STEPS = 50


def start(name, shape):
    """The nearest f32 of a number between -0.5 and 0.5 that depends on the name and the place."""
    number = torch.arange(torch.Size(shape).numel()) * 7919 + 13 * sum(name.encode())
    return ((number % 1013) / 1013 - 0.5).float().double().reshape(shape)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 17, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(17, momentum=0.25)
        self.conv2 = nn.Conv2d(17, 8, 3)
        self.fc1 = nn.Linear(96, 20)
        self.fc2 = nn.Linear(20, 3, bias=False)
        for name, value in self.state_dict().items():
            if value.is_floating_point() and "running" not in name:
                norm = name == "norm1.weight"
                value.copy_(start(name, value.shape) * (1 if norm else 0.5) + norm)

    def forward(self, x):
        x = F.silu(self.norm1(self.conv1(x)))
        x = F.silu(self.conv2(x)).flatten(1)
        return self.fc2(F.silu(self.fc1(x)))


def orthogonal(g, steps):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    if g.size(0) > g.size(1):
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.size(0) > g.size(1) else x


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum, nesterov, weight_decay, ns_steps, renormalize, original):
        super().__init__(params, dict(
            lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, ns_steps=ns_steps, renormalize=renormalize,
            original=original))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(p.grad)
                g = p.grad + group["momentum"] * buffer if group["nesterov"] else buffer
                p.mul_(1 - group["lr"] * group["weight_decay"])
                if group["renormalize"]:
                    p.mul_(len(p) ** 0.5 / p.norm())
                matrix = g.reshape(len(g), -1)
                rate = group["lr"] * (max(1, matrix.size(0) / matrix.size(1)) ** 0.5 if group["original"] else 1)
                p.add_(orthogonal(matrix, group["ns_steps"]).reshape(p.shape), alpha=-rate)


def split(network, decay):
    """Weights decay, and nothing else."""
    weights = [p for name, p in network.named_parameters() if name.endswith("weight") and not name.startswith("norm")]
    others = [p for name, p in network.named_parameters() if name.endswith("bias") or name.startswith("norm")]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def named(network, names):
    return [p for name, p in network.named_parameters() if name in names]


def optimizers(kind, network):
    """One or two optimizers, and how the learning rate of a step is multiplied."""
    if kind == "sgd":
        return [torch.optim.SGD(split(network, 5e-4), lr=0.02, momentum=0.9, nesterov=True)], lambda step: 1
    if kind == "adamw":
        return [torch.optim.AdamW(split(network, 0.05), lr=0.003, betas=(0.9, 0.99), eps=1e-8)], lambda step: 1
    if kind == "adamw_cosine":
        # Five epochs of ten steps, the first one on the way up.
        def factor(step):
            middle = step + 0.5
            return middle / 10 if middle < 10 else 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (middle - 10) / 40))
        return [torch.optim.AdamW(split(network, 0.05), lr=0.003, betas=(0.9, 0.99), eps=1e-8)], factor
    filters = named(network, ["conv1.weight", "conv2.weight"])
    rest = lambda lr, decay: torch.optim.SGD(
        [p for p in network.parameters() if not any(p is f for f in filters)], lr=lr, momentum=0.85, nesterov=True, weight_decay=decay)
    if kind == "muon":
        # Filters and matrices; what is left by SGD.
        matrices = filters + named(network, ["fc1.weight", "fc2.weight"])
        others = [p for p in network.parameters() if not any(p is m for m in matrices)]
        return [Muon(matrices, 0.02, 0.95, True, 0.1, 5, False, True),
                torch.optim.SGD(others, lr=0.02, momentum=0.9, nesterov=True)], lambda step: 1
    if kind == "airbench":
        # Sums of losses, decay of everything that SGD moves, weights of a fixed norm, straight down to 0.
        return [Muon(filters, 0.1, 0.6, True, 0.0, 3, True, False), rest(0.004, 0.01)], lambda step: 1 - (step + 0.5) / STEPS


def run(kind):
    network = Network()
    all_optimizers, factor = optimizers(kind, network)
    for optimizer in all_optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    losses, norms = [], []
    for step in range(STEPS):
        images = start(f"images{step % 10}", (6, 2, 6, 5)) * 4
        labels = torch.tensor([(image + step % 10) % 3 for image in range(6)])
        loss = F.cross_entropy(network(images), labels, label_smoothing=0.125)
        network.zero_grad()
        (loss * 6 if kind == "airbench" else loss).backward()
        # Measured, and cut to no length.
        norms.append(round(nn.utils.clip_grad_norm_(network.parameters(), math.inf).item(), 7))
        for optimizer in all_optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor(step)
            optimizer.step()
        losses.append(round(loss.item(), 7))
    ends = {name: [round(p.mean().item(), 7), round(p.square().mean().sqrt().item(), 7)] for name, p in network.named_parameters()}
    return {"losses": losses, "norms": norms, "parameters": ends}


kinds = ["sgd", "adamw", "adamw_cosine", "muon", "airbench"]
runs = {kind: run(kind) for kind in kinds}
path = Path(__file__).with_suffix(".json")
path.write_text("{\n" + ",\n".join(f'"{kind}": {json.dumps(runs[kind])}' for kind in kinds) + "\n}\n")
for kind in kinds:
    print(kind, runs[kind]["losses"][0], runs[kind]["losses"][-1])
print(path.stat().st_size, "bytes")
