"""The servers that serve.py runs: each started on a free port, asked, and ended."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"
START, STOP, ANSWER = 60.0, 20.0, 60.0  # seconds
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@dataclass(eq=False)
class Contender:
    name: str  # of those that share one, the better counts
    setting: str
    command: list  # {port} is a free port
    environment: dict


def all_of(convscope, model, settings):
    """Ours as it is shipped, log included; each peer in the settings that are its best."""
    import onnxruntime

    library = next(iter(sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.*"))), None)
    if library is None:
        raise SystemExit("onnxruntime has no library of its own beside it: install it from PyPI's wheel")
    ort = {"ORT_DYLIB_PATH": str(library)}
    own = {"CONVSCOPE_MODELS__DIR": str(model.parent), "CONVSCOPE_MODELS__DEFAULT": model.stem}
    yield Contender("Convscope", "", [str(convscope), "--listen", "127.0.0.1:0"], own)
    rust = [str(PEERS / "target/release/axum-ort"), str(settings)]
    settings_of_ort = {(CORES, 1), (1, CORES)}
    for sessions, threads in sorted(settings_of_ort, reverse=True):
        setting = f"{sessions} × {threads}"
        yield Contender("axum + ONNX Runtime", setting, [*rust, str(sessions), str(threads)], ort)
    python = [sys.executable, "-m", "uvicorn", "fastapi_ort:app", "--app-dir", str(PEERS), "--port", "{port}"]
    python += ["--workers", str(CORES), "--no-access-log", "--log-level", "warning"]
    yield Contender("FastAPI + ONNX Runtime", "", python, {"SETTINGS": str(settings)})


class Running:
    """A server while it runs."""

    def __init__(self, contender):
        self.contender = contender
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "log"

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [part.replace("{port}", str(port)) for part in self.contender.command]
        environment = os.environ | self.contender.environment
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder.name, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.address = self.listening(None if "{port}" not in self.contender.command else port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def listening(self, port):
        """Where it listens, once it does."""
        end = time.monotonic() + START
        while time.monotonic() < end and self.process.poll() is None:
            if port is not None:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return f"127.0.0.1:{port}"
                except OSError:
                    pass
            elif found := re.search(r"listening on http://(\S+:\d+)", self.log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.05)
        said = self.log.read_text(errors="replace").strip()
        raise SystemExit(f"{self.contender.name} did not start: {said or 'it said nothing'}")

    def probabilities(self, file):
        """What it says of an image file, in class order."""
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER)
        connection.request("POST", "/classify", Path(file).read_bytes())
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{self.contender.name} answers {answer.status} to {file}: {body.decode(errors='replace')}")
        given = json.loads(body)["probabilities"]
        return list(given.values()) if isinstance(given, dict) else given

    def load(self, file, connections, seconds):
        """What so many connections get of it."""
        command = [PEERS / "target/release/load", self.address, file, str(connections), str(seconds)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def __exit__(self, *_):
        # Its own group: uvicorn's workers too.
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sent)
                self.process.wait(STOP)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.folder.cleanup()
