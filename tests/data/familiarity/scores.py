"""What `tests/it/familiarity.rs` compares with: the same score written with NumPy in f64, of a few small pictures.

    python tests/data/familiarity/scores.py > tests/data/familiarity/scores.json       # needs numpy
"""

import json

import numpy as np

FLOOR = 0.004
SHAPE = (3, 10, 9)  # channels, rows, columns: odd, so that a block is left over
TRAINING, TESTS = 60, 25


def picture(seed):
    """Waves and some noise, from the seed by arithmetic that any language repeats: values are multiples of 1/1024."""
    c, y, x = np.meshgrid(*(np.arange(side) for side in SHAPE), indexing="ij")
    values = (seed * 37 + c * 11 * (seed % 3) + y * (5 + seed % 7) + x * (3 + seed % 5) * (1 + c % 2)) % 256
    return ((values * values + seed * 101 * ((x * 7 + y * 3 + seed) % 5)) % 1024) / 1024


def logarithm(value):
    return np.log(FLOOR + value)


def rms(values):
    return np.sqrt(np.mean(values**2))


def statistics(image):
    light = image.mean(0)
    own = image - light
    found = [plane.mean() for plane in image] + [plane.std() for plane in image]
    while min(light.shape) >= 2 and len(found) < 6 + 4 * 4:
        for steps in (light[:, 1:] - light[:, :-1], light[1:] - light[:-1]):
            found += [logarithm(rms(steps)), logarithm(np.abs(steps).mean())]
        rows, columns = (side // 2 for side in light.shape)
        light = light[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean((1, 3))
    found += [logarithm(plane.std()) for plane in own]
    return np.array(found + [logarithm(rms(plane[:, 1:] - plane[:, :-1])) for plane in own])


def softened(image, share):
    for axis in (1, 2):
        padded = np.pad(image, [(1, 1) if side == axis else (0, 0) for side in range(3)], "edge")
        cut = lambda start: np.take(padded, range(start, start + image.shape[axis]), axis)
        soft = (cut(0) + 2 * cut(1) + cut(2)) / 4
        image, plain = (soft, image) if axis == 1 else (soft, plain)
    return plain + share * (image - plain)


def doubt(probabilities):
    return np.log(max(1e-7, np.sort(probabilities)[:-1].sum()))


def probabilities(seed):
    scores = np.array([(seed * k * k) % 11 for k in (1, 2, 3, 5)]) / 2
    return np.exp(scores) / np.exp(scores).sum()


vectors = np.array([statistics(softened(picture(seed), share)) for seed in range(TRAINING) for share in (0, 0.5, 1)])
mean, covariance = vectors.mean(0), np.cov(vectors.T, bias=True)
covariance += np.diag(1e-3 * np.diag(covariance) + 1e-9)
inverse = np.linalg.inv(covariance)
distance = lambda image: np.log(max(1e-9, (off := statistics(image) - mean) @ inverse @ off))
tests = range(1000, 1000 + TESTS)
distances, doubts = np.array([distance(picture(s)) for s in tests]), np.array([doubt(probabilities(s)) for s in tests])
scores = (distances - distances.mean()) / distances.std() + (doubts - doubts.mean()) / doubts.std()
levels = np.concatenate([np.arange(100) / 100, np.arange(991, 1001) / 1000])
quantiles = np.quantile(scores, levels)
asked = {"test": (picture(1003), probabilities(1003)), "softened": (softened(picture(1004), 1), probabilities(1004))}
asked |= {"other": (picture(2000), probabilities(7)), "even": (np.full(SHAPE, 0.25), probabilities(3))}
answers = {}
for name, (image, own) in asked.items():
    score = (distance(image) - distances.mean()) / distances.std() + (doubt(own) - doubts.mean()) / doubts.std()
    familiarity = float(np.interp(score, quantiles, 1 - levels))
    answers[name] = {"distance": distance(image), "doubt": doubt(own), "score": score, "familiarity": familiarity}
print(json.dumps({"statistics": statistics(picture(1003)).tolist(), "answers": answers}, indent=1))
