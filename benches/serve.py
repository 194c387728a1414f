#!/usr/bin/env python3
"""Convscope beside axum + ONNX Runtime and FastAPI + ONNX Runtime, as servers on this machine: one command, one Markdown table.

    cargo build --release && pip install -r benches/peers/requirements.txt
    python benches/serve.py > serve.md

The same network, the same pictures, POST /classify. Answers are compared before anything is timed. The contenders take turns in every
round, each alone on the machine with the client, which is a small Rust program and runs on the same cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

try:
    import fastapi  # noqa: F401
    import onnx
    import onnxruntime  # noqa: F401
    import uvicorn  # noqa: F401
    from PIL import Image, ImageChops
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install -r {Path(__file__).parent / 'peers/requirements.txt'}")

import contenders
import in_onnxruntime
from model import Model

ROOT = Path(__file__).resolve().parent.parent
QUIET = 0.3  # load average of other programs that a quotable run can bear
# No two JPEG decoders round alike: after the reduction a few pixels of 1,024 differ by one grey level in 255, which probabilities show.
TOLERANCE = {"PNG": 1e-5, "JPEG": 1e-2}


def arguments():
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, default=ROOT / "models/tutorial.safetensors", help="model file [models/tutorial.safetensors]")
    add("--connections", type=numbers, default=[1, 32, 256], metavar="N,N", help="[1,32,256]")
    add("--pictures", type=lambda text: text.split(","), default=["PNG", "JPEG"], metavar="P,P", help="[PNG,JPEG]")
    add("--seconds", type=float, default=5.0, help="of each measurement; JPEG takes twice as long [5]")
    add("--rounds", type=int, default=3, help="[3]")
    add("--json", type=Path, metavar="FILE", help="every measurement")
    add("--convscope", type=Path, default=ROOT / "target/release/convscope", help="the program [target/release/convscope]")
    given = parser.parse_args()
    if given.rounds < 1 or min(given.connections) < 1 or given.seconds <= 0 or not set(given.pictures) <= set(TOLERANCE):
        parser.error("--rounds and --connections take numbers from 1, --seconds one above 0, --pictures PNG and JPEG")
    if not given.convscope.is_file():
        parser.error(f"{given.convscope} is not there: build it with `cargo build --release`, or say where it is with --convscope")
    given.convscope = given.convscope.resolve()
    return given


def pictures(folder):
    """A small PNG, and a JPEG of 12 megapixels of a phone's size in bytes: that PNG enlarged, with a sensor's noise."""
    small = ROOT / "tests/data/horse.png"
    large = Path(folder) / "large.jpg"
    size = (4000, 3000)
    picture = Image.open(small).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    noise = Image.merge("RGB", [Image.effect_noise(size, 8) for _ in range(3)])
    # The noise is about 128.
    ImageChops.add(picture, noise, offset=-128).save(large, quality=90)
    return {"PNG": small, "JPEG": large}


def served(model, folder):
    """The model as the peers take it, and its settings: a file."""
    exported = Path(folder) / "model.onnx"
    onnx.save(in_onnxruntime.graph(model, 1), exported)
    preprocessing, classes = model.preprocessing, model.shapes[-1][0]
    settings = {key: preprocessing[key] for key in ("height", "width", "mean", "std")}
    settings |= {"model": str(exported), "classes": [f"class {at}" for at in range(classes)]}
    file = Path(folder) / "settings.json"
    file.write_text(json.dumps(settings))
    return file


def compare(all_contenders, files):
    """Picture → greatest difference of any contender's probabilities from ours."""
    expected, differences = {}, {}
    for contender in all_contenders:
        with contenders.Running(contender) as running:
            for picture, file in files.items():
                given = running.probabilities(file)
                ours = expected.setdefault(picture, given)
                if len(given) != len(ours):
                    raise SystemExit(f"{contender.name} knows {len(given)} classes, and we {len(ours)}")
                far = max(abs(a - b) for a, b in zip(given, ours))
                if far > TOLERANCE[picture]:
                    raise SystemExit(f"{contender.name} sees something else in the {picture}: its probabilities differ by {far:.1e}")
                differences[picture] = max(far, differences.get(picture, 0.0))
    return differences


