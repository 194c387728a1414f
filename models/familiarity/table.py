"""How well scores tell pictures of none of the ten classes from test images: AUROC, set by set, as a table.

    pip install -r models/familiarity/requirements.txt
    python models/familiarity/table.py models/tutorial.safetensors data/datasets/cifar-10-batches-bin            # the test set
    python models/familiarity/table.py … --choose     # the last 5,000 training images and other pictures: what was chosen by

Candidates use 20,000 training images (`--training`). The one that Convscope has is `pictures + doubt`, computed here in NumPy as `src/network/
familiarity` does. An AUROC is the probability that a strange picture has a higher score than a test image: 1 is always, 0.5 is
chance; for changed test images 0.5 is wanted.
"""

import argparse
import json
import struct
from pathlib import Path

import numpy as np
import sets
import torch
from sklearn.cluster import MiniBatchKMeans
from torch.nn import functional as F

FLOOR = 0.004
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(path):
    raw = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    metadata, tensors = json.loads(header.pop("__metadata__")["convscope"]), {}
    for name, entry in header.items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        numbers = np.frombuffer(raw[begin:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        tensors[name] = torch.tensor(numbers.astype(np.float32)).reshape(entry["shape"])
    return metadata, tensors


def forward(layers, w, x):
    """What the last fully connected layer reads, and the scores."""
    outputs = {"input": x}
    last = max(at for at, layer in enumerate(layers) if layer["kind"] == "linear")
    for at, layer in enumerate(layers):
        kind, name = layer["kind"], layer["name"]
        own = lambda part: w.get(f"{name}.{part}")
        x = outputs[layer["from"]] if layer.get("from") and kind != "add" else x
        hidden = x if at == last else None if at < last else hidden
        if kind == "conv2d":
            sizes = (layer.get("stride", 1), layer.get("padding", 0), layer.get("dilation", 1), layer.get("groups", 1))
            x = F.conv2d(x, own("weight"), own("bias"), *sizes)
        elif kind == "batch_norm2d":
            statistics = own("running_mean"), own("running_var")
            x = F.batch_norm(x, *statistics, own("weight"), own("bias"), eps=layer.get("eps", 1e-5))
        elif kind in ("max_pool2d", "avg_pool2d"):
            pool = getattr(F, kind)
            x = pool(x, layer["kernel_size"], layer.get("stride") or layer["kernel_size"], layer.get("padding", 0))
        elif kind == "adaptive_avg_pool2d":
            x = F.adaptive_avg_pool2d(x, layer["output_size"])
        elif kind == "flatten":
            x = x.flatten(1)
        elif kind == "linear":
            x = F.linear(x, own("weight"), own("bias"))
        elif kind == "add":
            x = x + outputs[layer["from"]]
        elif kind != "dropout":
            x = getattr(F, kind)(x)
        outputs[name] = x
    return hidden, x


class Network:
    def __init__(self, path):
        self.metadata, self.weights = load(path)
        self.layers = self.metadata["architecture"]["layers"]
        self.last = next(layer["name"] for layer in reversed(self.layers) if layer["kind"] == "linear")

    def input(self, images):
        mean, std = (np.float32(self.metadata["preprocessing"][key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
        return (images.transpose(0, 3, 1, 2).astype(np.float32) / 255 - mean) / std

    @torch.no_grad()
    def __call__(self, images):
        """Pixels as the network takes them, the hidden vectors and the scores."""
        x = self.input(images)
        parts = [forward(self.layers, self.weights, torch.tensor(x[at : at + 250])) for at in range(0, len(x), 250)]
        return (x, *(np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1)))


def cifar10(folder):
    read = lambda name: np.fromfile(Path(folder) / name, np.uint8).reshape(-1, 3073)
    split = lambda records: (records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].astype(int))
    return split(np.concatenate([read(f"data_batch_{i}.bin") for i in range(1, 6)])), split(read("test_batch.bin"))


def statistics(x):
    """As `src/network/familiarity/picture.rs`, of many."""
    light, found = x.mean(1), [x.mean((2, 3)), x.std((2, 3))]
    log = lambda value: np.log(FLOOR + value)
    own = x - light[:, None]
    for _ in range(4):
        for steps in (light[:, :, 1:] - light[:, :, :-1], light[:, 1:] - light[:, :-1]):
            found.append(log(np.stack([np.sqrt((steps**2).mean((1, 2))), np.abs(steps).mean((1, 2))], 1)))
        light = light.reshape(len(light), light.shape[1] // 2, 2, light.shape[2] // 2, 2).mean((2, 4))
    steps = own[..., 1:] - own[..., :-1]
    return np.concatenate(found + [log(own.std((2, 3))), log(np.sqrt((steps**2).mean((2, 3))))], 1).astype(np.float64)


def softened(x, share):
    soft = x
    for axis in (2, 3):
        padded = np.pad(soft, [(0, 0), (0, 0)] + [(1, 1) if side == axis else (0, 0) for side in (2, 3)], "edge")
        cut = lambda start: np.take(padded, range(start, start + x.shape[axis]), axis)
        soft = (cut(0) + 2 * cut(1) + cut(2)) / 4
    return x + share * (soft - x)


def apart(values, middles):
    return np.maximum(0, (values**2).sum(1)[:, None] + (middles**2).sum(1) - 2 * values @ middles.T)


def gaussian(vectors, ridge=1e-3):
    mean, covariance = vectors.mean(0), np.cov(vectors.T)
    covariance += np.diag(ridge * np.diag(covariance) + 1e-9)
    inverse = np.linalg.inv(covariance)
    return lambda given: np.einsum("ij,jk,ik->i", given - mean, inverse, given - mean)


def candidates(network, training):
    """By name, functions of (pixels, hidden, scores) that are higher for strangers."""
    (x, h, s), labels = training
    classes, size = s.shape[1], h.shape[1]
    total = lambda s: np.log(np.exp(s - s.max(1, keepdims=True)).sum(1)) + s.max(1)
    norm = lambda h: np.maximum(np.linalg.norm(h, axis=1), 1e-9)
    unit = lambda h: h / norm(h)[:, None]
    means = lambda h: np.stack([h[labels == c].mean(0) for c in range(classes)])
    doubt = lambda s: np.log(np.maximum(1e-7, 1 - np.exp(s.max(1) - total(s))))

    def mahalanobis(change):
        values = change(h).astype(np.float64)
        middles = means(values)
        covariance = np.cov((values - middles[labels]).T)
        covariance += 1e-3 * np.trace(covariance) / size * np.eye(size)
        whiten = np.linalg.cholesky(np.linalg.inv(covariance))
        return lambda x, h, s: apart(change(h) @ whiten, middles @ whiten).min(1)

    rows, _ = np.linalg.qr(network.weights[f"{network.last}.weight"].numpy().T)
    off = lambda h: np.linalg.norm(h - (h @ rows) @ rows.T, axis=1)
    middle, main = h.mean(0), np.linalg.eigh(np.cov(h.T))[1].astype(np.float32)[:, :-16]
    rest = lambda h: np.linalg.norm((h - middle) @ main, axis=1)
    alpha = s.max(1).mean() / rest(h).mean()
    few = np.concatenate([unit(h[labels == c][:50]) for c in range(classes)])
    kmeans = lambda c: MiniBatchKMeans(10, random_state=0, n_init=1, batch_size=2048).fit(unit(h)[labels == c]).cluster_centers_
    centres = np.concatenate([kmeans(c) for c in range(classes)])
    unit_means = unit(means(h))
    vectors = lambda h, s: np.stack([np.log(norm(h)), np.log(np.abs(h).sum(1) / norm(h)), total(s)], 1)
    sizes = gaussian(vectors(h, s))
    pictures = gaussian(np.concatenate([statistics(softened(x, share)) for share in (0, 0.5, 1)]))
    distance = lambda x: np.log(pictures(statistics(x)) + 1e-9)

    def scaled(values):
        return lambda given: (given - values.mean()) / values.std()

    far, unsure = scaled(distance(x)), scaled(doubt(s))
    return {
        "doubt (max-softmax)": lambda x, h, s: doubt(s),
        "largest score": lambda x, h, s: -s.max(1),
        "energy": lambda x, h, s: -total(s),
        "norm of the hidden vector": lambda x, h, s: -norm(h),
        "Mahalanobis": mahalanobis(lambda h: h),
        "Mahalanobis, unit vectors": mahalanobis(unit),
        "cosine to class means": lambda x, h, s: -(unit(h) @ unit_means.T).max(1),
        "10 k-means centres a class": lambda x, h, s: apart(unit(h), centres).min(1),
        "third nearest of 50 kept a class": lambda x, h, s: -np.partition(unit(h) @ few.T, -3, 1)[:, -3],
        "residual of the classifier": lambda x, h, s: off(h),
        "residual, as a share": lambda x, h, s: off(h) / norm(h),
        "ViM, 16 main directions": lambda x, h, s: alpha * rest(h) - total(s),
        "norm, sparsity, energy: Gaussian": lambda x, h, s: sizes(vectors(h, s)),
        "pictures": lambda x, h, s: distance(x),
        "pictures + doubt": lambda x, h, s: far(distance(x)) + unsure(doubt(s)),
    }


def auroc(known, strange):
    order = np.sort(known)
    return (np.searchsorted(order, strange, "left") + np.searchsorted(order, strange, "right")).mean() / (2 * len(order))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", help="the folder of CIFAR-10's binary files")
    parser.add_argument("--choose", action="store_true", help="measure on the last 5,000 training images and pictures of another seed")
    parser.add_argument("--count", type=int, default=300, help="pictures a set")
    parser.add_argument("--training", type=int, default=20_000, help="training images to look at")
    parser.add_argument("--left-out", metavar="CLASS", help="the model was trained without it (left_out.py): its test images are the strange ones")
    args = parser.parse_args()
    network = Network(args.model)
    (images, labels), (test, truth) = cifar10(args.data)
    if args.left_out:
        missing = CLASSES.index(args.left_out)
        unseen, known, kept = test[truth == missing], test[truth != missing], labels != missing
        left = labels[kept] - (labels[kept] > missing)
        some = np.linspace(0, len(left) - 1, args.training).astype(int)
        groups = {"strange": {args.left_out: unseen}}
        return report(network, candidates(network, (network(images[kept][some]), left[some])), known, groups)
    kept = np.linspace(0, (45_000 if args.choose else 50_000) - 1, args.training).astype(int)
    scores = candidates(network, (network(images[kept]), labels[kept]))
    known = images[45_000:] if args.choose else test
    groups = {"strange": sets.strange(1 if args.choose else 2, args.count, known), "changed": sets.familiar(known[: args.count])}
    report(network, scores, known, groups)


def report(network, scores, known, groups):
    """AUROC of every score for every set of `groups`, against the pictures in `known`."""
    seen = {name: network(pictures) for group in groups.values() for name, pictures in group.items()}
    # All strange pictures together.
    seen["all"] = [np.concatenate(parts) for parts in zip(*(seen[name] for name in groups["strange"]))]
    groups["strange"]["all"] = None
    ordinary = network(known)
    table = {}
    for name, score in scores.items():
        mine = score(*ordinary)
        table[name] = {other: auroc(mine, score(*given)) for other, given in seen.items()}
    for group, members in groups.items():
        print(f"\n| {group} | " + " | ".join(members) + " |\n|---|" + "---|" * len(members))
        for name, row in table.items():
            print(f"| {name} | " + " | ".join(f"{row[member]:.3f}" for member in members) + " |")


if __name__ == "__main__":
    main()
