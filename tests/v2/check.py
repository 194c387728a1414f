"""The Open Inference Protocol, version 2, as real clients speak it: Triton's and KServe's own, against a server that this starts.

    pip install -r tests/v2/requirements.txt
    python tests/v2/check.py target/release/convscope

Every answer is compared with what `/classify` says of the same files.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

import by_kserve
import by_triton

ROOT = Path(__file__).resolve().parents[2]
START, STOP = 60.0, 20.0  # seconds


class Known:
    """Images, and what `/classify` says of them: `files`, `pixels` (N × C × H × W), `probabilities` (N × classes), `classes`, `familiarity` (N)."""

    def __init__(self, url):
        self.url = url
        names = ("horse", "cat", "ship")
        self.files = [self.get(f"/samples/{name}") for name in names]
        pictures = [np.asarray(Image.open(self.sample(file)).convert("RGB")) for file in self.files]
        self.pixels = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
        answers = [json.loads(self.get("/classify?model=speedrun", file)) for file in self.files]
        self.classes = list(answers[0]["probabilities"])
        self.probabilities = np.array([list(answer["probabilities"].values()) for answer in answers])
        self.familiarity = [answer["familiarity"] for answer in answers]

    def get(self, path, body=None):
        with urllib.request.urlopen(self.url + path, body, timeout=30) as answer:
            return answer.read()

    @staticmethod
    def sample(file):
        held = tempfile.TemporaryFile()
        held.write(file)
        held.seek(0)
        return held

    def check(self, given, what):
        """Fails unless these probabilities are the known ones."""
        far = np.abs(np.asarray(given, np.float64) - self.probabilities).max()
        assert np.shape(given) == self.probabilities.shape and far <= 1e-6, f"{what}: {far} from what /classify says"
        print(f"  {what}: within {far:.1e}")


def started(program, folder):
    """A server on a free port, and its address."""
    log = Path(folder) / "log"
    with log.open("wb") as to:
        command = [Path(program).resolve(), "--listen", "127.0.0.1:0"]
        environment = os.environ | {"CONVSCOPE_ADMIN_TOKEN": "a-token-for-this-check"}
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=to)
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        if found := re.search(r"listening on http://(\S+:\d+)", log.read_text(errors="replace")):
            return server, found[1]
        time.sleep(0.05)
    server.kill()
    raise SystemExit(f"the server did not start: {log.read_text(errors='replace').strip()}")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        server, address = started(program, folder)
        try:
            known = Known(f"http://{address}")
            for client in (by_triton, by_kserve):
                print(client.__doc__.splitlines()[0])
                client.check(address, known)
        finally:
            server.terminate()
            server.wait(STOP)
    print("the clients agree with /classify")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
