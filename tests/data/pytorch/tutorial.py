"""Expected values of the import tests, computed by PyTorch.

    python tests/data/pytorch/tutorial.py        # needs torch; writes the files beside it

tutorial.safetensors
    The tutorial's network is 16.8 MB: too much to keep here. Its weights come from a formula that this script and
    tests/it/import.rs both compute to the bit, `value()` below. Kept are fc4's bias, PyTorch's probabilities for the 200
    images of ../cifar-10-batches-bin/test_batch.bin (pixels / 255, in evaluation mode) and conv1's output for the horse
    (image 7 of data_batch_1.bin). A network of random weights gives nearly every image the same class, because all images
    share their mean; fc4's bias is minus the mean score over the 200 images and the weights are scaled so that scores
    differ by about 3 between images. The script fails unless at least 8 classes are the most probable one somewhere and the
    largest probabilities spread from below 0.4 to above 0.9.

*.pth
    A small network (conv, batch norm, linear), saved as people save theirs; small.safetensors has the same tensors, as
    another program would write them, and `probabilities` is PyTorch's answer to `input`.
"""

import json
import pathlib
import struct

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
CIFAR = HERE.parent / "cifar-10-batches-bin"


def value(seed, count, bound):
    """`count` numbers in [-bound, bound): the upper 24 bits of SplitMix64's mix of seed · 2^32 + index."""
    with np.errstate(over="ignore"):
        z = (np.uint64(seed) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return unit * np.float32(bound)


class Tutorial(nn.Module):
    """The layers of "Building a Convolutional Neural Network in PyTorch"."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, stride=1, padding=1)
        self.act1 = nn.ReLU()
        self.drop1 = nn.Dropout(0.3)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3, stride=1, padding=1)
        self.act2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flat = nn.Flatten()
        self.fc3 = nn.Linear(8192, 512)
        self.act3 = nn.ReLU()
        self.drop3 = nn.Dropout(0.5)
        self.fc4 = nn.Linear(512, 10)

    def forward(self, x):
        x = self.pool2(self.act2(self.conv2(self.drop1(self.act1(self.conv1(x))))))
        return self.fc4(self.drop3(self.act3(self.fc3(self.flat(x)))))


# Name, seed, bound: also in tests/it/import.rs.
FORMULA = [
    ("conv1.weight", 1, 0.5),
    ("conv1.bias", 2, 0.1),
    ("conv2.weight", 3, 0.15),
    ("conv2.bias", 4, 0.1),
    ("fc3.weight", 5, 0.04),
    ("fc3.bias", 6, 0.1),
    ("fc4.weight", 7, 0.5),
]


def images(path, wanted):
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)[wanted, 1:]
    return torch.from_numpy(records.reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255))


def write_safetensors(path, tensors):
    """Tensors by name, as any program may write them: no metadata, in the order given."""
    kinds = {"float32": "F32", "int64": "I64"}
    header, data = {}, b""
    for name, tensor in tensors.items():
        array = tensor.detach().contiguous().numpy()
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def tutorial():
    net = Tutorial().eval()
    state = net.state_dict()
    for name, seed, bound in FORMULA:
        state[name].copy_(torch.from_numpy(value(seed, state[name].numel(), bound)).reshape(state[name].shape))
    test = images(CIFAR / "test_batch.bin", slice(0, 200))
    horse = images(CIFAR / "data_batch_1.bin", slice(7, 8))
    with torch.no_grad():
        state["fc4.bias"].zero_()
        state["fc4.bias"].copy_(-net(test).mean(0))
        scores = net(test)
        probabilities = scores.softmax(1)
        conv1 = net.conv1(horse)[0]
    best, classes = probabilities.max(1).values, probabilities.argmax(1)
    print("scores' deviation", scores.std().item(), "classes", classes.bincount(minlength=10).tolist())
    print("largest probability", best.min().item(), "to", best.max().item())
    assert len(classes.unique()) >= 8 and best.min() < 0.4 and best.max() > 0.9
    kept = {"fc4.bias": state["fc4.bias"], "probabilities": probabilities, "conv1": conv1}
    write_safetensors(HERE / "tutorial.safetensors", kept)


class Small(nn.Module):
    """small.toml, in PyTorch."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        return self.fc(self.bn1(self.conv1(x)).relu().flatten(1))


def save(name, content, **options):
    torch.save(content, HERE / name, **options)


def small():
    torch.manual_seed(7)
    net = Small()
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(8, 3, 4, 4))
        net.bn1.weight.uniform_(0.5, 1.5)
        net.bn1.bias.uniform_(-0.5, 0.5)
    net.eval()
    state = net.state_dict()
    # The bound gives some spread to the three classes.
    given = torch.rand(5, 3, 4, 4)
    with torch.no_grad():
        state["fc.weight"].mul_(4)
        probabilities = net(given).softmax(1)
    write_safetensors(HERE / "small.safetensors", dict(reversed(state.items())))
    write_safetensors(HERE / "small-expected.safetensors", {"input": given, "probabilities": probabilities})

    save("plain.pth", state)
    save("parameters.pth", {name: nn.Parameter(t) if t.is_floating_point() else t for name, t in state.items()})
    save("channels-last.pth", {n: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for n, t in state.items()})
    # A transposed matrix, and views with an offset into one shared storage.
    shared = torch.cat([state["fc.bias"], state["conv1.bias"]])
    views = {"fc.weight": state["fc.weight"].t().contiguous().t(), "fc.bias": shared[:3], "conv1.bias": shared[3:]}
    save("views.pth", {**state, **views})
    save("data-parallel.pth", nn.DataParallel(net).state_dict())
    save("compiled.pth", {f"module._orig_mod.{name}": t for name, t in state.items()})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    save("nested.pth", {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict(), "best": 0.5})
    save("net.pth", {"net": state, "acc": 91.25, "epoch": 7})
    save("half.pth", {name: t.half() if t.is_floating_point() else t for name, t in state.items()})
    save("double.pth", {name: t.double() if t.is_floating_point() else t for name, t in state.items()})
    save("integers.pth", {**state, "fc.weight": (state["fc.weight"] * 100).to(torch.int8), "extra": torch.zeros(2)})
    save("legacy.pth", state, _use_new_zipfile_serialization=False)
    save("protocol-4.pth", state, pickle_protocol=4)
    save("whole-model.pth", net)
    save("no-tensors.pth", {"epoch": 3, "args": {"lr": 0.1}})
    torch.jit.save(torch.jit.script(net), HERE / "script.pth")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("torch", torch.__version__)
    tutorial()
    small()
