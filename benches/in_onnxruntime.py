"""A model as an ONNX graph, and its forward pass in ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from model import step

OPSET = 20  # the first with Gelu


def graph(model, batch):
    """The graph for batches of this size (a fixed size is ONNX Runtime's best case), batch norm and dropout as in evaluation."""
    nodes, constants = [], []
    outputs = [f"y{at}" for at in range(len(model.layers))]

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))

    for at, (layer, y) in enumerate(zip(model.layers, outputs)):
        x = [outputs[source] if source >= 0 else "images" for source in model.read[at]]
        own = {name: constant(f"{at}.{name}", value) for name, value in model.parameters_of(at).items()}
        affine = [own[name] for name in ("weight", "bias") if name in own]
        kind, padding = layer["kind"], [layer.get("padding", 0)] * 4
        if "kernel_size" in layer:
            window = {"kernel_shape": [layer["kernel_size"]] * 2, "strides": [step(layer)] * 2, "pads": padding}
        if kind == "conv2d":
            node("Conv", x + affine, y, group=layer.get("groups", 1), **window)
        elif kind == "batch_norm2d":
            node("BatchNormalization", x + affine + [own["running_mean"], own["running_var"]], y, epsilon=layer.get("eps", 1e-5))
        elif kind == "max_pool2d":
            node("MaxPool", x, y, **window)
        elif kind == "avg_pool2d":
            node("AveragePool", x, y, count_include_pad=1, **window)
        elif kind == "adaptive_avg_pool2d" and layer["output_size"] == 1:
            node("GlobalAveragePool", x, y)
        elif kind == "adaptive_avg_pool2d":
            # ONNX has no such pool: means of rows, then of columns, as two products with fixed matrices.
            rows, columns = (averages(side, layer["output_size"]) for side in model.input_of(at)[1:])
            node("MatMul", [constant(f"{at}.rows", rows)] + x, y + ".rows")
            node("MatMul", [y + ".rows", constant(f"{at}.columns", columns.T)], y)
        elif kind == "linear":
            node("Gemm", x + affine, y, transB=1)
        elif kind == "silu":
            node("Sigmoid", x, y + ".sigmoid")
            node("Mul", x + [y + ".sigmoid"], y)
        elif kind in (plain := {"relu": "Relu", "gelu": "Gelu", "dropout": "Identity", "flatten": "Flatten", "add": "Add"}):
            node(plain[kind], x, y)
        else:
            raise SystemExit(f"layer {layer['name']}: benches/in_onnxruntime.py does not know the kind {kind}")
    node("Softmax", [outputs[-1]], "probabilities", axis=1)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *model.input])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, *model.shapes[-1]])
    made = helper.make_graph(nodes, model.name, [images], [probabilities], constants)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(made)
    return made


def averages(side, count):
    """Row i takes the mean over window i of PyTorch's adaptive pool: from ⌊i·side/count⌋ to ⌈(i + 1)·side/count⌉."""
    matrix = np.zeros((count, side), np.float32)
    for i in range(count):
        begin, end = i * side // count, -(-(i + 1) * side // count)
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix


def forward(model, threads, images):
    """A call gives the probabilities of these images."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    made = graph(model, len(images)).SerializeToString()
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images})[0]
