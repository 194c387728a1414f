"""Runs a class that the page wrote, with a model's weights: the largest difference of its scores from the server's.

`python class.py CLASS_NAME MODEL.safetensors INPUT.npy SCORES.npy < class.txt`; needs PyTorch and NumPy.
"""

import json
import struct
import sys

import numpy
import torch

DTYPES = {"F32": numpy.float32, "F16": numpy.float16}


def weights(path: str) -> dict[str, torch.Tensor]:
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    read = lambda about: numpy.frombuffer(data[slice(*about["data_offsets"])], DTYPES[about["dtype"]]).reshape(about["shape"])
    return {name: torch.tensor(read(about).astype(numpy.float32)) for name, about in header.items()}


def main() -> None:
    name, model_file, input_file, scores_file = sys.argv[1:]
    scope: dict[str, object] = {}
    exec(sys.stdin.read(), scope)
    model = scope[name]()
    model.load_state_dict(weights(model_file), strict=True)
    model.eval()
    picture = torch.tensor(numpy.load(input_file)).unsqueeze(0)
    with torch.no_grad():
        scores = model(picture)[0].numpy()
    print(float(numpy.abs(scores - numpy.load(scores_file).reshape(-1)).max()))


main()
