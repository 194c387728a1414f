"""What the parts of gpu.sh left, in one JSON file and as a table."""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("parts", "device", "version", "libraries", "seconds"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def part(work, name):
    """{"part", "seconds", "result"}, or "error" for one that failed, with what it printed all the same."""
    read = lambda what: (work / f"{name}.{what}").read_text(errors="replace") if (work / f"{name}.{what}").is_file() else ""
    found, code, said = {"part": name, "seconds": int(read("seconds") or 0)}, int(read("code") or 1), read("err").strip()
    try:
        found["result"] = json.loads(read("out"))
    except ValueError:
        code = code or 1
        said = said or "it printed no JSON"
    if code:
        # The end of a long text says what went wrong.
        found["error"] = said[-1000:] or f"it ended with code {code}"
    elif name in ("classify", "serve") and found["result"].get("label") != "horse":
        found["error"] = f"the horse is taken for `{found['result'].get('label')}`"
    return found


def machine():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=20)
        said = asked.stdout.strip().splitlines() if asked.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired):
        said = []
    cards = [dict(zip(("name", "driver", "memory"), line.split(", "))) for line in said]
    return {"cards": cards, "cpu": processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def sentence(found):
    """One part's line of the table."""
    if "error" in found:
        lines = found["error"].splitlines()
        return f"FAILED: {next((line for line in lines if line.startswith('error: ')), lines[-1])}"
    name, result = found["part"], found["result"]
    if name == "selftest":
        worst = max(result["checks"], key=lambda check: (check["difference"] or 0.0) / check["limit"])
        what = f"{worst['what']} {worst['pass']} {worst['difference']:.1e} of {worst['limit']:.0e}"
        return f"{len(result['checks'])} checks passed, nearest to its limit {what}"
    if name == "classify":
        return f"{result['label']} {100 * result['probability']:.1f} %"
    if name == "eval":
        low, high = (100 * bound for bound in result["interval95"])
        return f"{100 * result['accuracy']:.2f} % of {result['images']} images right ({low:.2f} to {high:.2f}), loss {result['loss']:.4f}"
    if name == "serve":
        rate = lambda load: f"{load['requests_per_second']:,.0f} requests/s over {load['connections']}, p99 {load['p99_ms']:.1f} ms"
        return "; ".join(map(rate, result["loads"]))
    return "see below"


def rates(parts):
    """The table of images a second: a row for every mode and batch, a column for every program."""
    columns = {}
    for found in parts:
        result, name = found.get("result"), found["part"]
        if "error" in found or name not in ("forward", "train", "pytorch"):
            continue
        for row in result["rates"] if name == "pytorch" else result:
            program = f"PyTorch {row['setting']}" if name == "pytorch" else "Convscope"
            columns.setdefault(program, {})[row["mode"], row["batch"]] = row["images_per_second"]
    if not columns:
        return
    yield "\n" + "images/s".ljust(16) + "".join(f"  {program:>14}" for program in columns)
    for mode, batch in sorted({case for column in columns.values() for case in column}):
        figures = ((column.get((mode, batch)), max(14, len(program))) for program, column in columns.items())
        cells = "".join(f"  {'-' if rate is None else format(rate, ',.0f'):>{width}}" for rate, width in figures)
        yield f"{mode} {batch}".ljust(16) + cells


def main():
    given = arguments()
    parts = [part(given.work, name) for name in given.parts.split(",")]
    libraries = [folder for folder in given.libraries.split(":") if folder]
    report = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "convscope": given.version,
        "device": given.device,
        "machine": machine(),
        "libraries": libraries,
        "python": platform.python_version(),
        "seconds": int(given.seconds),
        "parts": parts,
    }
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    where = [f"{card['name']}, driver {card['driver']}" for card in report["machine"]["cards"]] or ["no NVIDIA card"]
    print(f"{given.version or 'convscope (does not start)'}, device {given.device}: {', '.join(where)}; {report['machine']['cpu']}")
    for found in parts:
        print(f"{found['part']:<10} {found['seconds']:>4} s  {sentence(found)}")
    print("\n".join(rates(parts)))
    ours = [found for found in parts if found["part"] != "pytorch"] or parts
    if all("error" in found for found in ours):
        sys.exit("gpu.sh: nothing worked; the JSON file has every error whole")


if __name__ == "__main__":
    main()
