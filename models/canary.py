"""The stored answers that `convscope selftest` compares with: PyTorch's, in f64, of each released model to the horse.

    python models/canary.py > models/canary.json       # needs torch, numpy and pillow
"""

import json
import pathlib
import struct

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
SAMPLE = "horse"


def load(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    metadata = json.loads(header.pop("__metadata__")["convscope"])
    kinds = {"F32": np.float32, "F16": np.float16}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        numbers = np.frombuffer(raw[8 + size + begin : 8 + size + end], kinds[entry["dtype"]])
        tensors[name] = torch.tensor(numbers.astype(np.float64)).reshape(entry["shape"])
    return metadata, tensors


def apply(layer, x, own, others):
    """What a layer makes of `x` in evaluation; `own(name)` is one of its tensors, or None."""
    kind, side = layer["kind"], layer.get("kernel_size")
    if kind == "conv2d":
        return F.conv2d(x, own("weight"), own("bias"), layer.get("stride") or 1, layer.get("padding", 0), groups=layer.get("groups", 1))
    if kind == "batch_norm2d":
        return F.batch_norm(x, own("running_mean"), own("running_var"), own("weight"), own("bias"), eps=layer.get("eps", 1e-5))
    if kind == "max_pool2d":
        return F.max_pool2d(x, side, layer.get("stride") or side, layer.get("padding", 0))
    if kind == "linear":
        return F.linear(x, own("weight"), own("bias"))
    if kind == "add":
        return x + others[layer["from"]]
    return {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "dropout": lambda x: x, "flatten": lambda x: x.flatten(1)}[kind](x)


def answer(path):
    metadata, tensors = load(path)
    picture = Image.open(HERE.parent / "src" / "http" / "samples" / f"{SAMPLE}.png").convert("RGB")
    mean, std = (np.array(metadata["preprocessing"][key]) for key in ("mean", "std"))
    x = torch.tensor((np.asarray(picture) / 255 - mean) / std).permute(2, 0, 1)[None]
    seen = {"input": x}
    for layer in metadata["architecture"]["layers"]:
        x = seen.get(layer["from"], x) if layer["kind"] != "add" and "from" in layer else x
        x = seen[layer["name"]] = apply(layer, x, lambda name: tensors.get(f"{layer['name']}.{name}"), seen)
    return {"model": path.stem, "sample": SAMPLE, "probabilities": torch.softmax(x, 1)[0].tolist()}


rows = [json.dumps(answer(path)) for path in sorted(HERE.glob("*.safetensors"))]
print("[\n" + ",\n".join(rows) + "\n]")
