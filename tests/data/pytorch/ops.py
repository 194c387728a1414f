"""Writes ops.safetensors: what PyTorch gives for every kind of layer, and its gradients, in f64.

    python tests/data/pytorch/ops.py

Written with torch 2.15.0 (CPU). Each case is a name, an op and its arguments (the metadata's `cases`), and its tensors,
`NAME.x` and so on; `dy` is the gradient the output is given, `d…` are the gradients that come back.
"""

import json
import struct
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)
cases, tensors = [], {}


def exact(x):
    """The nearest numbers that an f32 holds, so that both precisions start from the same."""
    return x.float().double()


def rand(*shape):
    return exact(torch.randn(shape))


def record(name, op, forward, inputs, **arguments):
    inputs = {key: value.requires_grad_(value.is_floating_point()) for key, value in inputs.items()}
    y = forward(*inputs.values())
    dy = rand(*y.shape)
    y.backward(dy)
    cases.append({"name": name, "op": op, "arguments": arguments})
    for key, value in inputs.items():
        tensors[f"{name}.{key}"] = value.detach()
        if value.grad is not None:
            tensors[f"{name}.d{key}"] = value.grad
    tensors[f"{name}.y"], tensors[f"{name}.dy"] = y.detach(), dy


def conv2d(name, x, out_channels, kernel_size, stride=1, padding=0, groups=1, bias=True):
    inputs = {"x": rand(*x), "weight": rand(out_channels, x[1] // groups, kernel_size, kernel_size)}
    if bias:
        inputs["bias"] = rand(out_channels)
    forward = lambda x, w, b=None: F.conv2d(x, w, b, stride, padding, 1, groups)
    arguments = dict(out_channels=out_channels, kernel_size=kernel_size, stride=stride, padding=padding, groups=groups, bias=bias)
    record("conv2d, " + name, "conv2d", forward, inputs, **arguments)


conv2d("same size", (2, 3, 6, 6), 4, 3, padding=1)
conv2d("odd plane", (3, 2, 5, 7), 3, 3)
conv2d("stride 2 on mixed parity", (2, 2, 6, 5), 3, 3, stride=2, padding=1)
conv2d("stride 2, left-over row and column", (2, 2, 6, 8), 2, 3, stride=2)
conv2d("stride 2, left-over row", (1, 2, 6, 7), 2, 3, stride=2)
conv2d("stride 3, gaps between windows", (2, 2, 8, 7), 2, 2, stride=3)
conv2d("two groups", (2, 4, 5, 6), 6, 3, stride=2, padding=1, groups=2)
conv2d("depthwise", (2, 4, 5, 5), 4, 3, padding=1, groups=4, bias=False)
conv2d("pointwise", (2, 3, 4, 5), 5, 1, bias=False)
conv2d("pointwise, stride 2", (2, 3, 5, 4), 2, 1, stride=2)
conv2d("kernel = plane, one image", (1, 3, 5, 5), 4, 5)
conv2d("wide padding", (2, 2, 4, 3), 3, 5, padding=2)


def pool(name, op, x, kernel_size, stride=None, padding=0):
    stride = stride or kernel_size
    forward = lambda x: getattr(F, op)(x, kernel_size, stride, padding)
    record(f"{op}, {name}", op, forward, {"x": x}, kernel_size=kernel_size, stride=stride, padding=padding)


for op in ("max_pool2d", "avg_pool2d"):
    pool("2 × 2", op, rand(2, 3, 6, 4), 2)
    pool("odd plane", op, rand(2, 2, 7, 5), 2)
    pool("ties", op, torch.randint(-1, 2, (2, 3, 6, 6)).double(), 2)
    pool("ties, overlapping and padded", op, torch.randint(-1, 2, (2, 2, 7, 6)).double(), 3, 2, 1)
    pool("zeros", op, torch.zeros(1, 2, 4, 4), 3, 1, 1)
    pool("kernel = plane, one image", op, rand(1, 2, 4, 4), 4)
    pool("gaps between windows", op, rand(1, 2, 7, 8), 2, 3)


def adaptive(name, x, output_size):
    forward = lambda x: F.adaptive_avg_pool2d(x, output_size)
    record("adaptive_avg_pool2d, " + name, "adaptive_avg_pool2d", forward, {"x": rand(*x)}, output_size=output_size)


adaptive("to one", (2, 3, 5, 4), 1)
adaptive("to a divisor", (2, 2, 6, 4), 2)
adaptive("overlapping", (2, 2, 7, 5), 3)
adaptive("to more than there is", (1, 2, 3, 2), 5)

for name, batch, bias in (("batch of 4", 4, True), ("one image", 1, True), ("no bias", 3, False)):
    inputs = {"x": rand(batch, 7), "weight": rand(5, 7)}
    if bias:
        inputs["bias"] = rand(5)
    record("linear, " + name, "linear", F.linear, inputs, out_features=5, bias=bias)

edges = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 90.0, -90.0])
for op in ("relu", "gelu", "silu"):
    record(op, op, getattr(F, op), {"x": torch.cat([exact(edges), rand(21)])})

