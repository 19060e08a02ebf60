"""Large files up and down: the blocking client beside gradio_client, on a server that does little.

``python benchmarks/files.py [MB [ROUNDS]]`` sends a file of so many MB (300), then fetches one, and
prints the rate, the CPU time and by how much the memory grew, and the ratio: how many times better
we are. The two clients take turns, each time in a new process; of the rounds (3) the best counts.
The server is a thread for each connection, which drops what it is sent and sends what it has.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

peer: Any = importlib.import_module("peer")  # the other benchmark: its environments

PIECE = 1 << 20
PATH = "/srv/gradio/0123456789abcdef"
META = {"_type": "gradio.FileData"}
CONFIG = {
    "version": "6.31.0",
    "api_prefix": "/gradio_api",
    "protocol": "sse_v3",
    "app_id": 1,
    "root": "",
    "components": [{"id": 1, "type": "file", "props": {"name": "file"}, "skip_api": False}],
    "dependencies": [
        {
            "id": 0,
            "api_name": "echo",
            "inputs": [1],
            "outputs": [1],
            "backend_fn": True,
            "queue": True,
            "api_visibility": "public",
            "types": {"generator": False, "cancel": False},
        }
    ],
}
FILE = {"label": "f", "component": "File", "type": {"type": "object"}}
PYTHON = {"python_type": {"type": "filepath", "description": ""}}
INFO = {
    "named_endpoints": {
        "/echo": {
            "parameters": [
                {
                    **FILE,
                    **PYTHON,
                    "parameter_name": "f",
                    "parameter_has_default": False,
                    "example_input": None,
                }
            ],
            "returns": [{**FILE, **PYTHON}],
            "api_visibility": "public",
        }
    },
    "unnamed_endpoints": {},
}
FIGURES = {
    "up": "300 MB up, MB/s",
    "up_cpu": "  CPU, s",
    "up_rss": "  memory, MB more",
    "down": "300 MB down, MB/s",
    "down_cpu": "  CPU, s",
    "down_rss": "  memory, MB more",
}


# The server: the name of an uploaded file, blob_SIZE.bin, says how much a download of it gives.


class Stub:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._results: dict[str, tuple[str, Any]] = {}
        self._count = 0
        self._joined = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        data = b""
        buffer = memoryview(bytearray(PIECE))
        with connection:
            while True:
                while b"\r\n\r\n" not in data:
                    count = connection.recv_into(buffer)
                    if not count:
                        return
                    data += buffer[:count]
                head, _, data = data.partition(b"\r\n\r\n")
                found = re.search(rb"(?i)content-length: *(\d+)", head)
                length = int(found[1]) if found else 0
                start = data[:2000]
                is_chunked = b"transfer-encoding: chunked" in head.lower()
                tail = data[-5:]
                while is_chunked and tail != b"0\r\n\r\n":
                    count = connection.recv_into(buffer)
                    tail = (tail + bytes(buffer[max(count - 5, 0) : count]))[-5:]
                    start = start if len(start) > 400 else start + bytes(buffer[:400])
                missing = 0 if is_chunked else length - len(data)
                body, data = (data, b"") if missing >= 0 else (data[:length], data[length:])
                if length > PIECE or is_chunked:
                    while missing > 0:
                        count = connection.recv_into(buffer, min(missing, PIECE))
                        start = start if len(start) > 400 else start + bytes(buffer[:400])
                        missing -= count
                else:
                    while missing > 0:
                        count = connection.recv_into(buffer, min(missing, PIECE))
                        body += bytes(buffer[:count])
                        missing -= count
                    start = body[:2000]
                method, target, _ = head.split(b"\r\n")[0].decode().split()
                self._answer(connection, method, target, start, body)

    def _answer(
        self, connection: socket.socket, method: str, target: str, start: bytes, body: bytes
    ) -> None:
        path = target.removeprefix("/gradio_api").partition("?")[0]
        if path.startswith("/file="):
            found = re.search(r"blob_(\d+)", path)
            size = int(found[1]) if found else 0
            connection.sendall(_head(size, "application/octet-stream"))
            piece = bytes(PIECE)
            while size and method != "HEAD":
                connection.sendall(piece[:size])
                size -= min(size, PIECE)
        elif path == "/upload":
            found_name = re.search(rb'filename="([^"]*)"', start)
            assert found_name is not None
            _send(connection, [f"{PATH}/{found_name[1].decode()}"])
        elif path == "/queue/join":
            asked = json.loads(body)
            with self._joined:
                self._count += 1
                event = f"{self._count:032x}"
                self._results[asked["session_hash"]] = event, asked["data"]
                self._joined.notify_all()
            _send(connection, {"event_id": event})
        elif path == "/queue/data":
            session = target.partition("session_hash=")[2]
            with self._joined:
                self._joined.wait_for(lambda: session in self._results)
                event, data = self._results.pop(session)
            data[0] = {**data[0], "url": None, "meta": META}
            messages = [
                {"msg": "process_starts", "event_id": event},
                {
                    "msg": "process_completed",
                    "event_id": event,
                    "output": {"data": data},
                    "success": True,
                },
                {"msg": "close_stream", "event_id": None},
            ]
            text = b"".join(b"data: %b\n\n" % json.dumps(m).encode() for m in messages)
            _send(connection, text, "text/event-stream")
        elif path.startswith("/heartbeat"):
            _send(connection, b"", "text/event-stream")
        else:
            _send(connection, INFO if path == "/info" else CONFIG)


def _send(connection: socket.socket, said: Any, kind: str = "application/json") -> None:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    connection.sendall(_head(len(body), kind) + body)


def _head(length: int, kind: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-type: {kind}", f"content-length: {length}", "", ""]
    return "\r\n".join(lines).encode()


# In a process of its own, on either interpreter: the standard library and the client to measure.


def moving(client: str, url: str, size: int, folder: str) -> dict[str, float]:
    large, small = Path(folder) / "blob_1.bin", Path(folder) / f"blob_{size}.bin"
    small.write_bytes(b"x")
    if not large.exists():
        with large.open("wb") as file:
            for _ in range(size // PIECE):
                file.write(os.urandom(PIECE))
    make, mark = _of(client)
    options: dict[str, Any] = {} if client == "ours" else {"verbose": False}
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as target:
        sender = make(url, download_files=False, **options)
        sender.predict(mark(str(small)), api_name="/echo")  # what is imported late, is
        found |= _measured("up", size, lambda: sender.predict(mark(str(large)), api_name="/echo"))
        fetcher = make(url, download_files=target, **options)
        got: list[Any] = []
        ask = lambda: got.append(fetcher.predict(mark(str(small)), api_name="/echo"))  # noqa: E731
        found |= _measured("down", size, ask)
        assert Path(got[0]).stat().st_size == size
    return found


def _of(client: str) -> tuple[Any, Any]:
    if client == "ours":
        from sansio_gradio import handle_file  # noqa: PLC0415
        from sansio_gradio_adapters.sockets import Client  # noqa: PLC0415

        return Client, handle_file
    module = importlib.import_module("gradio_client")  # not in this environment
    return module.Client, module.handle_file


def _measured(name: str, size: int, action: Any) -> dict[str, float]:
    before, cpu, began = _peak(), time.process_time(), time.perf_counter()
    action()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = max(_peak() - before, 0.1)
    return {name: size / 1e6 / took, f"{name}_cpu": cpu, f"{name}_rss": grown}


def _peak() -> float:
    """The most memory that this process had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB, on a Mac bytes
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


