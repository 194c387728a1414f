#!/usr/bin/env python3
"""Whether a model served is as good as it says: every test image as a PNG through `POST /classify`, on connections that stay.

    cargo build --release
    python benches/accuracy.py --data data/datasets/cifar-10-batches-bin          # needs numpy and pillow

Fails where the share that is right is not the accuracy in the model's own metadata, to the image.
"""

import argparse
import io
import sys
from pathlib import Path
from time import perf_counter

from PIL import Image

import asked

ROOT = Path(__file__).resolve().parent.parent


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of CIFAR-10, binary version")
    add("--model", type=Path, action="append", help="may be given several times [every one in models/]")
    add("--images", type=int, default=None, metavar="N", help="only the first N, and compare with nothing")
    add("--convscope", type=Path, default=ROOT / "target/release/convscope", help="the program [target/release/convscope]")
    given = parser.parse_args()
    pixels, labels = asked.images(given.data)
    pictures = [png(image) for image in pixels[: given.images]]
    wrong = 0
    for file in given.model or sorted(ROOT.glob("models/*.safetensors")):
        said = asked.metadata(file).get("accuracy")
        with asked.Asked(given.convscope, file) as model:
            start = perf_counter()
            probabilities, _ = model.answers(pictures)
            seconds = perf_counter() - start
        right = int((probabilities.argmax(1) == labels[: len(pictures)]).sum())
        line = f"{file.stem}: {right} of {len(pictures)} right through POST /classify ({len(pictures) / seconds:,.0f} a second)"
        if said is None or said["images"] != len(pictures):
            print(f"{line}; its metadata has no accuracy on as many images")
            continue
        expected = round(said["accuracy"] * said["images"])
        wrong += right != expected
        print(f"{line}; its metadata says {expected}" + ("" if right == expected else ": THEY DIFFER"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
