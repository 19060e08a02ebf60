"""A server that costs next to nothing, so that what is measured is the client.

``python benchmarks/stub.py [PACE [DELAY]]`` prints its URL and serves until its input ends. It says
what Gradio 6.31.0 says (``config.json`` and ``info.json`` are recorded), byte for byte: one HTTP
chunk for each message. ``PACE``: the seconds between the messages of a stream, so that each read
brings one; 0: all in one burst. ``DELAY``: the seconds of a round trip.

Endpoints: 0 ``/ident`` text, 1 ``/grow`` messages, characters, 2 ``/plain`` messages, characters
each, 3 ``/big`` characters, 4 ``/slow`` seconds (10^6 or more: it never ends).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

HERE = Path(__file__).parent
NEVER = 1e6
EVENT = b"@" * 32
PLACE = b"http://127.0.0.1:17860"  # where the recorded server was
FIELDS = b"date: Sun, 22 Nov 2026 21:05:02 GMT\r\nserver: uvicorn\r\n"
STREAM = (
    b"HTTP/1.1 200 OK\r\n" + FIELDS + b"content-type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
TIMES = (
    '"duration":0.01113414764404297,"average_duration":0.01914501190185547,'
    '"render_config":null,"changed_state_ids":[],"used_cache":null'
)


def answer(body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\ncontent-type: %b\r\n\r\n"
    return head % (status, FIELDS, len(body), kind) + body


def message(text: str) -> bytes:
    data = b"data: %b\n\n" % text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def said(kind: str, more: str) -> bytes:
    return message(f'{{"msg":"{kind}","event_id":"{EVENT.decode()}",{more}}}')


def written(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def generating(*data: Any) -> bytes:
    output = f'"output":{{"data":{written(data)},"is_generating":true,{TIMES}}}'
    return said("process_generating", f'{output},"success":true,"time_limit":null')


def completed(*data: object) -> bytes:
    output = f'"output":{{"data":{written(data)},"is_generating":false,{TIMES}}}'
    rest = '"success":true,"title":null,"used_cache":null,"cache_duration":0.01,"avg_time":0.01'
    return said("process_completed", f"{output},{rest}")


STARTS = [
    said("estimation", '"rank":0,"queue_size":1,"rank_eta":null'),
    said("process_starts", '"eta":null'),
]
CANCELLED = said("process_completed", '"output":{},"success":true,"title":null')
UNKNOWN = message(
    '{"msg":"unexpected_error","event_id":null,"message":"404: Not Found","session_not_found":true,'
    '"success":false}'
) + (b"0\r\n\r\n")
CLOSES = message('{"msg":"close_stream","event_id":null}') + b"0\r\n\r\n"


@lru_cache(maxsize=8)
def run(function: int, *data: Any) -> list[bytes]:
    """All messages of a job."""
    match function:
        case 1:
            count, size = map(int, data)
            token = ("abcdefghij" * (size // count // 10 + 1))[: max(1, size // count)]
            more = [generating([["append", [], token]])] * (count - 1)
            return [*STARTS, generating(token), *more, completed(token * count)]
        case 2:
            count, size = map(int, data)
            texts = [f"{number:08}".ljust(size, "x") for number in range(count)]
            more = [generating([["replace", [], text]]) for text in texts[1:]]
            return [*STARTS, generating(texts[0]), *more, completed(texts[-1])]
        case 3:
            return [*STARTS, completed("x" * int(data[0]))]
        case _:
            return [*STARTS, completed(*data)]


class Session:
    """The messages of one session, and its stream."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.running: dict[bytes, asyncio.TimerHandle | None] = {}
        self.stream: Peer | None = None

    def begin(self, stub: Stub, function: int, data: Sequence[Any]) -> bytes:
        event = uuid.uuid4().hex.encode()
        self.running[event] = None
        if function == 4:
            self.tell(event, STARTS)
            if (seconds := float(data[0])) < NEVER:
                end = partial(self.finish, event, [completed("ok")])
                self.running[event] = stub.loop.call_later(seconds, end)
        else:
            self.finish(event, run(function, *data))
        return event

    def finish(self, event: bytes, messages: Sequence[bytes]) -> None:
        if event not in self.running:
            return
        timer = self.running.pop(event)
        if timer is not None:
            timer.cancel()
        self.tell(event, messages)

    def tell(self, event: bytes, messages: Sequence[bytes]) -> None:
        whole = len(messages) > 100  # replaced at once
        if whole and self.stream is not None and self.stream.stub.pace:
            self.stream.pace([one.replace(EVENT, event) for one in messages])
        else:
            self.waiting.append(b"".join(messages).replace(EVENT, event))
        self.flush()

    def flush(self) -> None:
        if self.stream is None or not self.waiting:
            return  # it waits, as Gradio does: the job may come behind
        if not self.running:
            self.waiting.append(CLOSES)
        self.stream.send(b"".join(self.waiting))
        self.waiting.clear()
        if not self.running:
            self.stream = None


