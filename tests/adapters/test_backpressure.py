"""Worlds of tasks take from the engine what the peer reads, and no more; also at the end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

import sansio_gradio_adapters.asyncio as for_asyncio
import sansio_gradio_adapters.trio as for_trio
from sansio_gradio.testing.worlds import wait_for
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._options import ClientOptions
from tests.support.worlds import CANCELLING, CancellingWorld

PIECE = b"x" * 65536
PIECES = 400


class Machine:
    """Stands for the engine: has so many pieces to send, and counts what it is told."""

    def __init__(self) -> None:
        self.world: Any = None
        self.left = PIECES
        self.is_open = False
        self.received_bytes = 0

    def opened(self, conn: int) -> None:
        self.is_open = True

    def data_to_send(self, conn: int) -> bytes:
        if not self.left:
            return b""
        self.left -= 1
        return PIECE

    def writable(self, conn: int) -> None:
        self.world.wake_writer(conn)

    def received(self, conn: int, data: bytes) -> None:
        self.received_bytes += len(data)

    def has_received(self, count: int) -> bool:
        return self.received_bytes == count

    def lost(self, conn: int, error: object) -> None: ...

    def step(self) -> None: ...


async def in_a_world(machine: Machine, play: Callable[[Any], Awaitable[None]], name: str) -> None:
    core = ClientCore(ClientOptions("http://127.0.0.1:1"))
    if name == "trio":
        async with trio.open_nursery() as nursery:
            world: Any = for_trio._World(core, None, nursery)
            world.machine = machine
            machine.world = world
            await play(world)
            world.shut_down()
    else:
        world = for_asyncio._World(core, None)
        world.machine = machine
        machine.world = world
        await play(world)
        world.shut_down()
        while world.rest:
            await asyncio.sleep(0.001)


@pytest.fixture(params=CANCELLING)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_what_the_peer_does_not_read_is_not_taken(name: str) -> None:
    world: CancellingWorld = CANCELLING[name]
    machine = Machine()
    count = 0

    def read_all(peer: socket.socket) -> None:
        nonlocal count
        while count < PIECES * len(PIECE):
            count += len(peer.recv(1 << 20))

    with socket.create_server(("127.0.0.1", 0)) as server:

        async def play(own: Any) -> None:
            own.open(1, *server.getsockname())
            await wait_for(world, lambda: machine.is_open)
            peer, _ = server.accept()
            with peer:
                own.wake_writer(1)
                await world.sleep(0.05)
                waiting = machine.left
                assert waiting > PIECES / 2
                own.wake_writer(1)
                assert machine.left == waiting  # and none is taken while it is full
                reader = threading.Thread(target=read_all, args=(peer,))
                reader.start()
                await wait_for(world, lambda: count == PIECES * len(PIECE))
                reader.join()

        world.run(lambda: in_a_world(machine, play, name))
    assert machine.left == 0


def test_what_is_not_to_be_read_waits_at_the_peer(name: str) -> None:
    world: CancellingWorld = CANCELLING[name]
    machine = Machine()
    machine.left = 0

    with socket.create_server(("127.0.0.1", 0)) as server:

        async def play(own: Any) -> None:
            own.open(1, *server.getsockname())
            await wait_for(world, lambda: machine.is_open)
            peer, _ = server.accept()
            with peer:
                for wanted in (4, 8, 12):
                    own.pause(1)
                    own.pause(1)
                    peer.sendall(b"more")
                    await world.sleep(0.02)
                    assert machine.received_bytes == wanted - 4
                    own.resume(1)
                    own.resume(1)
                    await wait_for(world, partial(machine.has_received, wanted))

        world.run(lambda: in_a_world(machine, play, name))


LAST = PIECE * 100  # more than buffers take


def test_the_last_bytes_arrive_at_a_peer_that_reads_late(name: str) -> None:
    world: CancellingWorld = CANCELLING[name]
    machine = Machine()
    machine.left = 0
    parts: list[bytes] = []

    def read_all(peer: socket.socket) -> None:
        while part := peer.recv(1 << 20):
            parts.append(part)

    with socket.create_server(("127.0.0.1", 0)) as server:

        async def play(own: Any) -> None:
            own.open(1, *server.getsockname())
            await wait_for(world, lambda: machine.is_open)
            peer, _ = server.accept()
            with peer:
                own.close(1, LAST)
                await world.sleep(0.05)
                reader = threading.Thread(target=read_all, args=(peer,))
                reader.start()
                await wait_for(world, lambda: not reader.is_alive())

        world.run(lambda: in_a_world(machine, play, name))
    assert sum(map(len, parts)) == len(LAST)


def test_a_peer_that_does_not_read_the_last_bytes_is_left(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world: CancellingWorld = CANCELLING[name]
    machine = Machine()
    machine.left = 0
    for module in (for_asyncio, for_trio):
        monkeypatch.setattr(module, "LINGER", 0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:

        async def play(own: Any) -> None:
            others = len(own.rest)
            own.open(1, *server.getsockname())
            await wait_for(world, lambda: machine.is_open)
            peer, _ = server.accept()
            with peer:
                own.close(1, LAST)
                await wait_for(world, lambda: len(own.rest) == others)

        world.run(lambda: in_a_world(machine, play, name))
