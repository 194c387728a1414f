"""Before anything is timed: do all give the same answers?"""

import numpy as np
import torch

import in_onnxruntime
import in_torch

PROBABILITIES = 1e-5  # at most, absolute
LOSSES = 1e-4  # at most, relative
LEARNING_RATE = 0.001  # of `convscope bench --answers --train`


def compare(model, ours, given, modes):
    """Probabilities or losses → peer → how far from ours at most; ends the program where that is too far."""
    furthest = {}

    def hold(what, peer, difference, most, where):
        of = furthest.setdefault(what, {})
        of[peer] = max(of.get(peer, 0.0), difference)
        if most is not None and not difference <= most:
            apart = f"our {what} are {difference:.2g} from {peer}'s, and {most:g} is allowed"
            raise SystemExit(f"{model.name}, {where}: {apart}; nothing was timed")

    for threads in given.threads:
        torch.set_num_threads(threads)
        for mode in modes:
            mine = ours.answers(model, given.batch, threads, mode == "train")
            for batch in given.batch:
                images, labels = model.images(given.data, batch)
                where = f"{mode}, --threads {threads}, batch {batch}"
                if mode == "forward":
                    for name, theirs, most in forward(model, threads, images):
                        got = np.float32(mine[batch]).reshape(theirs.shape)
                        hold("probabilities", name, float(np.abs(got - theirs).max()), most, where)
                else:
                    for name, theirs, most in losses(model, images, labels, len(mine[batch])):
                        relative = np.abs(np.float64(mine[batch]) / theirs - 1)
                        hold(f"losses of {len(theirs)} steps (relative)", name, float(relative.max()), most, where)
    return furthest


def forward(model, threads, images):
    """Name, probabilities, how far they may be from ours. Half precision is compared for the reader, not to pass or fail."""
    yield "ONNX Runtime", in_onnxruntime.forward(model, threads, images)(), PROBABILITIES
    for setting in in_torch.SETTINGS:
        yield setting.name, in_torch.forward(model, setting, images)(), None if setting.bf16 else PROBABILITIES


def losses(model, images, labels, count):
    """Name, losses of the first steps, how far they may be from ours. Without dropout, whose masks differ; the second and
    third loss follow from the gradients and the update."""
    for setting in in_torch.SETTINGS:
        once = in_torch.training(model, setting, images, labels, LEARNING_RATE, dropout=False)
        yield setting.name, np.float64([once() for _ in range(count)]), None if setting.bf16 else LOSSES
