"""ResNet-20 (CIFAR, projection shortcuts) and ResNet-18 (224×224) as architecture files, and what PyTorch makes of them.

    python tests/data/networks/resnet.py         # needs torch and numpy

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv 1512.03385; ResNet-20 with option B's projections.
Weights and images come from a formula that this script and tests/it/networks.rs both compute to the bit (`value()` of
../pytorch/tutorial.py): too many to be kept. PyTorch computes in f64. resnet.json has, for each network, the scores of two images
in evaluation mode, the loss of one training step on them, and of each parameter's momentum after it (gradient and decay), and of
each running statistic, the root mean square and three of its numbers.
"""

import importlib.util
import json
import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("tutorial", HERE.parent / "pytorch" / "tutorial.py")
tutorial = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tutorial)
value = tutorial.value

LABELS = [1, 0]
# ResNet-20 comes with the program.
FILES = {"resnet20": HERE.parents[2] / "src" / "network" / "architecture" / "presets", "resnet18": HERE}
ABOUT = {
    "resnet20": "# ResNet-20 of He, Zhang, Ren and Sun (arXiv 1512.03385), its two wider stages entered by a 1×1 projection (their option B).\n",
    "resnet18": "",
}


class Block(nn.Module):
    def __init__(self, name, inputs, outputs, stride):
        super().__init__()
        self.label = name
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.conv3 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.bn3(self.conv3(x)) if self.projects else x))


class ResNet(nn.Module):
    def __init__(self, stem, widths, blocks, classes):
        super().__init__()
        kernel, stride, padding, pooled = stem
        self.stem = nn.Conv2d(3, widths[0], kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1) if pooled else nn.Identity()
        self.blocks = nn.ModuleList()
        inputs = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                self.blocks.append(Block(f"s{stage + 1}b{block + 1}", inputs, width, stride))
                inputs = width
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn(self.stem(x))))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def conv(name, module, source=None):
    kernel, stride, padding = module.kernel_size[0], module.stride[0], module.padding[0]
    window = f", stride = {stride}" * (stride != 1) + f", padding = {padding}" * (padding != 0)
    source = f", from = '{source}'" if source else ""
    return f"{{ name = '{name}', kind = 'conv2d', out_channels = {module.out_channels}, kernel_size = {kernel}{window}, bias = false{source} }}"


def layers(network):
    """The layer list, and for each parameter of it the one of `network`."""
    lines, pairs = [], []

    def add(line, name=None, module=None):
        lines.append(line)
        if module is not None:
            pairs.append((name, module))

    add(conv("conv1", network.stem), "conv1", network.stem)
    add("{ name = 'bn1', kind = 'batch_norm2d' }", "bn1", network.bn)
    add("{ name = 'act1', kind = 'relu' }")
    last = "act1"
    if isinstance(network.pool, nn.MaxPool2d):
        add("{ name = 'pool1', kind = 'max_pool2d', kernel_size = 3, stride = 2, padding = 1 }")
        last = "pool1"
    for block in network.blocks:
        at = block.label
        for i, (c, n) in enumerate([(block.conv1, block.bn1), (block.conv2, block.bn2)], 1):
            # The second convolution of all: every network that comes with the program has layers `conv1` and `conv2`.
            second = at == "s1b1" and i == 1
            c_name, n_name = ("conv2", "bn2") if second else (f"{at}.conv{i}", f"{at}.bn{i}")
            add(conv(c_name, c), c_name, c)
            add(f"{{ name = '{n_name}', kind = 'batch_norm2d' }}", n_name, n)
            if i == 1:
                add(f"{{ name = '{at}.act1', kind = 'relu' }}")
        shortcut = last
        if block.projects:
            add(conv(f"{at}.conv3", block.conv3, last), f"{at}.conv3", block.conv3)
            add(f"{{ name = '{at}.bn3', kind = 'batch_norm2d' }}", f"{at}.bn3", block.bn3)
            shortcut = f"{at}.bn2"
        add(f"{{ name = '{at}.add', kind = 'add', from = '{shortcut}' }}")
        add(f"{{ name = '{at}.act2', kind = 'relu' }}")
        last = f"{at}.act2"
    add("{ name = 'mean', kind = 'adaptive_avg_pool2d', output_size = 1 }")
    add("{ name = 'flat', kind = 'flatten' }")
    add(f"{{ name = 'fc', kind = 'linear', out_features = {network.fc.out_features} }}", "fc", network.fc)
    return lines, pairs


def fill(pairs):
    """Gives every parameter its numbers, in the list's order."""
    named = []
    for name, module in pairs:
        keys = ["weight", "bias", "running_mean", "running_var"] if isinstance(module, nn.BatchNorm2d) else ["weight", "bias"]
        for key in keys:
            tensor = getattr(module, key, None)
            if tensor is None:
                continue
            seed, count = len(named) + 1, tensor.numel()
            if isinstance(module, nn.BatchNorm2d):
                base, bound = {"weight": (1, 0.25), "bias": (0, 0.125), "running_mean": (0, 0.125), "running_var": (1, 0.25)}[key]
            else:
                base, bound = 0, np.float32(np.sqrt(3 / (count // tensor.shape[0]))) if key == "weight" else 0.125
            numbers = np.float32(base) + value(seed, count, bound)
            with torch.no_grad():
                tensor.copy_(torch.tensor(numbers.astype(np.float64)).reshape(tensor.shape))
            named.append((f"{name}.{key}", tensor, module, key))
    return named


def summary(tensor):
    flat = tensor.detach().flatten()
    return [float(flat.square().mean().sqrt()), float(flat[0]), float(flat[len(flat) // 2]), float(flat[-1])]


def main():
    torch.set_default_dtype(torch.float64)
    networks = {
        "resnet20": (ResNet((3, 1, 1, False), [16, 32, 64], 3, 10), 32),
        "resnet18": (ResNet((7, 2, 3, True), [64, 128, 256, 512], 2, 10), 224),
    }
    expected = {}
    for name, (network, side) in networks.items():
        lines, pairs = layers(network)
        head = f'name = "{name}"\ninput = {{ channels = 3, height = {side}, width = {side} }}\nlayers = [\n'
        (FILES[name] / f"{name}.toml").write_text(ABOUT[name] + head + "".join(f"    {line},\n" for line in lines) + "]\n")
        named = fill(pairs)
        images = torch.tensor(value(1000, 2 * 3 * side * side, 1.0).astype(np.float64)).reshape(2, 3, side, side)
        network.eval()
        with torch.no_grad():
            scores = network(images)
        network.train()
        loss = nn.functional.cross_entropy(network(images), torch.tensor(LABELS))
        loss.backward()
        entry = {"scores": scores.flatten().tolist(), "loss": float(loss), "momentum": {}, "running": {}}
        for key, tensor, module, kind in named:
            if kind.startswith("running"):
                entry["running"][key] = summary(tensor)
            else:
                decay = 5e-4 if kind == "weight" and not isinstance(module, nn.BatchNorm2d) else 0
                entry["momentum"][key] = summary(tensor.grad + decay * tensor)
        expected[name] = entry
    (HERE / "resnet.json").write_text(json.dumps(expected, indent=0) + "\n")


if __name__ == "__main__":
    main()
