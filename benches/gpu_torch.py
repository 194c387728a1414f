"""The tutorial network in PyTorch on the same device: images a second as JSON.

    python3 gpu_torch.py MODEL DATA cpu|cuda BATCH,BATCH SECONDS

As in `convscope bench`, a call takes images from memory and leaves probabilities, or a step's loss, there.
"""

import json
import sys
from time import perf_counter

try:
    import torch
    from torch.nn import functional as F

    import in_torch
    from model import Model
except ImportError as error:
    sys.exit(f"PyTorch is not compared with: {error.name} is missing")

WARM_UP, LEAST = 3, 20
# Name, whether products and convolutions may round f32 to TF32, memory format.
SETTINGS = [("f32, TF32 off", False, False), ("TF32 on", True, False), ("TF32 on, channels-last", True, True)]


def forward(model, device, channels_last, images, _labels):
    network = network_of(model, channels_last).to(device).eval()

    @torch.inference_mode()
    def once():
        F.softmax(network(placed(images, device, channels_last)), dim=1).cpu()

    return once


def train(model, device, channels_last, images, labels):
    network = network_of(model, channels_last).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-6, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)

    def once():
        optimizer.zero_grad(set_to_none=True)
        output = network(placed(images, device, channels_last))
        loss = F.cross_entropy(output, labels.to(device, non_blocking=True), label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        loss.item()

    return once


def network_of(model, channels_last):
    return in_torch.Network(model, in_torch.Setting("", channels_last, False))


def placed(images, device, channels_last):
    x = images.to(device, non_blocking=True)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def median_time(once, seconds, synchronize):
    """Median seconds of a call, whatever it started on the device included."""
    for _ in range(WARM_UP):
        once()
    synchronize()
    times, begin = [], perf_counter()
    least = LEAST if seconds >= 1 else 1
    while len(times) < least or perf_counter() - begin < seconds:
        start = perf_counter()
        once()
        synchronize()
        times.append(perf_counter() - start)
    return sorted(times)[len(times) // 2]


def main(path, data, device, batches, seconds):
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"PyTorch {torch.__version__} finds no CUDA card here")
    cuda, model, rates = device == "cuda", Model(path), []
    torch.backends.cudnn.benchmark = True
    synchronize = torch.cuda.synchronize if cuda else lambda: None
    # TF32 is a card's: on the processor all would be one setting.
    for name, tf32, channels_last in SETTINGS if cuda else [("f32", False, False)]:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        for mode in (forward, train):
            for batch in map(int, batches.split(",")):
                images, labels = map(torch.from_numpy, model.images(data, batch))
                images, labels = (images.pin_memory(), labels.pin_memory()) if cuda else (images, labels)
                once = mode(model, device, channels_last, images, labels)
                rate = batch / median_time(once, min(float(seconds), 1.0), synchronize)
                rates.append({"setting": name, "mode": mode.__name__, "batch": batch, "images_per_second": rate})
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    print(json.dumps({"versions": versions, "rates": rates}))


if __name__ == "__main__":
    main(*sys.argv[1:])
