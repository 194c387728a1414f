#!/usr/bin/env python3
"""Training as a service, shown on real images through the HTTP routes: what is asked of it beside what was measured.

    cargo build --release && pip install pillow
    python3 benches/training.py --data DIR [target/release/convscope] [--images N] [--rounds N] [--seconds S]

DIR has CIFAR-10's binary files. Everything is tried on servers of its own, in a folder that is removed. The server is killed in the
middle of a run; networks are typed by hand, right and wrong; a folder with everything that is wrong with people's folders is sent;
sixteen requests come at once; two servers want one folder; callers are timed while a run trains, and a run beside the same command
without a server. It ends with 1 where something is not as it should be, not where a time is missed. Times are worth something on a
machine that does nothing else; `--images` makes all of it quick, and times worth nothing.
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

try:
    from pets import RECORD, as_people_have_it, encoded, flat, pictures
except ImportError:
    sys.exit("Pillow is missing: pip install pillow")

ROOT = Path(__file__).resolve().parent.parent
HORSE = (ROOT / "tests/data/horse.png").read_bytes()
TOKEN = "a-token-for-measuring"
LEAST = 5.0  # milliseconds that a caller may wait while a run trains, however quick an idle server is
PATIENCE = 3600.0  # seconds for any one run
LINES = "application/x-ndjson"

PROJECTION = {
    "name": "by-hand",
    "input": {"channels": 3, "height": 32, "width": 32},
    "layers": [
        {"name": "conv1", "kind": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1},
        {"name": "act1", "kind": "relu"},
        {"name": "conv2", "kind": "conv2d", "out_channels": 32, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "short", "kind": "conv2d", "out_channels": 32, "kernel_size": 1, "stride": 2, "from": "act1"},
        {"name": "sum", "kind": "add", "from": "conv2"},
        {"name": "act2", "kind": "relu"},
        {"name": "pool", "kind": "adaptive_avg_pool2d", "output_size": 4},
        {"name": "flat", "kind": "flatten"},
        {"name": "fc", "kind": "linear", "out_features": 10},
    ],
}


def wrong():
    """The same with three faults, and layers that follow from them and are none."""
    network = json.loads(json.dumps(PROJECTION))
    layers = {layer["name"]: layer for layer in network["layers"]}
    layers["conv1"]["kernal_size"] = layers["conv1"].pop("kernel_size")
    layers["short"]["from"] = "act9"
    del layers["fc"]["out_features"]
    return network


class Server:
    """One server while it runs."""

    def __init__(self, binary, data_dir, **settings):
        settings = {f"CONVSCOPE_{name.upper()}": str(value) for name, value in settings.items()}
        self.data_dir = Path(data_dir)
        environment = {**os.environ, "CONVSCOPE_ADMIN_TOKEN": TOKEN, "CONVSCOPE_DATA_DIR": str(data_dir), **settings}
        self.process = subprocess.Popen(
            [binary, "--listen", "127.0.0.1:0"], cwd=self.data_dir.parent, env=environment, stderr=subprocess.PIPE, text=True
        )
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"listening on http://([\d.]+):(\d+)", line):
                self.address = (found[1], int(found[2]))
                break
        else:
            sys.exit(f"the server ended at once:\n{''.join(said)}")
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method, path, body=None, **headers):
        """Status and what was answered: JSON where it is, of lines the last."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}", **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, json.loads(text.splitlines()[-1]) if text else None

    def start(self, **asked):
        status, told = self.ask("POST", "/admin/train", asked)
        if status != 202:
            sys.exit(f"a run was not started: {status} {told}")
        return told["job"]["id"]

    def events(self, job, after=0):
        """(id, name, data), as they happen."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": LINES, "Last-Event-ID": str(after)}
        connection.request("GET", f"/admin/jobs/{job}/events", headers=headers)
        try:
            for line in connection.getresponse():
                event = json.loads(line)
                yield event["id"], event["event"], event["data"]
        except (http.client.IncompleteRead, ConnectionError):
            pass  # The server was killed.

    def complete(self, job):
        """The run's epochs and how it ended."""
        events = list(self.events(job))
        return [data for _, name, data in events if name == "epoch"], events[-1][1:]


