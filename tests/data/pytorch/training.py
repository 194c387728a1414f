"""Writes training.safetensors: what PyTorch makes of a small network in four steps of training.

    python tests/data/pytorch/training.py

Written with torch 2.15.0 (CPU), in f64, and stored as f32: the state dict after the last step, the momenta of the trained
parameters (`momentum.` before the name), and the losses. Weights decay where Convscope lets them: in convolutions and matrices, not
in biases and batch norm. What it starts from is a formula, so that both sides can write it down.
"""

import json
import struct
from pathlib import Path

import torch
from torch import nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def start(name, shape):
    """The nearest f32 of a number between -0.5 and 0.5 that depends on the name and the place."""
    number = torch.arange(torch.Size(shape).numel()) * 7919 + 13 * sum(name.encode())
    return ((number % 1013) / 1013 - 0.5).float().double().reshape(shape)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 17, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(17, momentum=0.25)
        self.conv2 = nn.Conv2d(17, 16, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16, 16, 3, stride=2, groups=16)
        self.fc1 = nn.Linear(64, 5)
        self.fc2 = nn.Linear(5, 3)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.silu(self.norm2(self.conv2(x)))
        x = self.conv3(x).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


network = Network()
for name, value in network.state_dict().items():
    if name.endswith("running_var"):
        value.fill_(1)
    elif name.endswith("running_mean"):
        value.fill_(0)
    elif name.startswith("norm") and name.endswith("weight"):
        value.copy_(start(name, value.shape) + 1)
    elif value.is_floating_point():
        value.copy_(start(name, value.shape) * 0.5)
decays = lambda name: name.endswith("weight") and not name.startswith("norm")
groups = [
    {"params": [p for name, p in network.named_parameters() if decays(name)], "weight_decay": 0.125},
    {"params": [p for name, p in network.named_parameters() if not decays(name)], "weight_decay": 0.0},
]
sgd = torch.optim.SGD(groups, lr=0.0625, momentum=0.75, nesterov=True)
losses = []
for step in range(4):
    images = start(f"images{step}", (3, 2, 5, 6)) * 4
    labels = torch.tensor([step % 3, 2, (step + 1) % 3])
    loss = F.cross_entropy(network(images), labels, label_smoothing=0.125)
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    losses.append(loss.detach())

tensors = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
tensors |= {f"momentum.{name}": sgd.state[p]["momentum_buffer"] for name, p in network.named_parameters()}
tensors["losses"] = torch.stack(losses)
header, body = {}, b""
for name, value in tensors.items():
    values = value.detach().contiguous().numpy().astype("<f4").tobytes()
    header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(values)]}
    body += values
header = json.dumps(header).encode()
header += b" " * (-len(header) % 8)
path = Path(__file__).with_suffix(".safetensors")
path.write_bytes(struct.pack("<Q", len(header)) + header + body)
print(f"{len(tensors)} tensors, {path.stat().st_size} bytes, losses {losses}")