class Stub:
    """What all connections share."""

    def __init__(self, pace: float, delay: float) -> None:
        self.pace, self.delay = pace, delay
        self.loop = asyncio.get_running_loop()
        self.sessions: dict[str, Session] = {}
        self.config = self.info = b""

    def session(self, name: str) -> Session:
        return self.sessions.setdefault(name, Session())

    def is_at(self, url: str) -> None:
        config, info = ((HERE / name).read_bytes() for name in ("config.json", "info.json"))
        self.config = answer(config.replace(PLACE, url.encode()))
        self.info = answer(info.replace(PLACE, url.encode()))


class Peer(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.buffer = bytearray()
        self.left = 0  # bytes of a file that are still to come
        self.is_chunked = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        for session in self.stub.sessions.values():
            if session.stream is self:
                session.stream = None

    def data_received(self, data: bytes) -> None:
        if self.stub.delay:
            self.stub.loop.call_later(self.stub.delay / 2, self.take, data)
        else:
            self.take(data)

    def send(self, data: bytes) -> None:
        if self.stub.delay:
            self.stub.loop.call_later(self.stub.delay / 2, self.transport.write, data)
        else:
            self.transport.write(data)

    def pace(self, messages: Sequence[bytes]) -> None:
        """Send one by one. There is nobody else to serve meanwhile."""
        with self.transport.get_extra_info("socket").dup() as sock:
            sock.setblocking(True)
            for one in messages:
                sock.sendall(one)
                time.sleep(self.stub.pace)
            sock.setblocking(False)

    def take(self, data: bytes) -> None:
        if self.left:
            used = min(self.left, len(data))
            self.left -= used
            data = data[used:]
            if not self.left:
                self.stored()
        elif self.is_chunked:
            self.buffer[:] = self.buffer[-8:] + data
            if self.buffer.endswith(b"0\r\n\r\n"):
                self.is_chunked = False
                self.buffer.clear()
                self.stored()
            return
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            method, path, _ = bytes(self.buffer[: self.buffer.index(b"\r\n")]).split(b" ")
            found = re.search(rb"\r\ncontent-length: *(\d+)", head)
            size = int(found[1]) if found else 0
            if b"/upload" in path and method == b"POST":
                have = len(self.buffer) - end - 4
                if b"transfer-encoding: chunked" in head:
                    del self.buffer[: end + 4]
                    self.is_chunked = True
                    self.take(b"")
                    return
                del self.buffer[: end + 4 + size]
                self.left = max(size - have, 0)
                if self.left:
                    return
                self.stored()
                continue
            if len(self.buffer) < end + 4 + size:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + size])
            del self.buffer[: end + 4 + size]
            self.handle(path.removeprefix(b"/gradio_api"), body)

    def stored(self) -> None:
        self.send(answer(b'["/srv/gradio/768744e02e81f694/blob.bin"]'))

    def handle(self, path: bytes, body: bytes) -> None:
        path, _, query = path.partition(b"?")
        match path.rstrip(b"/"):
            case b"/queue/join":
                asked = json.loads(body)
                session = self.stub.session(asked["session_hash"])
                event = session.begin(self.stub, asked["fn_index"], asked["data"])
                self.send(answer(b'{"event_id":"%b"}' % event))
            case b"/queue/data":
                session = self.stub.session(
                    query.split(b"session_hash=")[1].split(b"&")[0].decode()
                )
                self.send(STREAM)
                session.stream = self
                session.flush()
            case b"/config":
                self.send(self.stub.config)
            case b"/info":
                self.send(self.stub.info)
            case b"/heartbeat":
                self.send(STREAM + message("ALIVE"))
            case b"/cancel":
                asked = json.loads(body)
                event = (asked["event_id"] or "").encode()  # the peer may not know it yet
                self.stub.session(asked["session_hash"]).finish(event, [CANCELLED])
                self.send(answer(b'{"success":true}'))
            case b"/reset":
                self.send(answer(b'{"success":true}'))
            case path if path.startswith(b"/file="):
                size = int(re.search(rb"blob_(\d+)", path)[1])  # type: ignore[index]  # a path that it made
                self.send(answer(bytes(size), kind=b"application/octet-stream"))
            case _:
                self.send(answer(b'{"detail":"Not Found"}', b"404 Not Found"))


async def serve(pace: float, delay: float) -> None:
    stub = Stub(pace, delay)
    make: Callable[[], Peer] = partial(Peer, stub)
    server = await stub.loop.create_server(make, "127.0.0.1", 0, backlog=4096)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    stub.is_at(url)
    print(url, flush=True)
    await stub.loop.run_in_executor(None, sys.stdin.read)


def main(pace: float = 0, delay: float = 0) -> None:
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415

        uvloop.run(serve(pace, delay))
        return
    asyncio.run(serve(pace, delay))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
