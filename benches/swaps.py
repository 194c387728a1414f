"""What exchanging the model costs the callers: latency of `/classify` without and with ten exchanges, and the memory after.

    python3 benches/swaps.py target/release/convscope [--seconds 60] [--connections 8] [--rate 200]

Needs nothing but Python. Callers send at fixed times, whether or not answers are late, so that a pause is seen by every request
that fell into it. The answers of each phase are compared: every one must be one version's own, to the last bit.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "tutorial.safetensors"
IMAGE = ROOT / "tests" / "data" / "horse.png"
TOKEN = "a-token-for-measuring"


def resident(pid):
    """MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def other(folder):
    """The bundled model with one number changed: a model of other answers and the same cost."""
    data = bytearray(MODEL.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    # The digest, where there is one, would show that this is another model's file.
    header["__metadata__"].pop("convscope_sha256", None)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    at = 8 + size + header["fc4.bias"]["data_offsets"][0]
    data[at : at + 2] = b"\x00\x3c"  # 1.0 as F16
    path = folder / "other.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    return path


class Server:
    def __init__(self, binary, folder):
        environment = {**os.environ, "CONVSCOPE_ADMIN_TOKEN": TOKEN, "CONVSCOPE_DATA_DIR": str(folder / "data")}
        command = [str(Path(binary).resolve()), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on http://" in line:
                self.address = re.search(r"http://([\d.]+:\d+)", line).group(1)
                break
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=30)

    def admin(self, path, body=b"{}"):
        connection = self.connect()
        connection.request("POST", path, body, {"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        connection.close()


def load(server, given, seconds):
    """Milliseconds of each request from the time at which it was due, and what was answered: version → set of probabilities."""
    image, times, answers, lock = IMAGE.read_bytes(), [], {}, threading.Lock()
    interval = given.connections / given.rate

    def caller(number):
        connection, mine, seen = server.connect(), [], {}
        start = time.perf_counter() + number / given.rate
        for step in range(int(seconds / interval)):
            due = start + step * interval
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.request("POST", "/classify?model=tutorial", image)
            answer = connection.getresponse()
            text = answer.read()
            mine.append((time.perf_counter() - due) * 1000)
            assert answer.status == 200, text
            told = json.loads(text)
            seen.setdefault(told["model"]["version"], set()).add(json.dumps(told["probabilities"]))
        with lock:
            times.extend(mine)
            for version, probabilities in seen.items():
                answers.setdefault(version, set()).update(probabilities)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(given.connections)]
    [thread.start() for thread in callers]
    return callers, times, answers


def told(name, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    print(f"{name:<22} {len(times):>8} {at(0.5):>9.2f} {at(0.99):>9.2f} {at(0.999):>9.2f} {times[-1]:>9.2f}", flush=True)
    return at(0.99)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("binary")
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--connections", type=int, default=8)
    arguments.add_argument("--rate", type=float, default=200, help="requests a second")
    arguments.add_argument("--swaps", type=int, default=10)
    arguments.add_argument("--many", type=int, default=100, help="exchanges after which memory is looked at")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models = folder / "data" / "models" / "tutorial"
        models.mkdir(parents=True)
        files = [MODEL, other(folder)]
        version = 1

        def exchange():
            nonlocal version
            version += 1
            part = models / ".part"
            shutil.copyfile(files[version % 2], part)
            part.rename(models / f"{version}.safetensors")

        shutil.copyfile(files[1], models / "1.safetensors")
        server = Server(given.binary, folder)
        try:
            for thread in load(server, given, 2)[0]:
                thread.join()
            print(f"{given.connections} connections, {given.rate:g} requests a second, {given.seconds:g} s each; milliseconds")
            print(f"{'':<22} {'requests':>8} {'p50':>9} {'p99':>9} {'p99.9':>9} {'most':>9}")
            callers, times, _ = load(server, given, given.seconds)
            [thread.join() for thread in callers]
            quiet = told("no exchange", times)
            callers, times, answers = load(server, given, given.seconds)
            for _ in range(given.swaps):
                time.sleep(given.seconds / (given.swaps + 1))
                exchange()  # The server finds it by itself.
            [thread.join() for thread in callers]
            busy = told(f"{given.swaps} exchanges", times)
            print(f"p99 with exchanges: {busy / quiet:.2f} times that without; versions that answered: {sorted(answers)}")
            own = {parity: {text for v, texts in answers.items() if v % 2 == parity for text in texts} for parity in (0, 1)}
            assert all(len(texts) == 1 for texts in own.values()) and own[0] != own[1], "an answer is no version's own"
            before = resident(server.process.pid)
            for _ in range(given.many):
                exchange()
                server.admin("/admin/models/refresh")
            time.sleep(3)
            print(f"memory: {before:.0f} MiB before, {resident(server.process.pid):.0f} MiB after {given.many} more exchanges")
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
