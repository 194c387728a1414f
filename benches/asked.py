"""A model, asked as its users ask it: pictures as files through `POST /classify` of the program's own server."""

import http.client
import json
import struct
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import contenders
from model import RECORD, split

THREADS = 2 * contenders.CORES  # each with a connection of its own


def images(folder, which="test_batch.bin"):
    """Images (count × 32 × 32 × 3) and labels of a file of CIFAR-10's binary version."""
    folder = Path(folder)
    places = [folder / which, folder / "cifar-10-batches-bin" / which]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise SystemExit(f"{folder} has no {which}: give CIFAR-10's binary version (`convscope fetch-data` brings it)")
    records = np.fromfile(file, np.uint8).reshape(-1, RECORD)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), records[:, 0].astype(np.int64)


def metadata(file):
    """What the model in this file says of itself."""
    header, _ = split(Path(file).read_bytes())
    return json.loads(header["__metadata__"]["convscope"])


def with_fit(file, fit, out):
    """The same model, pictures of other proportions being brought to its size by `fit`: numbers and their digest stay."""
    header, data = split(Path(file).read_bytes())
    own = json.loads(header["__metadata__"]["convscope"])
    own["preprocessing"]["fit"] = fit
    header["__metadata__"]["convscope"] = json.dumps(own, ensure_ascii=False, separators=(",", ":"))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    Path(out).write_bytes(struct.pack("<Q", len(text)) + text + data)


class Asked:
    """A server of one model while it runs."""

    def __init__(self, program, file, fit=None):
        self.folder, self.name = tempfile.TemporaryDirectory(), Path(file).stem
        served = Path(self.folder.name) / f"{self.name}.safetensors"
        if fit is None:
            served.write_bytes(Path(file).read_bytes())
        else:
            with_fit(file, fit, served)
        environment = {"CONVSCOPE_MODELS__DIR": self.folder.name, "CONVSCOPE_MODELS__DEFAULT": self.name}
        command = [str(Path(program).resolve()), "--listen", "127.0.0.1:0"]
        self.server = contenders.Running(contenders.Contender("Convscope", "", command, environment))
        self.own = threading.local()

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.__exit__()
        self.folder.cleanup()

    def post(self, path, body):
        """The body of the answer; anything but 200 ends the program."""
        for attempt in range(2):
            if getattr(self.own, "line", None) is None:
                self.own.line = http.client.HTTPConnection(self.server.address, timeout=contenders.ANSWER)
            try:
                self.own.line.request("POST", path, body)
                answer = self.own.line.getresponse()
                given = answer.read()
                break
            except (ConnectionError, http.client.HTTPException):
                # An idle line that the server closed meanwhile: once more, on a new one.
                self.own.line = None
                if attempt:
                    raise
        if answer.status != 200:
            raise SystemExit(f"POST {path} is answered by {answer.status}: {given.decode(errors='replace')}")
        return given, dict(answer.headers)

    def classify(self, body):
        return json.loads(self.post("/classify", body)[0])

    def every(self, work, things):
        """What `work` makes of each, in order, several at a time."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(work, things))

    def answers(self, bodies):
        """Probabilities, picture × class, and each one's familiarity, where the model tells it (else NaN)."""
        said = self.every(self.classify, bodies)
        probabilities = np.array([list(one["probabilities"].values()) for one in said])
        return probabilities, np.array([one.get("familiarity") for one in said], float)
