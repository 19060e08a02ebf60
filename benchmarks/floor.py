"""The least that a client in Python can do: two floors, without any check or recovery.

``Raw`` writes and reads HTTP by hand on blocking sockets. ``H11`` leaves HTTP to h11. Both use
Python's json. They are limits to compare with, no clients to use.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11

READ = 1 << 18
JSON_TYPE = (b"content-type", b"application/json")


class Raw:
    """HTTP by hand: it trusts the server to write it as it does."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").strip("/").partition(":")
        self.address = (host, int(port))
        self.host = f"{host}:{port}".encode()
        self.session = uuid.uuid4().hex
        self.opened: dict[str, Any] = {}  # the two connections
        config = json.loads(self.ask("GET", "/config"))
        self.functions = {one["api_name"]: one["id"] for one in config["dependencies"]}
        json.loads(self.ask("GET", "/gradio_api/info"))

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    # HTTP

    def send(
        self, use: str, method: str, path: str, body: bytes = b"", size: int | None = None
    ) -> None:
        if use not in self.opened:
            self.opened[use] = self.connect()
        kind = JSON_TYPE[1] if size is None else b"multipart/form-data; boundary=B"
        length = len(body) if size is None else size
        head = b"%b %b HTTP/1.1\r\nhost: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        sent = head % (method.encode(), path.encode(), self.host, kind, length) + body
        self.opened[use].sendall(sent)

    def read(self) -> Iterator[bytes]:
        """The pieces of an answer with a length."""
        sock = self.opened["asks"]
        data = sock.recv(READ)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += sock.recv(READ)
        left = int(data[:end].lower().split(b"content-length:")[1].split(b"\r\n")[0])
        data = data[end + 4 :]
        while True:
            left -= len(data)
            yield data
            if not left:
                return
            data = sock.recv(READ)

    def pieces(self) -> Iterator[bytes]:
        """The pieces of an answer in chunks."""
        sock = self.opened["stream"]
        data = sock.recv(READ)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += sock.recv(READ)
        data = data[end + 4 :]
        left = between = 0
        while True:
            place = 0
            while place < len(data):
                if left:
                    piece = data[place : place + left]
                    left -= len(piece)
                    place += len(piece)
                    between = 0 if left else 2
                    yield piece
                elif between:
                    used = min(between, len(data) - place)
                    between -= used
                    place += used
                elif (end := data.find(b"\r\n", place)) < 0:
                    break
                else:
                    left = int(data[place:end], 16)
                    place = end + 2
                    if not left:
                        rest = 2 - (len(data) - place)
                        while rest > 0:
                            rest -= len(sock.recv(rest))
                        return
            data = data[place:] + sock.recv(READ)

    # Gradio

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        self.send("asks", method, path, body)
        return b"".join(self.read())

    def join(self, name: str, *args: Any) -> str:
        asked = {
            "data": args,
            "fn_index": self.functions[name],
            "session_hash": self.session,
        }
        body = json.dumps(asked, separators=(",", ":")).encode()
        event: str = json.loads(self.ask("POST", "/gradio_api/queue/join", body))["event_id"]
        return event

    def messages(self) -> Iterator[Any]:
        """The messages of the session, up to the end of the stream."""
        self.send("stream", "GET", f"/gradio_api/queue/data?session_hash={self.session}")
        loads = json.loads
        for payload in payloads(self.pieces()):
            yield loads(payload)

    def predict(self, name: str, *args: Any) -> Any:
        self.join(name, *args)
        found = None
        for message in self.messages():
            if message["msg"] == "process_completed":
                found = message["output"]["data"][0]
        return found

    def iterate(self, name: str, *args: Any) -> tuple[int, Any]:
        """The number of outputs, and the last."""
        self.join(name, *args)
        value: Any = None
        count = 0
        for message in self.messages():
            if message["msg"] == "process_generating":
                (data,) = message["output"]["data"]
                if count:
                    for action, _, new in data:
                        value = value + new if action == "append" else new
                else:
                    value = data
                count += 1
        return count, value

    def jobs(self, count: int, name: str, *args: Any) -> None:
        left = {self.join(name, *args) for _ in range(count)}
        while left:
            for message in self.messages():
                if message["msg"] == "process_completed":
                    left.discard(message["event_id"])

    def cancel(self, name: str, *args: Any) -> Iterator[None]:
        """Begin a job; then, on the next step, cancel it and wait for its end."""
        event = self.join(name, *args)
        messages = self.messages()
        while next(messages)["msg"] != "process_starts":
            pass
        yield
        asked = {"event_id": event, "session_hash": self.session, "fn_index": self.functions[name]}
        self.ask("POST", "/gradio_api/cancel", json.dumps(asked).encode())
        for _ in messages:
            pass

    def upload(self, path: Path) -> None:
        head = (
            b'--B\r\nContent-Disposition: form-data; name="files"; filename="blob.bin"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n"
        )
        tail = b"\r\n--B--\r\n"
        size = len(head) + path.stat().st_size + len(tail)
        self.send("asks", "POST", "/gradio_api/upload", head, size)
        sock = self.opened["asks"]
        buffer = memoryview(bytearray(READ))
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                sock.sendall(buffer[:read])
        sock.sendall(tail)
        b"".join(self.read())

    def download(self, name: str, target: Path) -> None:
        self.send("asks", "GET", f"/gradio_api/file={name}")
        with target.open("wb", buffering=0) as file:
            for piece in self.read():
                file.write(piece)


class H11(Raw):
    """HTTP by h11."""

    def send(
        self, use: str, method: str, path: str, body: bytes = b"", size: int | None = None
    ) -> None:
        if use not in self.opened:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
            self.opened[use], self.opened[f"{use} h11"] = self.connect(), connection
        connection = self.opened[f"{use} h11"]
        if size is not None:  # a file goes past h11, which would only count its bytes
            connection = h11.Connection(h11.CLIENT)
            self.opened[f"{use} h11"] = connection
        kind = JSON_TYPE[1] if size is None else b"multipart/form-data; boundary=B"
        length = len(body) if size is None else size
        fields = [(b"host", self.host), (b"content-type", kind)]
        fields.append((b"content-length", b"%d" % length))
        request = h11.Request(method=method, target=path, headers=fields)
        sent = connection.send(request) or b""
        if body and size is None:
            sent += connection.send(h11.Data(data=body)) or b""
        if size is None:
            sent += connection.send(h11.EndOfMessage()) or b""
        else:
            sent += body
        self.opened[use].sendall(sent)

    def read(self) -> Iterator[bytes]:
        return self._body("asks")

    def pieces(self) -> Iterator[bytes]:
        return self._body("stream")

    def _body(self, use: str) -> Iterator[bytes]:
        sock, connection = self.opened[use], self.opened[f"{use} h11"]
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(READ))
            elif type(event) is h11.Data:
                yield bytes(event.data)
            elif type(event) is h11.EndOfMessage:
                break
        if connection.our_state is h11.DONE:
            connection.start_next_cycle()
        else:  # of which a file was sent
            self.opened[f"{use} h11"] = h11.Connection(h11.CLIENT)


def payloads(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The data of each event, one line each."""
    waiting: list[bytes] = []
    for piece in pieces:
        start = 0
        if waiting and piece[:1] == b"\n" and waiting[-1][-1:] == b"\n":
            yield b"".join(waiting)[6:-1]
            waiting = []
            start = 1
        while (end := piece.find(b"\n\n", start)) >= 0:
            waiting.append(piece[start:end])
            yield b"".join(waiting)[6:]
            waiting = []
            start = end + 2
        if start < len(piece):
            waiting.append(piece[start:])
