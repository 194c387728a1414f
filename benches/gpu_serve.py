"""Requests a second of /classify, over 1 and 32 connections that are kept, on this machine alone: as JSON.

    python3 gpu_serve.py IMAGE SECONDS PROGRAM ARGUMENTS...

PROGRAM is a server that writes where it listens to standard error. The load comes from a few processes, so that one interpreter is
not what is measured; on few cores they and the server share them all the same.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep

CONNECTIONS = (1, 32)
MOST_PROCESSES = 8
START, STOP, ANSWER = 30.0, 10.0, 10.0  # seconds


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=ANSWER)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def ask(self, request):
        """Status and body of the answer."""
        self.socket.sendall(request)
        status, length = self.answers.readline().split(), 0
        if len(status) < 2:
            raise ConnectionError("the server hung up")
        while True:
            name, _, value = self.answers.readline().strip().partition(b":")
            if not name:
                return int(status[1]), self.answers.read(length)
            if name.lower() == b"content-length":
                length = int(value)


def one(address, request, begin, end):
    """What one connection gets between two times: milliseconds of every answer, and how many were none."""
    connection, times, refused = Connection(address), [], 0
    sleep(max(0.0, begin - monotonic()))
    while (start := monotonic()) < end:
        status, _ = connection.ask(request)
        stop = monotonic()
        if status != 200:
            refused += 1
        elif stop <= end:
            times.append(1e3 * (stop - start))
    return times, refused


def several(address, request, connections, begin, end):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(lambda _: one(address, request, begin, end), range(connections)))


def load(address, request, connections, seconds):
    processes = min(connections, MOST_PROCESSES, len(os.sched_getaffinity(0)))
    shares = [connections // processes + (at < connections % processes) for at in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        begin = monotonic() + 0.3
        work = [pool.submit(several, address, request, share, begin, begin + seconds) for share in shares]
        answers = [answer for share in work for answer in share.result()]
    times = sorted(time for times, _ in answers for time in times)
    refused = sum(refused for _, refused in answers)
    if not times:
        raise SystemExit(f"no image was classified over {connections} connections in {seconds} s; {refused} requests were refused")
    at = lambda share: times[int(share * (len(times) - 1))]
    rate = {"requests_per_second": len(times) / seconds, "p50_ms": at(0.5), "p99_ms": at(0.99), "refused": refused}
    return {"connections": connections, "processes": processes} | rate


def listening(server, log):
    """The address that the server writes once it is warm."""
    end = monotonic() + START
    while monotonic() < end:
        # Asked before its words are read: an ended server has written its last ones.
        ended = server.poll() is not None
        said = Path(log).read_text(errors="replace")
        found = re.search(r"listening on http://([0-9.]+):(\d+)", said)
        if found:
            return found[1], int(found[2])
        if ended:
            raise SystemExit(f"the server ended: {said.strip()}")
        sleep(0.05)
    raise SystemExit(f"the server was not ready after {START:.0f} s: {said.strip()}")


def main(image, seconds, *command):
    # A file, not a pipe: nobody has to read the log line of every request.
    with tempfile.NamedTemporaryFile() as log:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        try:
            host, port = listening(server, log.name)
            body = Path(image).read_bytes()
            head = f"POST /classify?model=tutorial HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: {len(body)}\r\n\r\n"
            request = head.encode() + body
            status, answer = Connection((host, port)).ask(request)
            if status != 200:
                raise SystemExit(f"/classify answered {status}: {answer.decode(errors='replace')}")
            loads = [load((host, port), request, connections, float(seconds)) for connections in CONNECTIONS]
            print(json.dumps({"label": json.loads(answer)["label"], "loads": loads}))
        finally:
            server.terminate()
            try:
                server.wait(STOP)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


if __name__ == "__main__":
    # So that the server is ended when the time for this part is over.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    main(*sys.argv[1:])
