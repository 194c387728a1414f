"""Convscope, timed from outside: its own `bench` command, which warms up, in a process of its own."""

import json
import os
import subprocess
from pathlib import Path


class Convscope:
    def __init__(self, program, data):
        self.program, self.data = Path(program), data
        if not self.program.is_file():
            raise SystemExit(f"{program} is not there: build it with `cargo build --release`, or say where it is with --convscope")

    def command(self, model, batches, threads, train, *more):
        batches = ",".join(map(str, batches))
        mode = ["--train"] if train else []
        return [self.program, "bench", "--model", model.path, "--batch", batches, "--threads", str(threads), *mode, *more]

    def ask(self, command, threads):
        # The variable too: the kernels' own threads follow it, the option only rayon's.
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def answers(self, model, batches, threads, train):
        """batch → probabilities, image after image, or the losses of three steps."""
        command = self.command(model, batches, threads, train, "--answers", "--data", self.data)
        return {row["batch"]: row["values"] for row in json.loads(self.ask(command, threads))}

    def p50(self, model, batch, threads, train):
        """Median seconds of a pass or step."""
        command = self.command(model, [batch], threads, train, "--json", "--data", self.data)
        return json.loads(self.ask(command, threads))[0]["p50_ms"] / 1e3

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.strip()
