"""Connections that the server has closed while they were idle, unseen until they are used again.

The server closes when the test says so, and the client is asked in the same breath: no event loop
has run in between, as where it is busy for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Generator

import pytest

from sansio_gradio import Engine
from sansio_gradio.events import Event, JobCompleted, JobFailed
from sansio_gradio.testing.worlds import World
from sansio_gradio_adapters.loop import Loop
from tests.support.fault_peer import page
from tests.support.worlds import WORLDS

CONFIG = {
    "version": "4.44.1",
    "protocol": "sse_v3",
    "components": [{"id": 1, "type": "textbox", "props": {}}],
    "dependencies": [
        {"id": 0, "inputs": [1], "outputs": [1], "api_name": "plain", "queue": False},
    ],
}
GOODBYES = {
    "nothing": b"",
    "408": b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    "garbage": b"\x00\x01\x02",
}


class Server:
    """Answers each request on a connection that it keeps, until it is told to leave them all."""

    def __init__(self, *, only_half: bool = False) -> None:
        self.posts: list[object] = []
        """The arguments of each call, as often as they came."""
        self._only_half = only_half
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def leave(self, goodbye: bytes = b"") -> None:
        """Close all connections; when it returns, that has arrived on this machine."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.sendall(goodbye)
            with contextlib.suppress(OSError):
                how = socket.SHUT_WR if self._only_half else socket.SHUT_RDWR
                connection.shutdown(how)
        self._connections.clear()

    def close(self) -> None:
        self._only_half = False
        self.leave()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=[connection])
                self._threads.append(thread)
                self._connections.append(connection)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                size = 0
                while (header := stream.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                body = stream.read(size)
                if line.startswith(b"POST"):
                    data = json.loads(body)["data"]
                    self.posts.append(data[0])
                    connection.sendall(page({"data": data}))
                else:
                    connection.sendall(page(CONFIG if b"/config" in line else {}))


@pytest.fixture(params=[False, True], ids=["closed", "half closed"])
def server(request: pytest.FixtureRequest) -> Generator[Server]:
    with contextlib.closing(Server(only_half=request.param)) as made:
        yield made


@pytest.mark.parametrize("goodbye", GOODBYES)
@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_a_call_on_a_connection_that_was_closed_unseen_goes_on_another_one(
    world: World, server: Server, goodbye: str
) -> None:
    async def play() -> None:
        async with world.client(server.url) as client:
            for number in range(5):
                server.leave(GOODBYES[goodbye])
                job = client.submit(str(number), api_name="/plain")
                assert await job.result() == str(number)

    world.run(play)
    assert server.posts == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_many_clients_are_left_at_once_and_each_call_arrives_once(world: World) -> None:
    async def play() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(world.client(left.url)) for _ in range(30)]
            left.leave()
            jobs = [client.submit(str(n), api_name="/plain") for n, client in enumerate(clients)]
            assert [await job.result() for job in jobs] == [str(n) for n in range(30)]

    with contextlib.closing(Server()) as left:
        world.run(play)
    assert sorted(map(int, map(str, left.posts))) == list(range(30))


@pytest.mark.parametrize("goodbye", GOODBYES)
def test_what_comes_between_reading_and_writing_is_seen(server: Server, goodbye: str) -> None:
    events: list[Event] = []
    engine = Engine(entropy=os.urandom)
    session = engine.session(server.url)
    with Loop(engine) as loop:
        loop.attach(session.id, events.append)
        for number in range(5):
            server.leave(GOODBYES[goodbye])
            session.submit(str(number), api_name="/plain")
            loop.step()
            while not any(isinstance(event, JobCompleted | JobFailed) for event in events):
                loop.run_once()
            events.clear()
    assert server.posts == ["0", "1", "2", "3", "4"]