# The comparison.


def compare(megabytes: int, rounds: int) -> None:
    size = megabytes * PIECE
    pythons = {"ours": sys.executable, "peer": str(peer.peer_python())}
    print(f"ours beside gradio_client {peer.PEER}, best of {rounds} rounds", flush=True)
    found: dict[str, dict[str, float]] = {client: {} for client in pythons}
    ourselves = [sys.executable, __file__, "serve"]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(ourselves, stdout=pipe, text=True, env=peer.env()) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for _ in range(rounds):
            for client, python in pythons.items():
                command = [python, __file__, "move", client, url, str(size), folder]
                done = subprocess.run(
                    command, env=peer.env(), stdout=pipe, text=True, check=True, timeout=300
                )
                for key, value in json.loads(done.stdout).items():
                    better = max if key in ("up", "down") else min
                    found[client][key] = better(value, found[client].get(key, value))
        server.kill()
    ours, theirs = found["ours"], found["peer"]
    print(f"\n{'':30} {'ours':>10} {'peer':>10} {'ratio':>8}")
    for key, what in FIGURES.items():
        ratio = ours[key] / theirs[key] if key in ("up", "down") else theirs[key] / ours[key]
        title = what.replace("300", str(megabytes))
        print(f"{title:30} {ours[key]:>10.1f} {theirs[key]:>10.1f} {ratio:>8.1f}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            stub = Stub()
            print(stub.url, flush=True)
            stub.serve()
        case ["move", client, url, size, folder]:
            print(json.dumps(moving(client, url, int(size), folder)), flush=True)
            os._exit(0)  # the peer's threads outlive their client
        case arguments:
            sys.path[:0] = [str(peer.ROOT)]
            megabytes, rounds = [*map(int, arguments), *(300, 3)[len(arguments) :]]
            compare(megabytes, rounds)
