"""Triton's client, over HTTP."""

import base64

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

MODEL = "speedrun"


def tensor(datatype, values, binary, shape=None):
    made = triton.InferInput("image", list(values.shape) if shape is None else shape, datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def refused(ask, *said):
    """Fails unless `ask` is refused in words that hold all of `said`."""
    try:
        ask()
    except InferenceServerException as error:
        words = str(error)
        assert all(part in words for part in said), f"refused, but not as {said}: {words}"
        return
    raise AssertionError(f"not refused: {said}")


def check(address, known):
    with triton.InferenceServerClient(address) as client:
        about(client, known)
        tensors(client, known)
        classes(client, known)
        refusals(client, known)


def about(client, known):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("nothing") and not client.is_model_ready(MODEL, "99")
    server = client.get_server_metadata()
    assert server["name"] == "convscope" and "binary_tensor_data" in server["extensions"], server
    model = client.get_model_metadata(MODEL)
    assert model == client.get_model_metadata(MODEL, "1") and "1" in model["versions"], model
    image, classes = [-1, *known.pixels.shape[1:]], [-1, len(known.classes)]
    assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": image}], model
    outputs = [("probabilities", classes), ("familiarity", [-1, 1])]
    assert model["outputs"] == [{"name": name, "datatype": "FP32", "shape": shape} for name, shape in outputs], model
    print("  health and metadata")


def tensors(client, known):
    floats = known.pixels.astype(np.float32) / np.float32(255)
    files = np.array(known.files, dtype=np.object_)
    texts = np.array([base64.b64encode(file) for file in known.files], dtype=np.object_)
    for datatype, values, binary in (
        ("FP32", floats, True),
        ("FP32", floats, False),
        ("UINT8", known.pixels, True),
        ("UINT8", known.pixels, False),
        ("BYTES", files, True),
        ("BYTES", texts, False),
        ("BYTES", files.reshape(-1, 1), True),
    ):
        for wanted in (None, True, False):
            outputs = None if wanted is None else [triton.InferRequestedOutput("probabilities", binary_data=wanted)]
            answer = client.infer(MODEL, [tensor(datatype, values, binary)], outputs=outputs, request_id="an id")
            assert answer.get_response()["id"] == "an id"
            ways = "bytes" if binary else "JSON", "bytes" if wanted in (None, True) else "JSON"
            known.check(answer.as_numpy("probabilities"), f"{datatype} {list(values.shape)} as {ways[0]}, answered as {ways[1]}")
    alone = [client.infer(MODEL, [tensor("UINT8", image[None], True)], model_version="1") for image in known.pixels]
    known.check(np.concatenate([answer.as_numpy("probabilities") for answer in alone]), "one by one")
    familiar = np.concatenate([answer.as_numpy("familiarity").ravel() for answer in alone])
    assert np.abs(familiar - known.familiarity).max() <= 1e-6, familiar
    pending = [client.async_infer(MODEL, [tensor("FP32", floats, True)], headers={"x-timeout-ms": "20000"}) for _ in range(4)]
    for one in pending:
        known.check(one.get_result().as_numpy("probabilities"), "several at once")


def classes(client, known):
    for binary in (True, False):
        output = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
        given = client.infer(MODEL, [tensor("UINT8", known.pixels, True)], outputs=[output]).as_numpy("probabilities")
        assert given.shape == (len(known.files), 3), given
        for row, expected in zip(given, known.probabilities):
            for text, place in zip(row, np.argsort(-expected)):
                value, index, label = (text.decode() if isinstance(text, bytes) else text).split(":")
                assert (int(index), label) == (place, known.classes[place]), text
                assert abs(float(value) - expected[place]) <= 1e-6, text
    print("  the three most probable classes")


def refusals(client, known):
    infer = lambda *inputs, **options: lambda: client.infer(MODEL, list(inputs), **options)
    pixels = known.pixels
    other = triton.InferInput("picture", list(pixels.shape), "UINT8")
    other.set_data_from_numpy(pixels)
    refused(infer(other), "no input `picture`", "image")
    refused(infer(tensor("INT32", pixels.astype(np.int32), True)), "no datatype `INT32`", "FP32, UINT8, BYTES")
    refused(infer(tensor("UINT8", pixels.transpose(0, 2, 3, 1), True)), "[-1, 3, 32, 32]", "channels come before rows")
    refused(infer(tensor("UINT8", pixels, True), tensor("UINT8", pixels, True)), "one tensor")
    refused(infer(tensor("FP32", pixels.astype(np.float32), True)), "FP32 samples are in [0, 1]")
    refused(infer(tensor("FP32", np.full(pixels.shape, np.nan, np.float32), True)), "NaN at [0, 0, 0, 0]")
    refused(infer(tensor("BYTES", np.array([b"no image at all, in truth"], dtype=np.object_), True)), "PNG")
    named = lambda name: [triton.InferRequestedOutput(name)]
    refused(infer(tensor("UINT8", pixels, True), outputs=named("scores")), "no output `scores`", "probabilities")
    refused(infer(tensor("UINT8", pixels, True), model_version="99"), "version 99")
    refused(lambda: client.infer("nothing", [tensor("UINT8", pixels, True)]), "nothing", MODEL)
    refused(infer(tensor("UINT8", pixels, True), request_compression_algorithm="gzip"), "Content-Encoding")
    print("  refusals")
