"""Connecting in asyncio: addresses in turn, and beside one that is slow; what loses is given up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from sansio_gradio.errors import ConnectFailed
from sansio_gradio_adapters import resolve
from sansio_gradio_adapters._dialing import dial
from tests.adapters.test_sockets import free_port
from tests.support.worlds import CANCELLING

LOOPS = [name for name in CANCELLING if name != "trio"]
FAMILY = socket.AF_INET


class Wire(asyncio.BufferedProtocol):
    made: list[Wire]

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.made.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


class Trial:
    """Dials, and keeps account of tasks and connections."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self.made: list[Wire] = []

    def start(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.create_task(what))
        return self.tasks[-1]

    def wire(self) -> Wire:
        wire = Wire()
        wire.made = self.made
        return wire

    async def dial(self) -> None:
        await dial("a.name", 80, self.wire, self.start)

    async def end(self) -> None:
        """Nothing may be left but connections that were made."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for wire in self.made:
            wire.transport.abort()  # type: ignore[attr-defined]  # it is a Transport
            await wire.closed.wait()


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    return CANCELLING[request.param].run


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address that never answers: it has all the connections that it wants."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()
        for one in waiting:
            one.close()


@pytest.fixture
def answering() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses of the name, to be filled in."""
    addresses: list[Any] = []
    monkeypatch.setattr(resolve, "literal", lambda host, port: list(addresses))
    monkeypatch.setattr(resolve, "ATTEMPT_DELAY", 0.02)
    return addresses


def test_a_slow_address_is_given_up_for_a_better_one(
    play: Any, found: list[Any], deaf: Any, answering: Any
) -> None:
    found += [(FAMILY, deaf), (FAMILY, answering)]

    async def scenario() -> None:
        trial = Trial()
        await trial.dial()
        assert len(trial.made) == 1
        await trial.end()
        assert [task.cancelled() for task in trial.tasks[:2]] == [True, False]

    play(scenario)


def test_a_refused_address_is_followed_by_the_next_at_once(
    play: Any, found: list[Any], answering: Any
) -> None:
    found += [(FAMILY, ("127.0.0.1", free_port())), (FAMILY, answering)]

    async def scenario() -> None:
        trial = Trial()
        await trial.dial()
        assert len(trial.made) == 1
        await trial.end()

    play(scenario)


def test_of_several_refusals_one_is_told(play: Any, found: list[Any]) -> None:
    found += [(FAMILY, ("127.0.0.1", free_port())) for _ in range(3)]

    async def scenario() -> None:
        trial = Trial()
        with pytest.raises(ConnectFailed, match="refused"):
            await trial.dial()
        assert trial.made == []
        await trial.end()

    play(scenario)


def test_whoever_dials_can_be_cancelled(play: Any, found: list[Any], deaf: Any) -> None:
    found += [(FAMILY, deaf)] * 2

    async def scenario() -> None:
        trial = Trial()
        task = asyncio.create_task(trial.dial())
        while len(trial.tasks) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await trial.end()
        assert trial.made == []

    play(scenario)
