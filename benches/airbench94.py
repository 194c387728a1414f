#!/usr/bin/env python3
"""airbench94's protocol here and in PyTorch, an epoch each, in turns: how long 50,000 images take on this machine.

    cargo build --release
    python benches/airbench94.py models/speedrun.safetensors --data data/datasets/cifar-10-batches-bin [--rounds 2]

Ours is `convscope train --recipe benches/airbench94.toml --epochs 1`, by the rate of its `epoch` event; PyTorch's does the same to the
same network: images flipped and cropped, 25 steps of 2,000, Muon on filters (Keller Jordan, kellerjordan.github.io/posts/muon), SGD on
the rest. Neither is charged for reading the data or for the evaluation. Of PyTorch's memory layouts the better one by two steps counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch.nn import functional as F

from in_torch import SETTINGS, Network
from model import RECORD, Model

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "benches/airbench94.toml"
BATCH, PADDING, SMOOTHING = 2000, 2, 0.2
BIAS_RATE, HEAD_RATE, MUON_RATE, DECAY = 0.053, 0.67, 0.24, 2e-6 * BATCH
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum's step, made orthogonal by three Newton–Schulz iterations; filters keep the norm they had at the start of a step."""

    def __init__(self, filters, rate, momentum=0.6):
        super().__init__(filters, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for filters in group["params"]:
                kept = self.state[filters].setdefault("momentum", torch.zeros_like(filters))
                kept.mul_(group["momentum"]).add_(filters.grad)
                step = filters.grad.add(kept, alpha=group["momentum"])
                filters.mul_(len(filters) ** 0.5 / filters.norm())
                filters.add_(orthogonal(step.reshape(len(step), -1)).reshape(step.shape), alpha=-group["lr"])


def orthogonal(matrix, iterations=3):
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.norm() + 1e-7)
    wide = len(x) <= x.shape[1]
    x = x if wide else x.T
    for _ in range(iterations):
        product = x @ x.T
        x = a * x + (b * product + c * product @ product) @ x
    return x if wide else x.T


def optimizers(network, names):
    """Muon for the filters of 3 × 3, SGD for shifts and the last layer; scales and the whitening filters are left as they are."""
    filters, shifts, head = [], [], []
    for name, layer in zip(names, network.layers):
        for kind, parameter in layer.named_parameters():
            if isinstance(layer, torch.nn.BatchNorm2d) and kind == "weight" or name == "whiten" and kind == "weight":
                parameter.requires_grad = False
            elif kind == "bias":
                shifts.append(parameter)
            else:
                (head if name == "head" else filters).append(parameter)
    groups = [(shifts, BIAS_RATE), (head, HEAD_RATE)]
    rest = [{"params": params, "lr": rate, "weight_decay": DECAY / rate} for params, rate in groups]
    return Muon(filters, MUON_RATE), torch.optim.SGD(rest, momentum=0.85, nesterov=True, fused=True)


def augmented(images, random):
    """Half of them mirrored, each shifted by up to two pixels with its border mirrored outwards."""
    padded = F.pad(images, (PADDING,) * 4, "reflect")
    side, places = images.shape[-1], range(2 * PADDING + 1)
    given = torch.empty_like(images)
    rows, columns = (torch.from_numpy(random.integers(0, len(places), len(images))) for _ in range(2))
    for row in places:
        for column in places:
            chosen = (rows == row) & (columns == column)
            given[chosen] = padded[chosen, :, row : row + side, column : column + side]
    mirrored = torch.from_numpy(random.random(len(images)) < 0.5)
    return torch.where(mirrored.view(-1, 1, 1, 1), given.flip(-1), given)


def epoch(model, setting, images, labels, steps=None):
    """Images a second over an epoch, or its first `steps`, from freshly loaded weights."""
    network = Network(model, setting).train()
    parts, random = optimizers(network, [layer["name"] for layer in model.layers]), np.random.default_rng(0)
    before = perf_counter()
    order = torch.from_numpy(random.permutation(len(images)))
    steps = steps or len(images) // BATCH
    scale = 1 / model.shapes[-2][0]  # airbench divides the scores by the last layer's width
    for at in range(steps):
        chosen = order[at * BATCH : (at + 1) * BATCH]
        x = augmented(images[chosen], random)
        x = x.to(memory_format=torch.channels_last) if setting.channels_last else x
        with torch.autocast("cpu", torch.bfloat16, enabled=setting.bf16):
            scores = network(x)
        F.cross_entropy(scores.float() * scale, labels[chosen], label_smoothing=SMOOTHING, reduction="sum").backward()
        for part in parts:
            part.step()
            part.zero_grad(set_to_none=True)
    return steps * BATCH / (perf_counter() - before)


def ours(program, data):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", "--arch", "speedrun", "--recipe", RECIPE, "--epochs", "1", "--data", data, "--events", "jsonl"]
        done = subprocess.run([*command, "--out", f"{folder}/one.safetensors"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    rates = [event["data"]["images_per_second"] for event in events if event["event"] == "epoch"]
    if done.returncode or not rates:
        raise SystemExit(done.stderr.strip() or "the run ended without an epoch")
    return rates[-1]


def training_images(model, folder):
    records = np.concatenate([np.fromfile(folder / f"data_batch_{n}.bin", np.uint8).reshape(-1, RECORD) for n in range(1, 6)])
    mean, std = (np.float32(model.preprocessing[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    pixels = (records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(pixels), torch.from_numpy(records[:, 0].astype(np.int64))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model file of the network speedrun: its layers, and weights to begin with")
    parser.add_argument("--data", type=Path, required=True, help="the folder of CIFAR-10's binary files")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--convscope", default=ROOT / "target/release/convscope")
    given = parser.parse_args()
    model = Model(given.model)
    images, labels = training_images(model, given.data)
    best = {}
    for setting in SETTINGS:
        rate = max(epoch(model, setting, images, labels, 2) for _ in range(2))
        print(f"{setting.name}: {rate:.0f} images/s by two steps", file=sys.stderr)
        if rate > best.get(setting.bf16, (0, None))[0]:
            best[setting.bf16] = (rate, setting)
    for round in range(given.rounds):
        own = ours(given.convscope, given.data)
        print(f"round {round + 1}: Convscope {own:.0f} images/s, {50_000 / own:.1f} s an epoch", flush=True)
        for _, setting in best.values():
            rate = epoch(model, setting, images, labels)
            print(f"round {round + 1}: {setting.name} {rate:.0f} images/s, {50_000 / rate:.1f} s an epoch; ours takes × {rate / own:.2f} of that", flush=True)


if __name__ == "__main__":
    main()
