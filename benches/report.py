"""The run as Markdown: medians over the rounds, ratios of times of the same round with their spread."""

import os
import platform
from pathlib import Path
from statistics import median

import numpy
import onnxruntime
import torch

OURS, ORT, IMPORTED = "Convscope", "ONNX Runtime", "PyTorch, imported"
F32, BF16 = "PyTorch f32", "PyTorch bf16"
QUIET = 0.3  # load average of other programs that a quotable run can bear


def machine(version, load, rounds):
    info = Path("/proc/cpuinfo")
    first = info.read_text().split("\n\n")[0].splitlines() if info.is_file() else []
    of = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first)}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in of.get("flags", "").split()]
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = f" (family {of['cpu family']}, model {of['model']})" if "cpu family" in of else ""
    return {
        "processor": of.get("model name", platform.machine()) + model,
        "instructions": flags,
        "cores": allowed,
        "system": f"{platform.system()} {platform.release()}",
        "load_at_start": round(load, 2),
        "rounds": rounds,
        "versions": {
            "convscope": version.removeprefix("convscope "),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }


def markdown(machine, models, compared, peaks, times, held):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    cores = f"{machine['cores']} cores ({', '.join(machine['instructions'])})"
    yield f"{machine['processor']}, {cores}, {machine['system']}; {versions}."
    yield (
        f"Images/s: batch size over the median time, median of {count(machine['rounds'], 'round')}; ratios: median "
        "(least–greatest) of each round's. PyTorch f32 is the better of plain and channels-last; its optimizer is the fused one."
    )
    if machine["load_at_start"] > QUIET:
        yield f"\n**Not to be quoted: the machine was busy (load average {machine['load_at_start']} before the start).**"
    peak = ", ".join(f"{gflops:.0f} with {count(threads, 'thread')}" for threads, gflops in peaks.items())
    yield f"\nPeak of f32 FMA, at least (PyTorch's product of 2048 × 2048 matrices, best of 12), GFLOP/s: {peak}."
    for name, model in models.items():
        rates = ((gflops * 1e9 / model.flop, threads) for threads, gflops in peaks.items())
        bound = ", ".join(f"{rate:,.0f} with {count(threads, 'thread')}" for rate, threads in rates)
        yield f"\n### {name}\n"
        yield f"{model.flop / 1e6:.1f} MFLOP an image, forward, by the direct method; images/s at that peak: {bound}."
        yield "\nCompared before anything was timed, at every batch size and number of threads; ours differ by at most\n"
        for what, of in compared[name].items():
            yield f"- {what}: " + "; ".join(f"{difference:.1e} from {peer}" for peer, difference in of.items())
        for mode, title in (("forward", "Forward"), ("train", "Training step")):
            rows = {case: of for case, of in times.items() if (case.model, case.mode) == (name, mode)}
            if rows:
                yield from table(title, rows, held)


def table(title, rows, held):
    peers = [peer for peer in (ORT, F32, BF16) if peer in best(next(iter(rows.values())))]
    memory = any(case in held for case in rows)
    head = ["threads", "batch", OURS, *peers, *(f"÷ {peer}" for peer in peers)]
    head += ["peak MB: ours / f32 / bf16 (PyTorch imported)"] if memory else []
    yield f"\n{title}, images/s\n"
    yield "| " + " | ".join(head) + " |"
    yield "|" + " ---: |" * len(head)
    for case, of in rows.items():
        of = best(of)
        cells = [case.threads, case.batch, *(f"{case.batch / median(of[name]):,.0f}" for name in (OURS, *peers))]
        cells += [ratio(of[OURS], of[peer]) for peer in peers]
        cells += [megabytes(held[case]) if case in held else ""] if memory else []
        yield "| " + " | ".join(map(str, cells)) + " |"


def best(of):
    """Each contender's best setting here: the one of the least median time."""
    groups = {name: [own for full, own in of.items() if full.startswith(name)] for name in (OURS, ORT, F32, BF16)}
    return {name: min(group, key=median) for name, group in groups.items() if group}


def count(number, noun):
    return f"{number} {noun}" + "s" * (number != 1)


def ratio(ours, theirs):
    of = sorted(their / our for our, their in zip(ours, theirs))
    return f"{median(of):.2f} ({of[0]:.2f}–{of[-1]:.2f})"


def megabytes(held):
    least = lambda name: min(mb for full, mb in held.items() if full.startswith(name))
    return f"{held[OURS]:.0f} / {least(F32):.0f} / {least(BF16):.0f} ({held[IMPORTED]:.0f})"
