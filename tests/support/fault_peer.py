"""A hostile server, and a proxy that breaks what passes, on real sockets of this machine.

``FaultServer`` answers each path by a script: bytes, and what else happens to the connection.
``FaultProxy`` stands before a server that is sane, and spoils its bytes from some place on.

All threads and sockets of both are gone when their ``with`` is left.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import gc
import hashlib
import json
import os
import selectors
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from sansio_gradio.testing.patience import PATIENCE
from tests.support.threaded_server import ThreadedServer

SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


# What can be said


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Some Reason", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def page(body: object, status: int = 200, *headers: str) -> bytes:
    """JSON."""
    return answer(status, json.dumps(body).encode(), "content-type: application/json", *headers)


def html(status: int, text: str = "<h1>It is not here</h1>") -> bytes:
    return answer(status, text.encode(), "content-type: text/html")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(message: object) -> bytes:
    """A message as Gradio puts it on a stream."""
    return chunked(b"data: " + json.dumps(message).encode() + b"\n\n")


def stream(*messages: object) -> bytes:
    """The head of a stream, and messages on it."""
    return SSE_HEAD + b"".join(map(event, messages))


def frame(payload: bytes, opcode: int = 1, *, first: int | None = None) -> bytes:
    """A frame of a server: not masked. ``first``: its first byte, with whatever bits."""
    head = bytes([0x80 | opcode if first is None else first])
    size = len(payload)
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b"\x7e" + struct.pack("!H", size) + payload
    return head + b"\x7f" + struct.pack("!Q", size) + payload


def text(message: object) -> bytes:
    return frame(json.dumps(message).encode())


def close(code: int | None, reason: str = "") -> bytes:
    return frame(b"" if code is None else struct.pack("!H", code) + reason.encode(), 8)


# The server


@attrs.frozen
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Visit:
    """A request, and the connection that it came on."""

    def __init__(
        self, sock: socket.socket, request: Request, number: int, stopping: threading.Event
    ) -> None:
        self.request = request
        self.number = number
        """How often this path has been asked for, from 1 on."""
        self.is_over = False
        self._sock = sock
        self._stopping = stopping

    def say(self, data: bytes) -> None:
        self._sock.sendall(data)

    def accept(self, *headers: str) -> None:
        """Answer a WebSocket's handshake."""
        key = self.request.headers["sec-websocket-key"].encode()
        accepted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "upgrade: websocket",
            "connection: Upgrade",
            f"sec-websocket-accept: {accepted}",
            *headers,
        ]
        self.say("\r\n".join([*lines, "", ""]).encode())

    def end(self) -> None:
        """Say no more, as TCP wants it."""
        self.is_over = True
        self._sock.close()

    def reset(self) -> None:
        """Break the connection: what is on its way is lost, too."""
        self.is_over = True
        _reset(self._sock)

    def hold(self) -> None:
        """Be silent until the client leaves."""
        self._sock.settimeout(0.02)
        give_up = time.monotonic() + PATIENCE
        while not self._stopping.is_set() and time.monotonic() < give_up:
            with contextlib.suppress(TimeoutError):
                if not self._sock.recv(65536):
                    break
        self.end()

    def read(self) -> bytes:
        """Wait for some bytes of the client."""
        self._sock.settimeout(PATIENCE)
        return self._sock.recv(65536)


Script: TypeAlias = "Callable[[Visit], None] | bytes | Sequence[Callable[[Visit], None] | bytes]"
"""What to do: bytes are said, the rest is called."""


def end(visit: Visit) -> None:
    visit.end()


def reset(visit: Visit) -> None:
    # What was said before is to arrive: a reset would overtake it.
    time.sleep(0.02)
    visit.reset()


def hold(visit: Visit) -> None:
    visit.hold()


def accept(visit: Visit) -> None:
    visit.accept()


def listen(visit: Visit) -> None:
    visit.read()


def drip(data: bytes, pause: float = 0.0) -> Callable[[Visit], None]:
    """Byte by byte, with so many seconds between."""

    def say(visit: Visit) -> None:
        for place in range(len(data)):
            visit.say(data[place : place + 1])
            time.sleep(pause)

    return say


def wait(event: threading.Event) -> Callable[[Visit], None]:
    def until(_: Visit) -> None:
        assert event.wait(PATIENCE)

    return until


def in_turn(*scripts: Script) -> Callable[[Visit], None]:
    """The first visit gets the first one, and so on; the last one is for all that follow."""

    def take(visit: Visit) -> None:
        play(scripts[min(visit.number, len(scripts)) - 1], visit)

    return take


