#!/usr/bin/env python3
"""A released model's part of the card, models/README.md, measured through the program that serves it.

    cargo build --release
    python benches/card.py models/speedrun.safetensors --log speedrun.jsonl --data data/datasets/cifar-10-batches-bin   # numpy, pillow

`--log` is what `convscope train … --events jsonl` printed. Replaces what stands between the model's two marks in models/README.md (or
adds it at the end), and writes NAME-curve.svg, NAME-reliability.svg and NAME.jsonl (the log without its steps) into models/card/.
Everything random follows from the image's index, so the same model gives the same card.
"""

import argparse
import json
import re
import subprocess
from pathlib import Path

import numpy as np

import asked
import changes
import drawn

ROOT = Path(__file__).resolve().parent.parent
Z = 1.959963984540054


def wilson(right, images):
    """The 95 % score interval of a share (E. B. Wilson, 1927)."""
    p, n = right / images, images
    centre, half = p + Z * Z / (2 * n), Z * (p * (1 - p) / n + Z * Z / (4 * n * n)) ** 0.5
    return (0.0 if right == 0 else (centre - half) / (1 + Z * Z / n), 1.0 if right == images else (centre + half) / (1 + Z * Z / n))


def share(right, images):
    low, high = wilson(right, images)
    return f"{100 * right / images:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def table(heads, rows):
    numbers = "|".join([":---"] + ["---:"] * (len(heads) - 1))
    return "\n".join(["| " + " | ".join(heads) + " |", f"|{numbers}|", *("| " + " | ".join(row) + " |" for row in rows)])


