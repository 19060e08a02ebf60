"""Serve an app's Python functions, as a Gradio server, on asyncio.

    app = App()

    @app.endpoint("/greet")
    def greet(name: str) -> str:
        return f"Hello, {name}."

    async with Server(app) as server:          # or: with serve_in_thread(app) as url
        print(server.url)

Functions may be plain or async, and generators. Plain functions run in threads. Each output is
handed to the loop before the function goes on, so a fast generator cannot run ahead of the server.
A cancelled run ends at its next yield, or when it next uses its ``Run``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

from sansio_gradio.server.app import App
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters._running import Runner

__all__ = ["Server", "serve", "serve_in_thread"]

_WRITE: Final = 256 * 1024


class Server:
    """Serves *app* on *host* and *port* (0: a free one) while its ``async with`` is open.

    Up to ``max_threads`` plain functions run at once; the others wait. At the end runs are
    cancelled and get up to ``grace`` seconds to stop. A plain function that neither yields nor
    uses its ``Run`` cannot be stopped: it goes on in its daemon thread.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        max_threads: int = 40,
        grace: float = 5.0,
        limits: ServerLimits | None = None,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self._max_threads = max_threads
        self._grace = grace
        self._limits = limits

    @property
    def url(self) -> str:
        """The address to give to a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._core = _Core(self.app, loop, self._max_threads, self._limits)
        self._listener = await loop.create_server(partial(_Peer, self._core), self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Accept no more. Connections that were accepted reach us after three steps of asyncio: a
        # task, a transport, us. Without the wait asyncio (3.11) would leave their sockets open.
        with contextlib.suppress(NotImplementedError):  # Windows
            for sock in self._listener.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        self._listener.close()
        await self._core.close(self._grace)


@contextlib.contextmanager
def serve_in_thread(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> Generator[str]:
    """Serve *app* in a thread while the ``with`` is open. Gives its address.

    ``options`` are those of ``Server``.
    """
    address: Future[str] = Future()
    leave: list[Callable[[], object]] = []

    async def serve() -> None:
        left = asyncio.Event()
        loop = asyncio.get_running_loop()
        leave.append(lambda: loop.call_soon_threadsafe(left.set))
        try:
            async with Server(app, host, port, **options) as server:
                address.set_result(server.url)
                await left.wait()
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)  # such as a port that is taken

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sansio-gradio-server")
    thread.start()
    try:
        yield address.result()
    finally:
        if not address.exception():
            leave[0]()
        thread.join()


def serve(app: App, host: str = "127.0.0.1", port: int = 7860, **options: Any) -> None:
    """Serve *app* until Ctrl-C."""

    async def forever() -> None:
        async with Server(app, host, port, **options):
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._can_write = True
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._conn = self._core.add(self)

    def data_received(self, data: bytes) -> None:
        self._core.engine.receive_data(self._conn, data, self._core.now())
        self._core.step()

    def eof_received(self) -> bool:
        self._core.engine.receive_data(self._conn, b"", self._core.now())
        self._core.step()
        return True  # the engine says when to close

    def connection_lost(self, exc: Exception | None) -> None:
        self._core.remove(self._conn, exc)

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        # Not now: asyncio calls this in the middle of sending, and would close the transport a
        # second time (selector_events.py: _write_ready).
        asyncio.get_running_loop().call_soon(self.write)

    def write(self) -> None:
        """Send what the engine has for this connection, while the transport takes it."""
        while self._can_write and (data := self._core.engine.data_to_send(self._conn, _WRITE)):
            self._transport.write(data)
        if self._closes and self._can_write:
            self._transport.close()

    def close(self) -> None:
        """Close when everything is sent."""
        self._closes = True
        self.write()

    def abort(self) -> None:
        self._transport.abort()


class _Core:
    """The engine, its connections and its runs, all on the loop."""

    def __init__(
        self,
        app: App,
        loop: asyncio.AbstractEventLoop,
        max_threads: int,
        limits: ServerLimits | None,
    ) -> None:
        self.now = loop.time
        self.engine = ServerEngine(
            app, entropy=os.urandom, wall_offset=time.time() - loop.time(), limits=limits
        )
        self._loop = loop
        self._runner = Runner(self.engine, loop, self.step, max_threads=max_threads)
        self._peers: dict[int, _Peer] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, peer: _Peer) -> int:
        conn = self._count
        self._count += 1
        self._peers[conn] = peer
        self.engine.connection_made(conn, self.now())
        self.step()
        return conn

    def remove(self, conn: int, error: Exception | None) -> None:
        del self._peers[conn]
        self.engine.connection_lost(conn, error, self.now())
        self.step()

    def step(self) -> None:
        """Do what the engine asks for."""
        while (event := self.engine.next_event()) is not None:
            self._runner.handle(event)
        for conn in self.engine.connections_with_data():
            self._peers[conn].write()
        while (command := self.engine.next_command()) is not None:
            if command.conn in self._peers:
                self._peers[command.conn].close()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._time_passed)

    async def close(self, grace: float) -> None:
        """Cancel what runs, close what is open, and wait for both."""
        self.engine.stop(self.now())
        self.step()
        await self._runner.close(grace)
        for peer in list(self._peers.values()):
            peer.abort()
        await asyncio.sleep(0)  # the transports report that they are closed
        if self._timer is not None:
            self._timer.cancel()

    def _time_passed(self) -> None:
        self.engine.handle_timer(self.now())
        self.step()
