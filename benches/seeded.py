"""A network with random weights as a model file: speed does not depend on what a network has learnt.

    python seeded.py ARCHITECTURE.toml OUT.safetensors
"""

import json
import struct
import sys
import tomllib
from pathlib import Path

import numpy as np

from model import output

MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]  # CIFAR-10's, rounded


def write(architecture, out, seed=0):
    """Kaiming-normal weights, zero biases, and batch norms as they begin."""
    network, random = tomllib.loads(Path(architecture).read_text()), np.random.default_rng(seed)
    tensors, shape = {}, tuple(network["input"][side] for side in ("channels", "height", "width"))
    for layer in network["layers"]:
        name, kind, channels = layer["name"], layer["kind"], shape[0]
        shape = output(layer, shape)
        if kind in ("conv2d", "linear"):
            filters = (layer.get("kernel_size", 1),) * 2 if kind == "conv2d" else ()
            weight = (shape[0], channels // layer.get("groups", 1), *filters)
            deviation = (2 / np.prod(weight[1:])) ** 0.5
            tensors[name + ".weight"] = random.standard_normal(weight) * deviation
            if layer.get("bias", True):
                tensors[name + ".bias"] = np.zeros(shape[0])
        elif kind == "batch_norm2d":
            for own, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
                tensors[f"{name}.{own}"] = np.full(channels, value)
    size = {"height": network["input"]["height"], "width": network["input"]["width"]}
    preprocessing = size | {"mean": MEAN, "std": STD, "fit": "crop", "filter": "triangle", "background": [255, 255, 255]}
    metadata = {"format": 1, "name": network["name"], "architecture": network, "preprocessing": preprocessing}
    metadata |= {"classes": [f"class {at}" for at in range(shape[0])], "created_by": "benches/seeded.py"}
    header, data = {"__metadata__": {"format": "pt", "convscope": json.dumps(metadata)}}, b""
    for name, value in tensors.items():
        value = np.ascontiguousarray(value, np.float32)
        offsets = [len(data), len(data) + value.nbytes]
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": offsets}
        data += value.tobytes()
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    Path(out).write_bytes(struct.pack("<Q", len(header)) + header + data)


if __name__ == "__main__":
    write(*sys.argv[1:3])
