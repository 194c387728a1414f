"""How much memory training takes at most, measured from outside.

    python peak_memory.py COMMAND…                            # prints the KiB that the command held at most
    python peak_memory.py --steps MODEL DATA SETTING BATCH    # a few of PyTorch's steps, to be measured by the above

A process's peak starts at that of the process it was forked from, so the measuring process must itself be small: it imports
nothing large.
"""

import os
import resource
import subprocess
import sys


def of(command, threads):
    """MB that `command` held at most (resident, its libraries' touched pages included)."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, *map(str, command)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return int(done.stdout) * 1024 / 1e6


def of_torch(model, data, setting, batch, threads):
    """MB of a few of PyTorch's steps and, batch 0, of its import and the images alone."""
    return of([sys.executable, __file__, "--steps", model.path, data, setting, batch], threads)


def steps(path, data, setting, batch):
    import in_torch
    from model import Model

    model, setting = Model(path), next(s for s in in_torch.SETTINGS if s.name == setting)
    images, labels = model.images(data, max(batch, 1))
    if batch:
        once = in_torch.training(model, setting, images, labels)
        for _ in range(5):
            once()


if __name__ == "__main__":
    if sys.argv[1] == "--steps":
        steps(*sys.argv[2:5], int(sys.argv[5]))
    else:
        subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