class Table:
    def __init__(self):
        self.wrong = 0

    def row(self, what, asked, measured, right=None, missed=False):
        """`right` is none of a time, which may be `missed`."""
        mark = "missed" if missed else {None: "", True: "", False: "**WRONG**"}[right]
        self.wrong += right is False
        print(f"| {what} | {asked} | {measured} | {mark} |", flush=True)


def subset(data, folder, images):
    """The first `images` training images and a fifth as many test images, in CIFAR-10's own layout."""
    folder.mkdir()
    for name, count in (("data_batch_1.bin", images), ("test_batch.bin", max(50, images // 5))):
        (folder / name).write_bytes((data / name).read_bytes()[: count * RECORD])
    (folder / "batches.meta.txt").write_bytes((data / "batches.meta.txt").read_bytes())
    return folder


def killed(given, folder, table):
    """The tutorial's network, three epochs, its server killed after the first epoch's event; beside the bare command's bytes."""
    data_dir, seen = folder / "killed", []
    server = Server(given.binary, data_dir)
    job = server.start(arch="tutorial", data=str(given.images_at), epochs=3)
    for event in server.events(job):
        seen.append(event)
        if event[1] == "epoch":
            server.kill()
    with Server(given.binary, data_dir) as server:
        status, told = server.ask("GET", f"/admin/jobs/{job}")
        goes_on = status == 200 and told["job"]["state"] in ("queued", "running", "done")
        table.row("killed after the first epoch's event: at the next start", "goes on by itself", told["job"]["state"], goes_on)
        if not goes_on:
            server.ask("POST", f"/admin/jobs/{job}/resume")
        seen += server.events(job, seen[-1][0])
        rows = server.ask("GET", f"/admin/jobs/{job}/results")[1]["epochs"]
    ids = [number for number, _, _ in seen]
    table.row("event ids over the break", f"1 to {len(ids)}, none twice", f"{ids[0]} to {ids[-1]}", ids == list(range(1, len(ids) + 1)))
    epochs = [data["epoch"] for _, name, data in seen if name == "epoch"]
    table.row("epochs told, and how it ended", "1, 2, 3, done", f"{epochs}, {seen[-1][1]}", epochs == [1, 2, 3] and seen[-1][1] == "done")
    table.row("epochs in its results", 3, len(rows), len(rows) == 3)
    left = [path.name for path in data_dir.rglob("*") if path.name.endswith((".tmp", ".new", ".removed"))]
    table.row("half files", "none", left or "none", not left)
    out = folder / f"run-{job}.safetensors"
    bare(given, out, 3)
    same = out.read_bytes() == (data_dir / "models" / f"run-{job}" / "3.safetensors").read_bytes()
    table.row("the model, beside that of a command that nothing disturbed", "the same bytes", "the same" if same else "others", same)
    accuracy = rows[-1]["test_accuracy"]
    table.row("test accuracy after three epochs", "", f"{100 * accuracy:.2f} % of {rows[-1]['test_images']}")


def bare(given, out, epochs):
    """The epochs of the command without a server."""
    command = [given.binary, "train", "--arch", "tutorial", "--data", given.images_at, "--epochs", str(epochs), "--events", "jsonl"]
    run = subprocess.run([*command, "--out", out, "--force"], capture_output=True, text=True, cwd=out.parent)
    if run.returncode != 0:
        sys.exit(f"the bare command failed: {run.stderr}")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    return [event["data"] for event in events if event["event"] == "epoch"]


def typed(server, given, table):
    """Networks typed by hand, right and wrong."""
    status, told = server.ask("POST", "/networks/check", {"arch": PROJECTION, "batch_size": 64})
    table.row("a projection shortcut, checked", 200, f"{status}, {told.get('parameters'):,} parameters", status == 200)
    job = server.start(arch=PROJECTION, data=str(given.small_at), epochs=1)
    _, (end, data) = server.complete(job)
    table.row("a projection shortcut, trained", "done", f"{end}, {data.get('test_accuracy', data)}", end == "done")
    server.ask("POST", "/admin/models/refresh")
    status, told = server.ask("POST", f"/classify?model=run-{job}", HORSE)
    table.row("and asked", 200, f"{status}, {told.get('label')}", status == 200)
    for path, body in (("/networks/check", {"arch": wrong()}), ("/admin/train", {"arch": wrong(), "data": str(given.small_at)})):
        status, told = server.ask("POST", path, body)
        faults = told.get("faults", [])
        text = json.dumps(faults)
        named = len(faults) == 3 and all(word in text for word in ("kernel_size", "act1", "out_features"))
        table.row(f"a list with three faults, `POST {path}`", "422, all three", f"{status}, {len(faults)}", status == 422 and named)


def sent(server, given, table):
    """Folders of two classes, sent and trained on."""
    archive, unreadable = as_people_have_it(given.data)
    status, told = server.ask("PUT", "/admin/datasets/pets", archive, Accept=LINES)
    classes = [kind["name"] for kind in told.get("dataset", {}).get("classes", [])]
    notes = " ".join(told.get("dataset", {}).get("notes", []))
    table.row("a folder with every fault, sent", "two classes", f"{status}, {classes or told}", len(classes) == 2)
    noted = all(word in notes for word in ("val/ is the test set", "left out"))
    table.row("what is unusual about it", "noted", f"{len(told.get('dataset', {}).get('notes', []))} notes", noted)
    asked = {"arch": "lenet5", "data": "pets", "epochs": 2, "batch_size": 16, "fit_data": True}
    _, (end, data) = server.complete(server.start(**asked))
    error = data.get("error", "")
    named = [what for what in unreadable if what in error]
    table.row("trained on as it is", f"failed, {len(unreadable)} kinds of files named", f"{end}, {len(named)}", end == "failed" and named == unreadable)
    job = server.start(**asked, skip_unreadable=True)
    _, (end, data) = server.complete(job)
    table.row("with `skip_unreadable`", "done", f"{end}, {data.get('test_accuracy', data)}", end == "done")
    server.ask("POST", "/admin/models/refresh")
    status, told = server.ask("POST", f"/classify?model=run-{job}", encoded(pictures(given.data, 5, 1)[0], "PNG"))
    labels = sorted(told.get("probabilities", {}))
    table.row("classified by its own labels", sorted(classes), f"{status}, {labels}", labels == sorted(classes) and len(labels) == 2)
    status, told = server.ask("PUT", "/admin/datasets/flat", flat(given.data))
    notes = " ".join(told.get("dataset", {}).get("notes", []))
    _, (end, data) = server.complete(server.start(arch="lenet5", data="flat", epochs=1, batch_size=16, fit_data=True))
    table.row("classes side by side, without a test set", "done, a part held out", f"{end}, {status}", end == "done")


def at_once(server, given, table):
    """Sixteen identical requests."""
    asked = {"arch": "lenet5", "data": str(given.small_at), "epochs": 1}
    answers, start = [], threading.Barrier(16)

    def one():
        start.wait()
        answers.append(server.ask("POST", "/admin/train", asked))

    threads = [threading.Thread(target=one) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    jobs = {told["job"]["id"] for status, told in answers if status == 202}
    places = sorted(told["job"]["position"] or 0 for _, told in answers)
    table.row("16 identical requests at once", "16 runs", f"{len(jobs)}, places up to {places[-1]}", len(jobs) == 16)
    ends = [server.complete(job) for job in jobs]
    reached = {(end, data.get("test_loss")) for _, (end, data) in ends}
    table.row("how they end", "all alike", f"{len(reached)} kinds of end: {', '.join(end for end, _ in reached)}", len(reached) == 1)


def two_servers(given, server, table):
    environment = {**os.environ, "CONVSCOPE_DATA_DIR": str(server.data_dir)}
    second = subprocess.run(
        [given.binary, "--listen", "127.0.0.1:0"], env=environment, cwd=server.data_dir.parent, capture_output=True, text=True, timeout=60
    )
    said = second.stderr.strip().splitlines()[-1] if second.stderr.strip() else ""
    right = second.returncode != 0 and server.data_dir.name in said
    table.row("a second server on one `data_dir`", "ends and says so", f"{second.returncode}: {said}", right)


def callers(server, seconds):
    """Milliseconds of each request of one caller who sends one after the other on one connection."""
    head = f"POST /classify?model=tutorial HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(HORSE)}\r\n\r\n".encode()
    times, end = [], time.perf_counter() + seconds
    with socket.create_connection(server.address) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < end:
            start = time.perf_counter()
            line.sendall(head + HORSE)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += line.recv(65536)
            told, _, body = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", told, re.IGNORECASE)[1])
            while len(body) < length:
                body += line.recv(65536)
            times.append((time.perf_counter() - start) * 1000)
            if not told.startswith(b"HTTP/1.1 200"):
                sys.exit(f"a caller was refused: {told}")
    times.sort()
    return times[int(0.99 * len(times))], times[len(times) // 2], len(times)


def beside_a_run(server, given, table):
    callers(server, 2)
    idle, idle_median, _ = callers(server, given.seconds)
    job = server.start(arch="tutorial", data=str(given.images_at), epochs=1000)
    for _, name, _ in server.events(job):
        if name == "step":
            break
    busy, busy_median, count = callers(server, given.seconds)
    server.ask("POST", f"/admin/jobs/{job}/cancel")
    _, (end, _) = server.complete(job)
    table.row("the run that trained meanwhile, cancelled", "cancelled", end, end == "cancelled")
    most = max(3 * idle, LEAST)
    table.row("`/classify`, one connection, idle", "", f"p50 {idle_median:.2f} ms, p99 {idle:.2f} ms")
    measured = f"p50 {busy_median:.2f} ms, p99 {busy:.2f} ms of {count}"
    table.row("`/classify`, one connection, while a run trains", f"p99 ≤ {most:.2f} ms", measured, missed=busy > most)


def rates(server, given, folder, table):
    """Images a second through the service and by the bare command, in turns."""
    ours, theirs = [], []
    for _ in range(given.rounds):
        theirs += [epoch["images_per_second"] for epoch in bare(given, folder / "bare.safetensors", 1)]
        epochs, _ = server.complete(server.start(arch="tutorial", data=str(given.images_at), epochs=1))
        ours += [epoch["images_per_second"] for epoch in epochs]
    share = median(ours) / median(theirs)
    measured = f"{100 * share:.1f} %: {median(ours):,.0f} and {median(theirs):,.0f} images/s"
    table.row("images/s through the service, of the bare command's", "≥ 95 %", measured, missed=share < 0.95)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", nargs="?", type=Path, default=ROOT / "target/release/convscope", help="[target/release/convscope]")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10's binary files")
    parser.add_argument("--images", type=int, help="only so many training images, to see whether all of it works")
    parser.add_argument("--rounds", type=int, default=3, help="of images a second [3]")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of callers [20]")
    given = parser.parse_args()
    if not given.binary.is_file() or not (given.data / "data_batch_1.bin").is_file():
        parser.error("there must be the program (`cargo build --release`) and, in --data, data_batch_1.bin")
    given.binary, given.data = str(given.binary.resolve()), given.data.resolve()
    return given


def main():
    given, table = arguments(), Table()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        given.images_at = subset(given.data, folder / "images", given.images) if given.images else given.data
        given.small_at = subset(given.data, folder / "small", min(given.images or 2000, 2000))
        print("| what | asked | measured | |\n|---|---|---|---|")
        killed(given, folder, table)
        with Server(given.binary, folder / "data", limits__megapixels=52) as server:
            typed(server, given, table)
            sent(server, given, table)
            at_once(server, given, table)
            two_servers(given, server, table)
            beside_a_run(server, given, table)
            rates(server, given, folder, table)
    if table.wrong:
        sys.exit(f"{table.wrong} of these are not as they should be")


if __name__ == "__main__":
    main()
