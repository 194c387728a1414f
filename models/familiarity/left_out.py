"""CIFAR-10 without one of its classes, as a folder of PNG files that `convscope train` reads.

    python models/familiarity/left_out.py data/datasets/cifar-10-batches-bin frog nine
    convscope train --arch speedrun --fit-data --recipe benches/airbench94.toml --data nine --out nine.safetensors
    python models/familiarity/table.py nine.safetensors data/datasets/cifar-10-batches-bin --left-out frog
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from table import CLASSES, cifar10

source, missing, folder = sys.argv[1:]
for name, (images, labels) in zip(("train", "test"), cifar10(source)):
    for label, own in enumerate(CLASSES):
        if own == missing:
            continue
        place = Path(folder) / name / own
        place.mkdir(parents=True, exist_ok=True)
        for at in np.flatnonzero(labels == label):
            Image.fromarray(images[at]).save(place / f"{at:05}.png", compress_level=1)
