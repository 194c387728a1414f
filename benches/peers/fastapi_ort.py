"""FastAPI and ONNX Runtime: how one serves the same network in Python, at its usual best.

A process a core, each with one session of one thread, which evaluates where the request was read: handing so little work to another
thread costs more than it gains. Started by uvicorn with uvloop and httptools, and no access log; `SETTINGS` names the settings.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request, Response
from PIL import Image

SETTINGS = json.loads(Path(os.environ["SETTINGS"]).read_text())
SIZE = (SETTINGS["width"], SETTINGS["height"])
MEAN, STD = (np.float32(SETTINGS[key]).reshape(3, 1, 1) for key in ("mean", "std"))
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = OPTIONS.inter_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(SETTINGS["model"], OPTIONS, providers=["CPUExecutionProvider"])

app = FastAPI()


@app.post("/classify")
async def classify(request: Request):
    picture = Image.open(io.BytesIO(await request.body())).convert("RGB")
    if picture.size != SIZE:
        side = min(picture.size)
        left, top = ((length - side) // 2 for length in picture.size)
        picture = picture.crop((left, top, left + side, top + side)).resize(SIZE, Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255)
    images = np.ascontiguousarray(((pixels - MEAN) / STD)[None])
    (probabilities,) = SESSION.run(None, {"images": images})[0].tolist()
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    answer = {"label": SETTINGS["classes"][best], "probability": probabilities[best], "probabilities": probabilities}
    return Response(json.dumps(answer), media_type="application/json")
