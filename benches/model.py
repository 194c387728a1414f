"""A model file of Convscope as others need it: its layer list, shapes, parameters, and images as it takes them.

Reads the file by hand (safetensors: 8 bytes of length, a JSON header, plain tensors), so that nothing of Convscope's own code
stands between the peers and the numbers.
"""

import json
import struct
from math import prod
from pathlib import Path

import numpy as np

DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
RECORD = 1 + 3 * 32 * 32  # CIFAR-10, binary: a label, then red, green and blue planes


class Model:
    """`layers` is the architecture's list; `shapes` has each layer's output, `read` the positions of its inputs (-1: the image)."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            header, data = split(self.path.read_bytes())
            metadata = json.loads(header.pop("__metadata__")["convscope"])
        except (OSError, KeyError, ValueError, struct.error) as error:
            raise SystemExit(f"{path} is not a model of Convscope ({error!r}); `convscope train` and `convscope import` write them")
        self.architecture, self.preprocessing = metadata["architecture"], metadata["preprocessing"]
        self.name, self.layers = self.path.stem, self.architecture["layers"]
        self.parameters = {name: tensor(entry, data) for name, entry in header.items()}
        self.input = tuple(self.architecture["input"][side] for side in ("channels", "height", "width"))
        self.read, self.shapes, self.flop = [], [], 0
        for at, layer in enumerate(self.layers):
            inputs = [at - 1] + ([self.position(layer["from"])] if layer["kind"] == "add" else [])
            x = self.shapes[at - 1] if at else self.input
            y = output(layer, x)
            self.read.append(inputs)
            self.shapes.append(y)
            # Two for each multiplication of the direct method, with its addition.
            if layer["kind"] == "conv2d":
                self.flop += 2 * prod(y) * layer["kernel_size"] ** 2 * x[0] // layer.get("groups", 1)
            elif layer["kind"] == "linear":
                self.flop += 2 * x[0] * y[0]

    def position(self, name):
        return next(at for at, layer in enumerate(self.layers) if layer["name"] == name)

    def input_of(self, at):
        """Shape of what the layer at this position takes."""
        return self.shapes[at - 1] if at else self.input

    def parameters_of(self, at):
        """The layer's own tensors by their last name: weight, bias, running_mean, running_var."""
        prefix = self.layers[at]["name"] + "."
        return {name.removeprefix(prefix): value for name, value in self.parameters.items() if name.startswith(prefix)}

    def images(self, folder, count):
        """The first `count` test images, from the first again where there are fewer, as the network takes them; their labels."""
        folder = Path(folder)
        places = [folder / "test_batch.bin", folder / "cifar-10-batches-bin" / "test_batch.bin"]
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise SystemExit(f"{folder} has no test_batch.bin: give CIFAR-10's binary version (`convscope fetch-data` brings it)")
        records = np.fromfile(file, np.uint8).reshape(-1, RECORD)
        records = records[np.arange(count) % len(records)]
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
        mean, std = (np.float32(self.preprocessing[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
        if self.input != pixels.shape[1:]:
            raise SystemExit(f"{self.path} takes images of {self.input} and CIFAR-10 has (3, 32, 32)")
        return np.ascontiguousarray((pixels - mean) / std), records[:, 0].astype(np.int64)


def split(file):
    (length,) = struct.unpack_from("<Q", file)
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def tensor(entry, data):
    """The tensor in f32: what every program computes with."""
    part = data[slice(*entry["data_offsets"])]
    if entry["dtype"] == "BF16":
        values = (np.frombuffer(part, np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(part, DTYPES[entry["dtype"]]).astype(np.float32)
    return values.reshape(entry["shape"])


def step(layer):
    """Step between windows: a pool's is its window's side where none is given."""
    return layer.get("stride") or (1 if layer["kind"] == "conv2d" else layer["kernel_size"])


def output(layer, x):
    kind = layer["kind"]
    if kind in ("conv2d", "max_pool2d", "avg_pool2d"):
        window = lambda side: (side + 2 * layer.get("padding", 0) - layer["kernel_size"]) // step(layer) + 1
        return (layer.get("out_channels", x[0]), window(x[1]), window(x[2]))
    if kind == "adaptive_avg_pool2d":
        return (x[0], layer["output_size"], layer["output_size"])
    if kind == "flatten":
        return (prod(x),)
    if kind == "linear":
        return (layer["out_features"],)
    return x
