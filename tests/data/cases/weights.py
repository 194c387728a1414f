"""Writes weights/: checkpoints as people save and download them, for tests/it/weights.rs.

    python tests/data/cases/weights.py        # needs torch and numpy; written with torch 2.15.0 (CPU)

Each file holds the same network (weights/tiny.toml), in another company or another wrapping. What was saved is plain.pth:
whatever else can be imported must give that file's bytes.
"""

import argparse
import collections
import pathlib
import zipfile

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent / "weights"


class Tiny(nn.Module):
    """tiny.toml, in PyTorch."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2, kernel_size=3)
        self.bn1 = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2 * 2 * 2, 3)


class EasyDict(dict):
    pass


class Meter:
    """What a training script keeps; its class is known to that script alone."""

    def __init__(self):
        self.history, self.best = collections.deque([0.5, 0.25], maxlen=9), np.float64(0.5)


def save(name, content, **options):
    torch.save(content, HERE / name, **options)


def plain_of(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def prefixed(state, prefix):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


torch.manual_seed(11)
net = Tiny()
with torch.no_grad():
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            # Numbers that bfloat16 holds, so that no precision changes them.
            tensor.copy_((torch.rand_like(tensor) * 16 + 1).round() / 8)
before = plain_of(net.state_dict())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net.fc(torch.rand(1, 8)).sum().backward()
optimizer.step()
net.load_state_dict(before)
state = net.state_dict()
save("plain.pth", state)

# Tensors beside the state dict: a metric, a generator's state, an optimizer's momenta.
save(
    "stray-tensors.pth",
    {
        "epoch": 3,
        "best_acc1": torch.tensor(71.5),
        "rng_state": torch.get_rng_state(),
        "optimizer": optimizer.state_dict(),
        "state_dict": prefixed(state, "module."),
    },
)
# Under keys of their own.
save("under-network.pth", {"network": state, "acc": 93.1})
save("two-levels.pth", {"trainer": {"step": 7, "weights": state}, "config": {"lr": 0.1}})
save("in-a-list.pth", [3, state])
save("in-a-dict-subclass.pth", EasyDict(model_state_dict=EasyDict(state), lr=0.1))
save("in-a-namespace.pth", {"args": argparse.Namespace(lr=0.1), "ckpt": argparse.Namespace(weights=state)})
# Prefixes.
save("prefix-model.pth", {"state_dict": prefixed(state, "model.")})
save("prefix-three.pth", prefixed(state, "_orig_mod.module.backbone."))
# Two dicts that fit: the network and its average; and one dict twice.
average = {name: tensor + 1 for name, tensor in state.items()}
save("average-beside.pth", {"model": state, "ema": average})
save("same-dict-twice.pth", {"model": state, "state_dict": state})
averaged = torch.optim.swa_utils.AveragedModel(net)
save("swa.pth", averaged.state_dict())
# Harmless neighbours.
save(
    "neighbours.pth",
    {
        "state_dict": state,
        "seed": 2**63 + 5,
        "uuid": 2**127 + 3,
        "negative": -(2**80),
        "args": argparse.Namespace(lr=0.1, layers=[1, 2]),
        "losses": collections.deque([1.5, 0.5], maxlen=10),
        "seen": {1, 2, 3},
        "kept": frozenset({"a"}),
        "path": pathlib.PurePosixPath("runs/1"),
        "numpy": np.random.RandomState(3).get_state(legacy=False)["state"]["pos"],
        "array": np.arange(6.0).reshape(2, 3),
        "float": np.float32(0.5),
        "generator": np.random.default_rng(3),
        "python": (3, tuple(range(40)), None),
        "counts": collections.Counter("abca"),
        "groups": collections.defaultdict(list, {"a": [1]}),
        "meter": Meter(),
        "bytes": b"\x00\xff" * 200,
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "size": torch.Size([2, 3]),
        "complex": 1 + 2j,
        "slice": slice(1, 2),
        "text": "Größe \U0001f600 \ud800",
        "function": torch.nn.functional.relu,
        "class": Meter,
        "sparse": torch.eye(2).to_sparse(),
    },
)
dressed = collections.OrderedDict(state)
dressed.remark = "an OrderedDict with attributes"
dressed["epoch"], dressed["note"] = 3, "beside the tensors"
save("among-the-tensors.pth", dressed)
for protocol in (3, 4, 5):
    save(f"protocol-{protocol}.pth", {"epoch": 3, "seen": {1}, "bytes": b"abc", "state_dict": state}, pickle_protocol=protocol)
# Parameters, views, number types.
save("parameters.pth", dict(net.named_parameters()) | dict(net.named_buffers()))
tagged = nn.Parameter(state["fc.bias"].clone())
tagged.tag = "with a state of its own"
save("parameter-with-state.pth", {**state, "fc.bias": tagged})
one = torch.cat([tensor.flatten() for tensor in state.values() if tensor.is_floating_point()])
views, at = {}, 0
for name, tensor in state.items():
    if tensor.is_floating_point():
        views[name] = one[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
save("one-storage.pth", views)
save("transposed.pth", {**state, "fc.weight": state["fc.weight"].t().contiguous().t()})
save("expanded.pth", {**state, "bn1.running_mean": torch.tensor(0.5).expand(2)})
save("bfloat16.pth", {name: t.bfloat16() if t.is_floating_point() else t for name, t in state.items()})
save("float16.pth", {name: t.half() if t.is_floating_point() else t for name, t in state.items()})
save("float64.pth", {name: t.double() if t.is_floating_point() else t for name, t in state.items()})
# What is no weights.
save("nan.pth", {**state, "bn1.running_var": torch.tensor([1.0, float("nan")])})
save("infinite.pth", {"net": {**state, "fc.bias": torch.tensor([1.0, float("-inf"), 0.0])}})
save("float64-too-large.pth", {**state, "fc.bias": torch.tensor([1.0, 1e300, 0.0], dtype=torch.float64)})
save("integers.pth", {**state, "fc.weight": state["fc.weight"].to(torch.int8)})
save("float8.pth", {**state, "fc.weight": state["fc.weight"].to(torch.float8_e4m3fn)})
save("sparse.pth", {**state, "fc.weight": state["fc.weight"].to_sparse()})
save("numpy-arrays.pth", {name: tensor.numpy() for name, tensor in state.items()})
save("whole-model.pth", {"epoch": 3, "model": net})
save("legacy.pth", state, _use_new_zipfile_serialization=False)
save("no-tensors.pth", {"epoch": 3, "args": {"lr": 0.1}})
# The archive's folder is the file's stem: short, the length at which readers that guess are wrong, long.
for stem in ("a", "resnet18_cifar10_best", "a-name-longer-than-sixty-four-characters-which-moves-every-record-of-it"):
    save(f"{stem}.pth", state)
# Packed again by another program: other order, no zip64 records, no alignment.
with zipfile.ZipFile(HERE / "plain.pth") as written, zipfile.ZipFile(HERE / "packed-again.pth", "w") as again:
    for info in reversed(written.infolist()):
        again.writestr(info.filename, written.read(info))
with zipfile.ZipFile(HERE / "plain.pth") as written, zipfile.ZipFile(HERE / "compressed.pth", "w", zipfile.ZIP_DEFLATED) as again:
    for info in written.infolist():
        again.writestr(info.filename, written.read(info))
with zipfile.ZipFile(HERE / "downloaded.pth", "w") as folder:
    folder.write(HERE / "plain.pth", "weights/plain.pth")