for name, shape in (("batch of 3", (3, 4, 3, 5)), ("one image", (1, 2, 4, 3)), ("a pixel", (5, 3, 1, 1))):
    channels = shape[1]
    inputs = {"x": exact(rand(*shape) * 3 + 2), "weight": rand(channels), "bias": rand(channels)}
    mean, variance = torch.zeros(channels), torch.zeros(channels)  # With momentum 1 they become the batch's.
    train = lambda x, w, b: F.batch_norm(x, mean, variance, w, b, training=True, momentum=1.0, eps=1e-5)
    record("batch_norm2d, " + name, "batch_norm2d", train, inputs, eps=1e-5)
    tensors[f"batch_norm2d, {name}.mean"], tensors[f"batch_norm2d, {name}.variance"] = mean, variance
    inputs = {"x": rand(*shape), "weight": rand(channels), "bias": rand(channels)}
    running = {"mean": rand(channels), "variance": exact(rand(channels) ** 2 + 0.5)}
    kept = lambda x, w, b: F.batch_norm(x, running["mean"], running["variance"], w, b, training=False, eps=1e-3)
    record("batch_norm2d_eval, " + name, "batch_norm2d_eval", kept, inputs, eps=1e-3)
    tensors |= {f"batch_norm2d_eval, {name}.{key}": value for key, value in running.items()}

for name, x, smoothing in (
    ("plain", rand(6, 10), 0.0),
    ("smoothed", rand(6, 10), 0.125),
    ("large scores", exact(rand(4, 5) * 300), 0.125),
    ("ties", torch.randint(0, 2, (8, 3)).double(), 0.0),
    ("one image", rand(1, 2), 0.25),
):
    labels = torch.randint(0, x.shape[1], (len(x),))
    forward = lambda x: F.cross_entropy(x, labels, label_smoothing=smoothing)
    name = "cross_entropy, " + name
    record(name, "cross_entropy", forward, {"x": x}, smoothing=smoothing, labels=labels.tolist())
    tensors[f"{name}.correct"] = (x.argmax(1) == labels).double().sum()

# Constants an f32 holds exactly. Three updates: the first starts from no momentum.
for name, momentum, nesterov, decay in (
    ("plain", 0.0, False, 0.0),
    ("decay", 0.0, False, 0.125),
    ("momentum", 0.875, False, 0.0),
    ("momentum and decay", 0.875, False, 0.125),
    ("nesterov", 0.875, True, 0.125),
):
    name = "sgd, " + name
    weights = rand(9).requires_grad_()
    tensors[f"{name}.x"] = weights.detach().clone()
    sgd = torch.optim.SGD([weights], lr=0.0625, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    for step in range(3):
        weights.grad = rand(9)
        tensors[f"{name}.gradient{step}"] = weights.grad.clone()
        sgd.step()
    tensors[f"{name}.y"] = weights.detach().clone()
    arguments = dict(learning_rate=0.0625, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    cases.append({"name": name, "op": "sgd", "arguments": arguments})

# Added later: after all others, whose random numbers stay the same.
for slope in (0.01, 0.2, -0.5, 0.0):
    leaky = lambda x: F.leaky_relu(x, slope)
    record(f"leaky_relu, {slope}", "leaky_relu", leaky, {"x": torch.cat([exact(edges), rand(9)])}, negative_slope=slope)

record("tanh", "tanh", torch.tanh, {"x": torch.cat([exact(edges), rand(9)])})

record("sigmoid", "sigmoid", torch.sigmoid, {"x": torch.cat([exact(edges), rand(9)])})



def dilated(name, x, out_channels, kernel_size, dilation, stride=1, padding=0, groups=1):
    inputs = {"x": rand(*x), "weight": rand(out_channels, x[1] // groups, kernel_size, kernel_size), "bias": rand(out_channels)}
    forward = lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, groups)
    arguments = dict(out_channels=out_channels, kernel_size=kernel_size, dilation=dilation, stride=stride, padding=padding, groups=groups)
    record("conv2d, " + name, "conv2d", forward, inputs, **arguments)


dilated("dilation 2, same size", (2, 3, 6, 5), 4, 3, 2, padding=2)
dilated("dilation 3, stride 2, left-over row", (1, 2, 9, 8), 2, 3, 3, stride=2, padding=1)
dilated("dilation 2, depthwise", (2, 4, 7, 7), 4, 3, 2, padding=1, groups=4)

header, body = {"__metadata__": {"cases": json.dumps(cases)}}, b""
for name, value in tensors.items():
    values = value.contiguous().numpy().astype("<f8").tobytes()
    header[name] = {"dtype": "F64", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(values)]}
    body += values
header = json.dumps(header).encode()
header += b" " * (-len(header) % 8)
path = Path(__file__).with_suffix(".safetensors")
path.write_bytes(struct.pack("<Q", len(header)) + header + body)
print(f"{len(cases)} cases, {len(body) // 8} numbers, {path.stat().st_size} bytes")
