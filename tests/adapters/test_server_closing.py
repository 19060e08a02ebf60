"""Every connection is closed, and once: behind an answer read slowly, at the server's end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import math
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from sansio_gradio.server.app import App
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import Server, serve_in_thread

SIZE = 8_000_000  # more than the buffers of both ends take


def test_a_slow_reader_gets_all_and_the_loop_has_nothing_to_complain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    def big() -> str:
        return "x" * SIZE

    app.add_function(big, queue=False)
    body = json.dumps({"data": [], "fn_index": 0}).encode()
    with (
        serve_in_thread(app) as url,
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as sock,
    ):
        sock.sendall(
            b"POST /gradio_api/run/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        time.sleep(0.2)  # the server is to fill the buffers, and to wait
        received = 0
        while data := sock.recv(65536):
            received += len(data)
    assert received > SIZE
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_comes_with_the_end_is_closed(turns: int) -> None:
    async def serve() -> None:
        async with Server(App()) as server:
            asking.setblocking(False)
            with pytest.raises(BlockingIOError):
                asking.connect((server.host, server.port))
            for _ in range(turns):
                await asyncio.sleep(0)

    with socket.socket() as asking:
        asyncio.run(serve())
        asking.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert asking.recv(1) == b""
    gc.collect()  # a socket that was forgotten complains now


def opened(server: Server) -> socket.socket:
    """A client that takes little unless it reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(PATIENCE)
    sock.connect((server.host, server.port))
    return sock


def read_all(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def ask(sock: socket.socket, method: str, target: str, said: object = None) -> None:
    body = b"" if said is None else json.dumps(said).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)


def flooding(produced: list[int]) -> App:
    app = App(concurrency_limit=None)

    def in_thread(n: int) -> Iterator[str]:
        for number in range(n):
            yield f"{number % 10}" * 100_000
            produced.append(number)

    async def on_loop(n: int) -> AsyncIterator[str]:
        for number in range(n):
            yield f"{number % 10}" * 100_000
            produced.append(number)

    app.add_function(in_thread)
    app.add_function(on_loop)
    return app


def listening(server: Server, fn_index: int, count: int) -> socket.socket:
    with opened(server) as joining:
        said = {"data": [count], "fn_index": fn_index, "session_hash": f"s{fn_index}"}
        ask(joining, "POST", "/gradio_api/queue/join", said)
        assert b" 200 " in joining.recv(1000)
    sock = opened(server)
    ask(sock, "GET", f"/gradio_api/queue/data?session_hash=s{fn_index}")
    return sock


@pytest.mark.parametrize("fn_index", [0, 1])
def test_a_function_waits_for_a_slow_reader_who_gets_all(fn_index: int) -> None:
    """It may be a few buffers ahead of the reader, and no further."""
    count, produced = 200, list[int]()
    ahead = 60  # of 100,000 bytes each, for the buffers of both ends

    def read(server: Server) -> None:
        with listening(server, fn_index, count) as sock:
            received, end = 0, b""
            while b"close_stream" not in end:
                data = sock.recv(65536)
                assert data
                received, end = received + len(data), end[-1000:] + data
                assert len(produced) < received // 100_000 + ahead
        assert received > count * 100_000
        assert len(produced) == count

    async def main() -> None:
        limits = ServerLimits(ahead=200_000, unsent=2_000_000)
        async with Server(flooding(produced), limits=limits) as server:
            await asyncio.to_thread(read, server)

    asyncio.run(main())


def test_clients_that_never_read_are_let_go_and_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    produced: list[int] = []

    def attack(server: Server) -> list[socket.socket]:
        listeners = [listening(server, number, 1000) for number in range(2)]
        asking = opened(server)  # its answer is more than the buffers take
        ask(asking, "POST", "/gradio_api/run/big", {"data": [], "fn_index": 2})
        return [*listeners, asking]

    def visit(server: Server) -> bytes:
        """The answer to somebody who comes back until there is room."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError), opened(server) as sock:
                ask(sock, "GET", "/config")
                if data := sock.recv(100):
                    return data
            time.sleep(0.05)
        return b""

    async def main() -> None:
        app = flooding(produced)
        app.add_function(lambda: "x" * SIZE, "/big", queue=False)
        limits = ServerLimits(unsent=1_000_000, connections=3, stall=0.2)
        async with Server(app, limits=limits) as server:
            socks = await asyncio.to_thread(attack, server)
            assert b" 200 " in await asyncio.to_thread(visit, server)
            async with asyncio.timeout(PATIENCE):
                while caplog.messages.count(CUT) < len(socks):
                    await asyncio.sleep(0.01)
            for sock in socks:  # the system keeps nothing for them either
                with sock, pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(read_all, sock)

    asyncio.run(main())
    assert len(produced) in range(200)


CUT = "a connection was cut: it took nothing for 0.2 seconds"


def test_a_request_that_comes_as_its_idle_connection_is_closed_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sansio_gradio.server.engine.IDLE", 0.1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_at = loop.call_at
        with socket.socket() as sock:

            def call_after_a_request(when: float, *args: Any) -> asyncio.TimerHandle:
                """Let the client ask once more just when a timer of the server passes."""
                call_at(math.nextafter(when, 0), ask, sock, "GET", "/nothing")
                return call_at(when, *args)

            async with Server(App()) as server:
                sock.settimeout(PATIENCE)
                sock.connect((server.host, server.port))
                monkeypatch.setattr(loop, "call_at", call_after_a_request)
                ask(sock, "GET", "/nothing")
                for _ in range(2):
                    assert b" 404 " in await asyncio.to_thread(sock.recv, 1000)
                monkeypatch.setattr(loop, "call_at", call_at)

    asyncio.run(main())