def figures(program, file, data):
    """What `convscope eval` finds; a program without an answer ends this one."""
    done = subprocess.run([program, "eval", "--json", "--model", file, "--data", data], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return json.loads(done.stdout)


def log(path):
    """The lines of a run's log but its steps, its epochs and what came of it. Of a run that was gone on with, an epoch's last line."""
    events = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    kept = [event for event in events if event["event"] != "step"]
    epochs = {event["data"]["epoch"]: event["data"] for event in kept if event["event"] == "epoch"}
    done = next((event["data"] for event in reversed(kept) if event["event"] == "done"), None)
    return kept, [epochs[epoch] for epoch in sorted(epochs)], done


def changed(model, pixels, labels, random):
    """A row of each change: what is right, the same as of the plain picture, how sure."""
    plain, _ = model.answers([changes.file(image) for image in pixels])
    said = plain.argmax(1)
    yield ["as it is", "", share((said == labels).sum(), len(labels)), "", f"{100 * plain.max(1).mean():.1f} %"]
    for name, degrees in changes.CHANGES.items():
        for degree, change in degrees.items():
            answers, _ = model.answers([changes.file(change(image, random(at))) for at, image in enumerate(pixels)])
            right, same = (answers.argmax(1) == labels).sum(), (answers.argmax(1) == said).mean()
            yield [name, degree, share(right, len(labels)), f"{100 * same:.1f} %", f"{100 * answers.max(1).mean():.1f} %"]


def unknown(model, count, random):
    """A row of each kind of picture that shows none of the classes."""
    for name, make in changes.NOTHING_KNOWN.items():
        answers, familiar = model.answers([changes.file(make(random(at))) for at in range(count)])
        sure = answers.max(1)
        row = [name, f"{100 * np.median(sure):.0f} %", f"{100 * (sure > 0.9).mean():.0f} %"]
        known = np.isfinite(familiar).any()
        yield row + ([f"{np.median(familiar):.3f}", f"{100 * (familiar < 0.01).mean():.0f} %"] if known else ["–", "–"])


# What is done to a picture and to a map alike.
MOVES = {
    "shifted by 1 pixel": lambda a: np.roll(a, 1, 1),
    "shifted by 4 pixels": lambda a: np.roll(a, 4, 1),
    "mirrored": lambda a: a[:, ::-1],
    "turned by 90°": np.rot90,
    "turned by 180°": lambda a: np.rot90(a, 2),
}
# What is done to a picture alone: a map has no light.
LIGHT = {"half as bright": changes.brightness(0.5), "without colour": changes.grey, "hue by 180°": changes.hue(180)}


def convolutions(file):
    """The first, conv1, conv2 and the last."""
    names = [layer["name"] for layer in asked.metadata(file)["architecture"]["layers"] if layer["kind"] == "conv2d"]
    return list(dict.fromkeys([names[0], *(name for name in ("conv1", "conv2") if name in names), names[-1]]))


def surviving(model, layers, pixels):
    """A row of each change: how like the maps of a changed picture are to the maps of the picture, changed alike."""

    def maps(image):
        body, given = changes.file(np.ascontiguousarray(image)), []
        for layer in layers:
            values, headers = model.post(f"/featuremaps/{layer}?format=f32", body)
            shape = next(value for name, value in headers.items() if name.lower() == "x-shape")
            shape = [int(part) for part in re.findall(r"\d+", shape)]
            given.append(np.frombuffer(values, "<f4").reshape(shape).transpose(1, 2, 0))
        return given

    plain = model.every(maps, pixels)
    for name, change in (MOVES | LIGHT).items():
        move = MOVES.get(name, lambda a: a)
        found = model.every(maps, [change(image) if name in MOVES else change(image, None) for image in pixels])
        pixel = int((re.findall(r"shifted by (\d+)", name) or [0])[0])
        row = [name]
        for at in range(len(layers)):
            # A map that pooling has made smaller has no whole pixels to be shifted by.
            if pixel and plain[0][at].shape[0] < changes.SIDE - 1:
                row.append("–")
                continue
            row.append(f"{np.mean([alike(move(before[at]), after[at], pixel + 2) for before, after in zip(plain, found)]):.2f}")
        yield row


def alike(expected, found, border):
    """Correlation of two maps, without the border that came round or met the padding."""
    inner = slice(border, -border) if expected.shape[0] > 2 * border + 2 else slice(None)
    a, b = expected[inner, inner].ravel(), found[inner, inner].ravel()
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else 0.0


def recipe_of(own):
    recipe = own.get("recipe") or {}
    keys = ["optimizer", "batch_size", "learning_rate", "schedule", "label_smoothing", "augmentation", "dropout", "ema_decay", "validation_share", "calibrate"]
    own_way = [group for group in recipe.get("groups") or [] if group.get("optimizer")]
    groups = [f"{' and '.join(group['roles'])} by `{group['optimizer']}`, {group['learning_rate']}" for group in own_way if group.get("roles")]
    return ", ".join([f"`{key} = {json.dumps(recipe[key])}`" for key in keys if recipe.get(key)] + groups)


def uncalibrated(given, temperature):
    """Expected calibration error (15 bins) of the scores before they were divided by `temperature`."""
    pixels, labels = asked.images(given.data)
    with asked.Asked(given.convscope, given.model) as model:
        after, _ = model.answers([changes.file(image) for image in pixels])
    powers = np.exp(temperature * np.log(np.maximum(after, 1e-30)))
    before = powers / powers.sum(1, keepdims=True)
    sure, right = before.max(1), before.argmax(1) == labels
    bins = np.minimum((sure * 15).astype(int), 14)
    return sum(abs((right[bins == at] - sure[bins == at]).sum()) for at in range(15)) / len(labels)


def section(given, own, report, run):
    name, file = given.model.stem, given.model
    _, epochs, done = run
    right = report["accuracy"]
    low, high = report["interval95"]
    yield f"## {name}\n"
    yield (
        f"**{100 * right:.2f} % of {report['images']:,} test images right**, 95 % interval {100 * low:.2f} to {100 * high:.2f} %, mean loss "
        f"{report['loss']:.4f}; {file.stat().st_size / 1e6:.1f} MB."
    )
    said, measured = own.get("accuracy"), round(report["accuracy"] * report["images"])
    if said and (said["images"], round(said["accuracy"] * said["images"])) != (report["images"], measured):
        raise SystemExit(f"{file} says {said} of itself and eval finds {report['accuracy']} of {report['images']}")
    seed = (own.get("recipe") or {}).get("seed")
    how = [f"Seed {seed}" if seed is not None else "", f"{own['recipe']['epochs']} epochs" if own.get("recipe") else ""]
    if done:
        how.append(f"{done['elapsed_seconds'] / 60:.0f} minutes on this machine, evaluation after each epoch included")
    yield "\n" + ", ".join(part for part in how if part) + f"; {recipe_of(own)}. The whole recipe is in the file."
    if epochs:
        yield f"The log is [{name}.jsonl](card/{name}.jsonl).\n\n![Accuracy of {name} after each epoch](card/{name}-curve.svg)"
    yield "\n### By class\n"
    rows = [[row["label"], share(row["correct"], row["images"]), worst(row["label"], report)] for row in report["per_class"]]
    yield table(["class", "right (95 %)", "most often taken for"], rows)
    yield f"\n### How far its probabilities can be believed\n\n![Reliability of {name}](card/{name}-reliability.svg)\n"
    temperature = own.get("temperature")
    error = 100 * report["calibration"]["expected_error"]
    done_for = ""
    if temperature:
        before = f"{100 * uncalibrated(given, temperature['value']):.2f} %"
        done_for = f"; {before} before scores were divided by {temperature['value']:.3f}, fitted to {temperature['images']:,} validation images"
    yield f"Expected calibration error {error:.2f} % (15 bins){done_for}. A bar is a fifteenth of the scale, its number the images in it."


def worst(label, report):
    labels = [row["label"] for row in report["per_class"]]
    counts = dict(zip(labels, report["confusion"][labels.index(label)]))
    counts.pop(label)
    most = max(counts, key=counts.get)
    return f"{most} ({counts[most]})"


def robust(given, pixels, labels):
    with asked.Asked(given.convscope, given.model) as model:
        random = lambda at: np.random.default_rng([given.seed, at])
        yield f"\n### Where it fails\n\nMeasured through `POST /classify`, on the first {len(labels):,} test images.\n"
        yield table(["picture", "", "right (95 %)", "answers as before", "mean probability of its answer"], changed(model, pixels, labels, random))
        count = min(500, len(labels))
        yield f"\nPictures of none of the ten, {count} of each kind; it has to answer with one of them:\n"
        heads = ["picture", "median probability of its answer", "surer than 90 %", "median familiarity", "familiarity below 0.01"]
        yield table(heads, unknown(model, count, random))
        few, layers = pixels[: min(100, len(labels))], convolutions(given.model)
        yield (
            "\n### What of a convolution's view survives\n\nA convolution looks everywhere with the same filters: shift the picture, and its "
            "maps shift. Here is how like the maps of a changed picture are to the maps of the picture, changed alike: the mean correlation of "
            f"{len(few)} images, without their borders; 1 is the same, – where pooling leaves no whole pixels to shift by. How often the answer "
            "stays is in the table above.\n"
        )
        yield table(["picture", *layers], surviving(model, layers, few))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("model", type=Path)
    add("--log", type=Path, help="its run's events, JSON lines")
    add("--data", type=Path, required=True, help="folder of CIFAR-10, binary version")
    add("--images", type=int, default=2000, metavar="N", help="test images that are changed [2000]")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=ROOT / "models", help="folder of README.md and card/ [models]")
    add("--convscope", type=Path, default=ROOT / "target/release/convscope", help="the program [target/release/convscope]")
    given = parser.parse_args()
    name, card = given.model.stem, given.out / "card"
    card.mkdir(parents=True, exist_ok=True)
    own, report = asked.metadata(given.model), figures(given.convscope, given.model, given.data)
    kept, epochs, done = log(given.log) if given.log else ([], [], None)
    pixels, labels = (of[: given.images] for of in asked.images(given.data))
    parts = [*section(given, own, report, (kept, epochs, done)), *robust(given, pixels, labels)]
    (card / f"{name}-reliability.svg").write_text(drawn.reliability(name, report["calibration"], wilson))
    if epochs:
        (card / f"{name}-curve.svg").write_text(drawn.curve(name, epochs))
        (card / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))
    begin, end = f"<!-- {name}: written by benches/card.py -->", f"<!-- end of {name} -->"
    text = f"{begin}\n" + "\n".join(parts) + f"\n\n{end}"
    readme = given.out / "README.md"
    before = readme.read_text() if readme.is_file() else "# The models in the program\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    after = pattern.sub(lambda _: text, before) if pattern.search(before) else before.rstrip() + f"\n\n{text}\n"
    readme.write_text(after)


if __name__ == "__main__":
    main()
