"""What `convscope train --tensorboard` writes, read by TensorBoard itself and held to the run's own events.

Usage: check.py PROGRAM
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

program = Path(sys.argv[1]).resolve()
images = Path(__file__).parent.parent / "data" / "cifar-10-batches-bin"
with tempfile.TemporaryDirectory() as folder:
    command = [program, "train", "--arch", "lenet5", "--data", images, "--out", f"{folder}/m.safetensors", "--epochs", "3"]
    run = subprocess.run([*command, "--tensorboard", f"{folder}/board", "--events", "jsonl"], check=True, capture_output=True, text=True)
    events = [json.loads(line) for line in run.stdout.splitlines()]
    board = EventAccumulator(f"{folder}/board")
    board.Reload()
    names = {"epoch": ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate"), "step": ("train_loss", "learning_rate", "gradient_norm")}
    for kind, keys in names.items():
        told = [event["data"] for event in events if event["event"] == kind]
        at = lambda data: data["epoch"] if kind == "epoch" else (data["epoch"] - 1) * data["steps"] + data["step"]
        for key in keys:
            read = [(scalar.step, scalar.value) for scalar in board.Scalars(f"{kind}/{key}")]
            assert [step for step, _ in read] == [at(data) for data in told], (kind, key, read)
            assert all(math.isclose(value, data[key], rel_tol=1e-6) for (_, value), data in zip(read, told)), (kind, key, read)
    print(f"{sum(len(board.Scalars(tag)) for tag in board.Tags()['scalars'])} numbers under {len(board.Tags()['scalars'])} tags")
