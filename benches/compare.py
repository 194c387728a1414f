#!/usr/bin/env python3
"""Convscope beside PyTorch and ONNX Runtime on this machine: one command, one run, one Markdown report.

    cargo build --release && pip install -r benches/requirements.txt
    python benches/compare.py > report.md

Real images, the same for all. Answers are compared before anything is timed. The contenders take turns in every round, so that
a machine that slows down slows all of them, and each ratio is of two times of the same round.
"""

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

try:
    import numpy as np
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import torch
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install -r {Path(__file__).parent / 'requirements.txt'}")

import answers
import in_onnxruntime
import in_torch
import peak_memory
import report
import seeded
from model import Model
from ours import Convscope

ROOT = Path(__file__).resolve().parent.parent
# As `convscope bench`: calls before the clock starts; at least so many are timed, for at least so many seconds.
WARM_UP, LEAST, SECONDS = 3, 20, 2.0


class Case(NamedTuple):
    model: str
    mode: str  # forward or train
    threads: int
    batch: int


def arguments():
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    what = "model file, or architecture (TOML) to be given random weights; may be given several times [tutorial and speedrun]"
    add("--model", type=Path, action="append", help=what)
    add("--data", type=Path, default=ROOT / "tests/data/cifar-10-batches-bin", help="folder of CIFAR-10, binary version")
    add("--batch", type=numbers, default=[1, 8, 32, 128], metavar="N,N", help="images in one pass [1,8,32,128]")
    add("--threads", type=numbers, default=[1, 2], metavar="N,N", help="[1,2]")
    add("--mode", choices=["forward", "train"], action="append", help="[both]")
    add("--rounds", type=int, default=5, help="[5]")
    add("--json", type=Path, metavar="FILE", help="every time of every round")
    add("--convscope", type=Path, default=ROOT / "target/release/convscope", help="the program [target/release/convscope]")
    given = parser.parse_args()
    given.model = given.model or [ROOT / "models/tutorial.safetensors", ROOT / "src/network/architecture/presets/speedrun.toml"]
    if len({path.stem for path in given.model}) < len(given.model):
        parser.error("two models of one name cannot be told apart in the report")
    if given.rounds < 1 or min(given.batch + given.threads) < 1:
        parser.error("--rounds, --batch and --threads take numbers from 1")
    return given


def median_time(once):
    """Median seconds of a call."""
    for _ in range(WARM_UP):
        once()
    times, begin = [], perf_counter()
    while len(times) < LEAST or perf_counter() - begin < SECONDS:
        start = perf_counter()
        once()
        times.append(perf_counter() - start)
    return float(np.median(times))


def contenders(case, model, ours, images, labels):
    """Name → a call that measures its median seconds; built anew in every round, so that no lucky placing in memory lasts."""
    train = case.mode == "train"
    yield report.OURS, lambda: ours.p50(model, case.batch, case.threads, train)
    if not train:
        yield report.ORT, lambda: median_time(in_onnxruntime.forward(model, case.threads, images))
    for setting in in_torch.SETTINGS:
        make = partial(in_torch.training, labels=labels) if train else in_torch.forward
        yield setting.name, lambda setting=setting: median_time(make(model, setting, images))


def measure(cases, models, ours, given):
    """Case → contender → median seconds, one a round."""
    times = {case: {} for case in cases}
    for turn in range(given.rounds):
        for case in cases:
            torch.set_num_threads(case.threads)
            model = models[case.model]
            images, labels = model.images(given.data, case.batch)
            for name, timed in contenders(case, model, ours, images, labels):
                seconds = timed()
                times[case].setdefault(name, []).append(seconds)
                where = f"{case.model}, {case.mode}, {report.count(case.threads, 'thread')}, batch {case.batch}"
                rate = f"{case.batch / seconds:,.0f} images/s"
                print(f"round {turn + 1}/{given.rounds}, {where}: {name} {rate}", file=sys.stderr, flush=True)
    return times


def memory(case, model, ours, given):
    """Contender → MB that training holds at most. Ours on its built-in images: a dataset in memory is not the network's."""
    held = {report.OURS: peak_memory.of(ours.command(model, [case.batch], case.threads, True), case.threads)}
    for setting in in_torch.SETTINGS:
        held[setting.name] = peak_memory.of_torch(model, given.data, setting.name, case.batch, case.threads)
    held[report.IMPORTED] = peak_memory.of_torch(model, given.data, in_torch.SETTINGS[0].name, 0, case.threads)
    return held


def model_of(path, folder):
    """The model at `path`; of an architecture one with random weights, written into `folder`."""
    if path.suffix != ".toml":
        return Model(path)
    out = Path(folder) / f"{path.stem}.safetensors"
    seeded.write(path, out)
    return Model(out)


def main():
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments(), folder)


def compare(given, folder):
    ours = Convscope(given.convscope, given.data)
    models = {model.name: model for model in (model_of(path, folder) for path in given.model)}
    modes = given.mode or ["forward", "train"]
    load = os.getloadavg()[0]
    machine = report.machine(ours.version(), load, given.rounds)
    compared = {name: answers.compare(model, ours, given, modes) for name, model in models.items()}
    peaks = {}
    for threads in given.threads:
        torch.set_num_threads(threads)
        peaks[threads] = in_torch.sgemm_gflops()
    cases = [Case(*case) for case in product(models, modes, given.threads, given.batch)]
    times = measure(cases, models, ours, given)
    largest = ("train", max(given.threads), max(given.batch))
    trained = [case for case in cases if case[1:] == largest]
    held = {case: memory(case, models[case.model], ours, given) for case in trained}
    print("\n".join(report.markdown(machine, models, compared, peaks, times, held)))
    if given.json:
        rows = [case._asdict() | {"median_seconds": times[case], "peak_memory_mb": held.get(case)} for case in cases]
        flop = {name: model.flop for name, model in models.items()}
        whole = {"machine": machine, "answers": compared, "sgemm_gflops": peaks, "flop_per_image": flop, "cases": rows}
        given.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