def play(script: Script, visit: Visit) -> None:
    for step in [script] if isinstance(script, bytes) or callable(script) else script:
        if isinstance(step, bytes):
            visit.say(step)
        else:
            step(visit)


class FaultServer(ThreadedServer):
    """Answers by the path, or its folder, whatever the method; what it does not know gets a 404."""

    def __init__(self, pages: Mapping[str, Script], *, banner: bytes = b"") -> None:
        self.pages = pages
        self.requests: list[Request] = []
        self._banner = banner
        super().__init__(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def _script(self, path: str) -> Script:
        folder = path[: path.rfind("/") + 1]
        return self.pages.get(path) or self.pages.get(folder) or html(404)

    def talk(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._banner:
            sock.sendall(self._banner)
        while (request := _read_request(sock)) is not None:
            self.requests.append(request)
            visit = Visit(sock, request, len(self.asked(request.path)), self.stopping)
            play(self._script(request.path), visit)
            if visit.is_over:
                break


def _read_request(sock: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# The proxy


class Fault(enum.Enum):
    """What becomes of the server's bytes from the place of the fault on."""

    END = enum.auto()  # the connection ends there
    RESET = enum.auto()
    HOLD = enum.auto()  # nothing comes any more, on any connection
    DRIP = enum.auto()  # byte by byte, all of them
    DELAY = enum.auto()  # all of them, but a little later


@attrs.define(eq=False)
class _Pair:
    client: socket.socket
    server: socket.socket


class FaultProxy:
    """Carries connections to *url*; after so many bytes of the server the fault happens."""

    def __init__(self, url: str, fault: Fault, after: int) -> None:
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        self.left = after
        self.happened = False
        self._to = host, int(port)
        self._fault = fault
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, _Pair] = {}
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._wake.close()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        for waiting in (self._listener, self._woken):
            self._selector.register(waiting, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._woken:
                    self._close_all()
                    return
                if sock is self._listener:
                    self._accept()
                elif sock in self._pairs:
                    self._carry(self._pairs[sock], sock)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        pair = _Pair(client, socket.create_connection(self._to))
        for sock in (pair.client, pair.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[sock] = pair
            self._selector.register(sock, selectors.EVENT_READ)

    def _carry(self, pair: _Pair, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
            if not data:
                self._part(pair)
            elif sock is pair.client:
                pair.server.sendall(data)
            else:
                self._bring(pair, data)
        except OSError:
            self._part(pair)

    def _bring(self, pair: _Pair, data: bytes) -> None:
        good, bad = data[: self.left], data[self.left :]
        self.left -= len(good)
        if good:
            pair.client.sendall(good)
        if bad:
            self._spoil(pair, bad)

    def _spoil(self, pair: _Pair, data: bytes) -> None:
        first, self.happened = not self.happened, True
        match self._fault:
            case Fault.END | Fault.RESET:
                # Once: who comes back is served.
                self.left = 1 << 60
                self._part(pair, reset=self._fault is Fault.RESET)
            case Fault.HOLD:
                pass
            case Fault.DRIP:
                for place in range(len(data)):
                    pair.client.sendall(data[place : place + 1])
            case Fault.DELAY:
                time.sleep(0.02 if first else 0.0)
                pair.client.sendall(data)

    def _part(self, pair: _Pair, *, reset: bool = False) -> None:
        for sock in (pair.client, pair.server):
            if self._pairs.pop(sock, None) is not None:
                self._selector.unregister(sock)
            if reset and sock is pair.client:
                _reset(sock)
            else:
                sock.close()

    def _close_all(self) -> None:
        for pair in list(self._pairs.values()):
            self._part(pair)
        for sock in (self._listener, self._woken):
            sock.close()
        self._selector.close()


# What is left


@contextlib.contextmanager
def nothing_is_left() -> Generator[None]:
    """Neither a thread of ours nor a socket is left of what happens in this ``with``."""
    before = _ours()
    yield
    give_up = time.monotonic() + PATIENCE
    while (left := _ours()) != before:
        gc.collect()  # what an error's traceback keeps, for one
        assert time.monotonic() < give_up, f"left: {left}, before: {before}"
        time.sleep(0.01)


def _ours() -> tuple[list[str], int]:
    """The threads, and how many sockets there are."""
    # Those of the loops' own pools wait a while for more to do.
    pools = ("asyncio_", "Trio thread")
    names = sorted(thread.name for thread in threading.enumerate())
    sockets = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # of the listing itself
            sockets += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return [name for name in names if not name.startswith(pools)], sockets
