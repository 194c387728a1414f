"""KServe's client, REST, version 2."""

import asyncio
import base64

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODEL = "speedrun"


def check(address, known):
    asyncio.run(ask(f"http://{address}", known))


async def ask(url, known):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=30))
    try:
        assert await client.is_server_live(url) and await client.is_server_ready(url)
        assert await client.is_model_ready(url, MODEL)
        print("  health")
        await tensors(client, url, known)
    finally:
        await client.close()


async def tensors(client, url, known):
    floats = known.pixels.astype(np.float32) / np.float32(255)
    files = np.array(known.files, dtype=np.object_)
    texts = np.array([base64.b64encode(file).decode() for file in known.files], dtype=np.object_)
    for datatype, values, binary in (
        ("FP32", floats, True),
        ("FP32", floats, False),
        ("UINT8", known.pixels, True),
        ("UINT8", known.pixels, False),
        ("BYTES", files, True),
        ("BYTES", texts, False),
    ):
        for wanted in (True, False):
            image = InferInput("image", list(values.shape), datatype)
            image.set_data_from_numpy(values, binary_data=binary)
            output = RequestedOutput("probabilities", {"binary_data": wanted})
            request = InferRequest(MODEL, [image], request_id="an id", request_outputs=[output])
            answer = await client.infer(url, request, model_name=MODEL)
            assert answer.id == "an id" and answer.model_name == MODEL, answer
            given = answer.get_output_by_name("probabilities").as_numpy()
            ways = ("bytes" if binary else "JSON"), ("bytes" if wanted else "JSON")
            known.check(given, f"{datatype} {list(values.shape)} as {ways[0]}, answered as {ways[1]}")
