"""An event loop that comes late: what the network had in time counts, and no deadline passes.

Time is told: between any two turns of the loop the clock goes on by more than every deadline. The
server is served by the test, so that by then it has answered all that was asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import time
from asyncio import get_running_loop
from collections.abc import Generator
from typing import Any

import pytest

from sansio_gradio import Engine, Timeouts
from sansio_gradio.errors import DeadlineExceeded
from sansio_gradio.events import ConnectingFailed, Event, JobCompleted, JobFailed
from sansio_gradio_adapters import _machine, _polled, asyncio, trio
from sansio_gradio_adapters.loop import Loop
from tests.adapters.test_idle import CONFIG
from tests.adapters.test_tls import Peer, client_context
from tests.support.fault_peer import page
from tests.support.worlds import CANCELLING, CancellingWorld

TURNS = 20_000  # in which a call must be over
BIG = "x" * 2_000_000  # more than is read at once


class Clock:
    """Stands for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0
        """Seconds between two looks at it."""

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    def time(self) -> float:
        return 1e9 + self.now


class Server:
    """Answers while ``serve`` is called, and in no thread of its own."""

    def __init__(self, *, tls: bool = False) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        self._tls = tls
        self._connections: dict[socket.socket, Peer | None] = {}
        self._asked: dict[socket.socket, bytes] = {}
        self._to_send: dict[socket.socket, bytes] = {}

    def close(self) -> None:
        for sock in (self.listener, *self._connections):
            sock.close()

    def serve(self) -> None:
        """Go on until there is nothing left to do."""
        while True:
            full = [sock for sock, data in self._to_send.items() if data]
            ready, free, _ = select.select([self.listener, *self._connections], full, [], 0)
            if not (ready or free):
                return
            for sock in free:
                self._write(sock, b"")
            for sock in ready:
                if sock is self.listener:
                    connection, _ = sock.accept()
                    connection.setblocking(False)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._connections[connection] = Peer() if self._tls else None
                else:
                    self._read(sock)

    def _read(self, sock: socket.socket) -> None:
        data, peer = sock.recv(1 << 20), self._connections[sock]
        if not data:
            del self._connections[sock]
            self._to_send.pop(sock, None)
            sock.close()
            return
        if peer is not None:
            peer.feed(data)
            self._write(sock, peer.output())
            data, peer.received = peer.received, b""
        asked = self._asked.get(sock, b"") + data
        head, end, body = asked.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if end and len(body) >= int(fields.get(b"content-length", 0)):
            asked = b""
            is_post = head.startswith(b"POST")
            answer = page({"data": json.loads(body)["data"]} if is_post else CONFIG)
            self._write(sock, answer if peer is None else peer.send(answer))
        self._asked[sock] = asked

    def _write(self, sock: socket.socket, data: bytes) -> None:
        data = self._to_send.pop(sock, b"") + data
        with contextlib.suppress(BlockingIOError):
            data = data[sock.send(data) :]
        self._to_send[sock] = data


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (_machine, asyncio, trio):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(params=[False, True], ids=["http", "https"])
def server(request: pytest.FixtureRequest) -> Generator[Server]:
    with contextlib.closing(Server(tls=request.param)) as server:
        yield server


def tell(clock: Clock) -> None:
    """Let the event loop, too, go by this clock, where it can: asyncio's own."""
    with contextlib.suppress(RuntimeError, AttributeError):
        setattr(get_running_loop(), "time", clock.monotonic)  # noqa: B010


async def late(world: Any, server: Server, clock: Clock) -> None:
    """One turn of a loop that is busy for long."""
    await world.sleep(0)
    server.serve()
    time.sleep(0.0005)  # so that what is on its way within this machine has arrived
    clock.now += 1000


@pytest.mark.parametrize("world", CANCELLING.values(), ids=list(CANCELLING))
def test_each_turn_comes_late_and_the_call_is_answered(
    world: CancellingWorld, server: Server, clock: Clock
) -> None:
    async def play() -> None:
        tell(clock)
        over: list[str] = []

        async def call() -> None:
            async with world.client(server.url, ssl_context=client_context()) as client:
                over.append(await client.predict("x", api_name="/plain"))
                over.append(await client.predict(BIG, api_name="/plain"))

        async def turns() -> None:
            for _ in range(TURNS):
                if len(over) == 2:
                    return
                await late(world, server, clock)
            raise AssertionError("the call is not over")

        await world.together(call, turns)
        assert over == ["x", BIG]

    world.run(play)


@pytest.mark.parametrize("world", CANCELLING.values(), ids=list(CANCELLING))
def test_patience_with_a_result_that_is_there_is_enough(
    world: CancellingWorld, server: Server, clock: Clock
) -> None:
    async def play() -> None:
        tell(clock)
        over: list[object] = []

        async def call() -> None:
            async with world.client(server.url, ssl_context=client_context()) as client:
                job = client.submit("x", api_name="/plain", timeout=10)
                over.append(await job.result(timeout=5))

        async def turns() -> None:
            for _ in range(TURNS):
                if over:
                    return
                await late(world, server, clock)
            raise AssertionError("the call is not over")

        await world.together(call, turns)
        assert over == ["x"]

    world.run(play)


@pytest.mark.parametrize("budget", [None, 0.0])
def test_a_loop_that_is_polled_late(server: Server, clock: Clock, budget: float | None) -> None:
    engine = Engine(entropy=os.urandom)
    session = engine.session(server.url)
    events: list[Event] = []
    with Loop(engine, ssl_context=client_context(), clock=clock.monotonic) as loop:
        loop.attach(session.id, events.append)
        session.submit(BIG, api_name="/plain", timeout=10)
        for _ in range(TURNS):
            loop.poll(budget)
            server.serve()
            clock.now += 1000
            if isinstance(events and events[-1], JobCompleted | JobFailed | ConnectingFailed):
                break
    assert isinstance(events[-1], JobCompleted)
    assert events[-1].data == (BIG,)


@pytest.mark.parametrize("budget", [None, 0.0])
def test_what_takes_long_to_read_does_not_turn_the_time_back(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, budget: float | None
) -> None:
    monkeypatch.setattr(_polled, "_MOST", 1)  # so much is read before a late deadline counts
    clock.step = 2.0  # each piece takes as long to read
    with contextlib.closing(Server()) as server:
        engine = Engine(entropy=os.urandom)
        session = engine.session(server.url)
        events: list[Event] = []
        with Loop(engine, clock=clock.monotonic) as loop:
            loop.attach(session.id, events.append)
            session.submit(BIG, api_name="/plain")
            for _ in range(TURNS):
                loop.poll(budget)
                server.serve()
                clock.now += 1000
                if isinstance(events and events[-1], JobCompleted | JobFailed | ConnectingFailed):
                    return
    raise AssertionError("the call is not over")


def test_a_loop_hears_of_a_deadline_when_nothing_more_comes(clock: Clock) -> None:
    with contextlib.closing(Server()) as silent:
        engine = Engine(entropy=os.urandom, timeouts=Timeouts(request=5))
        session = engine.session(silent.url)
        events: list[Event] = []
        with Loop(engine, clock=clock.monotonic) as loop:
            loop.attach(session.id, events.append)
            while not events:
                loop.poll()
                clock.now += 1
        assert isinstance(events[-1], ConnectingFailed)
        assert isinstance(events[-1].error, DeadlineExceeded)
        assert clock.now < 1020
