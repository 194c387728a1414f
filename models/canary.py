"""The stored answer that `convscope selftest` compares with: PyTorch's, in f64, of the bundled tutorial model to its horse.

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


metadata, w = load(HERE / "tutorial.safetensors")
picture = Image.open(HERE.parent / "src" / "http" / "samples" / "horse.png").convert("RGB")
mean, std = (np.array(metadata["preprocessing"][key]) for key in ("mean", "std"))
x = torch.tensor((np.asarray(picture) / 255 - mean) / std).permute(2, 0, 1)[None]
x = torch.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
x = F.max_pool2d(torch.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1)), 2)
x = torch.relu(F.linear(x.flatten(1), w["fc3.weight"], w["fc3.bias"]))
scores = F.linear(x, w["fc4.weight"], w["fc4.bias"])
print(json.dumps({"model": "tutorial", "sample": "horse", "probabilities": torch.softmax(scores, 1)[0].tolist()}))
