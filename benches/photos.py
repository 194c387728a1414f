#!/usr/bin/env python3
"""Which `fit` answers photos best: crop, pad or stretch, on test images made into photos as people take them.

    cargo build --release
    python benches/photos.py models/speedrun.safetensors --data data/datasets/cifar-10-batches-bin       # needs numpy and pillow

A test image is enlarged and put into a photo; around it is another test image, enlarged to the whole photo and out of focus, faded into
it, so that nothing around the thing tells what it is. Each photo is sent as a JPEG to the same model with each `fit`.
"""

import argparse
import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import asked
from card import share, table

ROOT = Path(__file__).resolve().parent.parent
# Columns, rows, the thing's side as a share of the shorter side, where its middle is (0 left or top, 1 right or bottom, as far as
# it is whole); the last stretches the test image itself over the photo: a thing as wide as that.
PHOTOS = {
    "square, the thing fills it": (480, 480, 1.0, 0.5, 0.5),
    "4:3, in the middle, fills the height": (640, 480, 1.0, 0.5, 0.5),
    "4:3, a little to the side": (640, 480, 1.0, 0.2, 0.5),
    "4:3, at the edge": (640, 480, 1.0, 0.0, 0.5),
    "3:4, in the middle, fills the width": (480, 640, 1.0, 0.5, 0.5),
    "3:4, at the bottom": (480, 640, 1.0, 0.5, 1.0),
    "16:9, in the middle, fills the height": (854, 480, 1.0, 0.5, 0.5),
    "16:9, at the edge": (854, 480, 1.0, 0.0, 0.5),
    "4:3, in the middle, two thirds of the height": (640, 480, 0.67, 0.5, 0.5),
    "4:3, off the middle, two thirds of the height": (640, 480, 0.67, 0.15, 0.8),
    "4:3, the thing as wide as the photo": (640, 480, None, 0.5, 0.5),
    "16:9, the thing as wide as the photo": (854, 480, None, 0.5, 0.5),
}
FITS = ("crop", "pad", "stretch")


def photo(pixels, around, kind):
    columns, rows, part, right, down = PHOTOS[kind]
    image = Image.fromarray(pixels)
    if part is None:
        whole = image.resize((columns, rows), Image.Resampling.BICUBIC)
    else:
        side = round(min(columns, rows) * part)
        left, top = round((columns - side) * right), round((rows - side) * down)
        whole = Image.fromarray(around).filter(ImageFilter.GaussianBlur(3)).resize((columns, rows), Image.Resampling.BICUBIC)
        whole.paste(image.resize((side, side), Image.Resampling.BICUBIC), (left, top), faded(side, left, top, columns, rows))
    out = io.BytesIO()
    whole.save(out, "JPEG", quality=90)
    return out.getvalue()


def faded(side, left, top, columns, rows):
    """How much of the thing is seen: all but for a border a sixteenth wide, where that is not the photo's own."""
    along = np.minimum(np.arange(side) + 1, side / 16) / (side / 16)
    back = along[::-1]
    across = np.minimum(along if left > 0 else 1.0, back if left + side < columns else 1.0) * np.ones(side)
    down = np.minimum(along if top > 0 else 1.0, back if top + side < rows else 1.0) * np.ones(side)
    return Image.fromarray((255 * np.outer(down, across)).astype(np.uint8), "L")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("model", type=Path)
    add("--data", type=Path, required=True, help="folder of CIFAR-10, binary version")
    add("--images", type=int, default=1000, metavar="N", help="test images made into photos [1000]")
    add("--convscope", type=Path, default=ROOT / "target/release/convscope", help="the program [target/release/convscope]")
    given = parser.parse_args()
    pixels, labels = (of[: given.images] for of in asked.images(given.data))
    right = {kind: dict.fromkeys(FITS, 0) for kind in PHOTOS}
    with ExitStack() as open_ones:
        models = {fit: open_ones.enter_context(asked.Asked(given.convscope, given.model, fit)) for fit in FITS}

        def said(at, kind):
            # Around it is one of another class.
            around = next(other for other in range(at + 1, at + len(labels)) if labels[other % len(labels)] != labels[at])
            body = photo(pixels[at], pixels[around % len(labels)], kind)
            return {fit: np.argmax(list(model.classify(body)["probabilities"].values())) for fit, model in models.items()}

        for kind in PHOTOS:
            for at, answers in enumerate(models["crop"].every(lambda at: said(at, kind), range(len(labels)))):
                for fit, answer in answers.items():
                    right[kind][fit] += int(answer == labels[at])
    rows = [[kind, *(share(of[fit], len(labels)) for fit in FITS)] for kind, of in right.items()]
    total = {fit: sum(of[fit] for of in right.values()) for fit in FITS}
    rows.append(["all of them", *(f"**{100 * total[fit] / len(labels) / len(PHOTOS):.1f} %**" for fit in FITS)])
    print(table([f"photo ({len(labels):,} of each)", *FITS], rows))


if __name__ == "__main__":
    main()
