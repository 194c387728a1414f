"""A model in PyTorch: forward and training step in every setting that could be its best here."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from model import step


class Setting(NamedTuple):
    name: str
    channels_last: bool
    bf16: bool


# torch.compile was slower than eager in training and is left out. Every optimizer is the fused one.
SETTINGS = [
    Setting("PyTorch f32, plain", False, False),
    Setting("PyTorch f32, channels-last", True, False),
    Setting("PyTorch bf16, channels-last", True, True),
]


class Network(nn.Module):
    def __init__(self, model, setting, dropout=True):
        super().__init__()
        self.read, self.setting = model.read, setting
        self.kept = {source for inputs in model.read for source in inputs[1:]}
        self.layers = nn.ModuleList(module(model, at, dropout) for at in range(len(model.layers)))
        for at, layer in enumerate(self.layers):
            own = {name: torch.from_numpy(value) for name, value in model.parameters_of(at).items()}
            missing, unexpected = layer.load_state_dict(own, strict=False)
            wrong = [name for name in missing if name != "num_batches_tracked"] + unexpected
            assert not wrong, f"layer {model.layers[at]['name']}: {wrong} do not fit"
        if setting.channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, x):
        kept = {-1: x}
        for at, layer in enumerate(self.layers):
            x = layer(x, *(kept[source] for source in self.read[at][1:]))
            if at in self.kept:
                kept[at] = x
        return x

    def images(self, images):
        x = torch.from_numpy(images)
        return x.to(memory_format=torch.channels_last) if self.setting.channels_last else x


class Add(nn.Module):
    def forward(self, x, earlier):
        return x + earlier


def module(model, at, dropout):
    layer, (channels, *_) = model.layers[at], model.input_of(at)
    kind, side, padding = layer["kind"], layer.get("kernel_size"), layer.get("padding", 0)
    if kind == "conv2d":
        more = {"groups": layer.get("groups", 1), "bias": layer.get("bias", True)}
        return nn.Conv2d(channels, layer["out_channels"], side, step(layer), padding, **more)
    if kind == "batch_norm2d":
        return nn.BatchNorm2d(channels, layer.get("eps", 1e-5), layer.get("momentum", 0.1))
    if kind == "max_pool2d":
        return nn.MaxPool2d(side, step(layer), padding)
    if kind == "avg_pool2d":
        return nn.AvgPool2d(side, step(layer), padding)
    if kind == "adaptive_avg_pool2d":
        return nn.AdaptiveAvgPool2d(layer["output_size"])
    if kind == "linear":
        return nn.Linear(channels, layer["out_features"], layer.get("bias", True))
    if kind == "dropout":
        return nn.Dropout(layer.get("p", 0.5) if dropout else 0.0)
    plain = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "flatten": nn.Flatten, "add": Add}
    if kind not in plain:
        raise SystemExit(f"layer {layer['name']}: benches/in_torch.py does not know the kind {kind}")
    return plain[kind]()


def forward(model, setting, images):
    """A call gives the probabilities of these images."""
    network = Network(model, setting).eval()
    x = network.images(images)
    if setting.bf16:  # quicker than autocast, which casts the weights in every call
        network, x = network.to(torch.bfloat16), x.to(torch.bfloat16)

    @torch.inference_mode()
    def once():
        return F.softmax(network(x).float(), dim=1).numpy()

    return once


def training(model, setting, images, labels, learning_rate=1e-6, dropout=True):
    """A call makes one step, as `convscope bench --train` does, and gives the loss before it."""
    network = Network(model, setting, dropout).train()
    x, labels = network.images(images), torch.from_numpy(labels)
    weights = [p for name, p in network.named_parameters() if p.dim() > 1]
    others = [p for name, p in network.named_parameters() if p.dim() == 1]
    groups = [{"params": weights, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.SGD(groups, learning_rate, momentum=0.9, nesterov=True, fused=True)

    def once():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=setting.bf16):
            loss = F.cross_entropy(network(x), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        return loss.item()

    return once


def sgemm_gflops(side=2048, repeats=12):
    """The quickest of a few products of large square matrices: what f32 FMA reaches here at least, in GFLOP/s."""
    from time import perf_counter

    a, b = torch.rand(side, side), torch.rand(side, side)
    times = []
    for _ in range(repeats):
        start = perf_counter()
        torch.mm(a, b)
        times.append(perf_counter() - start)
    return 2 * side**3 / min(times) / 1e9