def measure(all_contenders, files, given):
    """(picture, connections) → contender → its measurements, one a round."""
    rows = {(picture, count): {} for picture in files for count in given.connections}
    for turn in range(given.rounds):
        for contender in all_contenders:
            with contenders.Running(contender) as running:
                for picture, count in rows:
                    seconds = given.seconds * (2 if picture == "JPEG" else 1)
                    measured = running.load(files[picture], count, seconds)
                    rows[picture, count].setdefault(contender, []).append(measured)
                    where = f"round {turn + 1}/{given.rounds}, {picture}, {count} connections"
                    rate = f"{measured['requests_per_second']:,.1f} requests/s, refused {measured['refused']}"
                    print(f"{where}: {contender.name} {contender.setting} {rate}", file=sys.stderr, flush=True)
    return rows


def machine(given, load):
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    ours = subprocess.run([given.convscope, "--version"], capture_output=True, text=True).stdout.strip()
    packages = ("onnxruntime", "fastapi", "uvicorn", "pillow")
    versions = {"convscope": ours.removeprefix("convscope "), "python": platform.python_version()}
    versions |= {package: version(package) for package in packages}
    return {"processor": processor, "cores": contenders.CORES, "load_at_start": round(load, 2), "versions": versions}


def best(of):
    """Name → the measurements of its best setting here: of the highest median rate."""
    rate = lambda rounds: median(one["requests_per_second"] for one in rounds)
    names = {contender.name: [] for contender in of}
    for contender, rounds in of.items():
        names[contender.name].append(rounds)
    return {name: max(settings, key=rate) for name, settings in names.items()}


def markdown(about, files, differences, rows, given):
    versions = ", ".join(f"{name} {of}" for name, of in about["versions"].items())
    yield f"{about['processor']}, {about['cores']} cores, the client on them too; {versions}."
    sizes = ", ".join(f"{picture} of {file.stat().st_size:,} bytes" for picture, file in files.items())
    differ = ", ".join(f"{far:.1e} ({picture})" for picture, far in differences.items())
    rounds = f"{given.rounds} round" + "s" * (given.rounds > 1)
    yield f"{sizes}. Probabilities differ by at most {differ}. Medians of {rounds}."
    if about["load_at_start"] > QUIET:
        yield f"\n**Not to be quoted: the machine was busy (load average {about['load_at_start']} before the start).**"
    names = list(best(next(iter(rows.values()))))
    cells = ["picture", "connections", *(f"{name}: req/s, p50, p99 ms" for name in names), *(f"÷ {name}" for name in names[1:])]
    yield "\n| " + " | ".join(cells) + " |"
    yield "|---|" + " ---: |" * (len(cells) - 1)
    for (picture, count), of in rows.items():
        of = best(of)
        row = [picture, str(count), *(figures(of[name]) for name in names), *(ratio(of[names[0]], of[name]) for name in names[1:])]
        yield "| " + " | ".join(row) + " |"


def figures(rounds):
    middle = lambda key: median(one[key] for one in rounds if one[key] is not None)
    refused = sum(one["refused"] for one in rounds)
    lost = sum(one["failed"] + one["broken"] for one in rounds)
    notes = [f"{refused:,} refused"] * (refused > 0) + [f"**{lost:,} lost**"] * (lost > 0)
    if not any(one["answered"] for one in rounds):
        return "none in time" + (f" ({', '.join(notes)})" if notes else "")
    rate = middle("requests_per_second")
    said = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    return f"{said}, {middle('p50_ms'):.2f}, {middle('p99_ms'):.2f}" + (f" ({', '.join(notes)})" if notes else "")


def ratio(ours, theirs):
    """Of the rates of each round: the median, with the least and the greatest."""
    pairs = [(our["requests_per_second"], their["requests_per_second"]) for our, their in zip(ours, theirs)]
    of = sorted(our / their for our, their in pairs if our and their)
    return f"× {median(of):.2f} ({of[0]:.2f}–{of[-1]:.2f})" if of else "–"


def main():
    given, load = arguments(), os.getloadavg()[0]
    manifest = contenders.PEERS / "Cargo.toml"
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", manifest], check=True)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(given.model)
        files = {picture: file for picture, file in pictures(folder).items() if picture in given.pictures}
        models = Path(folder) / "models"
        models.mkdir()
        (models / f"{model.name}.safetensors").write_bytes(given.model.read_bytes())
        all_contenders = list(contenders.all_of(given.convscope, models / f"{model.name}.safetensors", served(model, folder)))
        differences = compare(all_contenders, files)
        rows = measure(all_contenders, files, given)
        about = machine(given, load)
        print("\n".join(markdown(about, files, differences, rows, given)))
    if given.json:
        flat = [
            {"picture": picture, "connections": count, "contender": contender.name, "setting": contender.setting, "rounds": rounds}
            for (picture, count), of in rows.items()
            for contender, rounds in of.items()
        ]
        whole = {"machine": about, "differences": differences, "rows": flat}
        given.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
