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
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from sansio_gradio.server.app import App
from sansio_gradio.server.contents import Storage
from sansio_gradio.server.engine import Disconnect, ServerEngine
from sansio_gradio.server.events import ServerEvent
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters._loop_thread import held_open
from sansio_gradio_adapters._network import reset_on_close
from sansio_gradio_adapters._running import Runner
from sansio_gradio_adapters._serving import log_cut, watch_client
from sansio_gradio_adapters.server_loop import ServerLoop, address

if TYPE_CHECKING:
    import ssl

__all__ = ["Server", "ServerLoop", "serve", "serve_in_thread", "serving"]

_WRITE: Final = 64 * 1024
_TURNS: Final = 2  # of the loop, in which it reads what has come


class Server:
    """Serves *app* on *host* and *port* (0: a free one) while its ``async with`` is open.

    Up to ``max_threads`` plain functions run at once; the others wait. At the end runs are
    cancelled and get up to ``grace`` seconds to stop. A plain function that neither yields nor
    uses its ``Run`` cannot be stopped: it goes on in its daemon thread. ``ssl_context`` has the
    server's certificate; None: plain HTTP. ``on_event(event)`` is called with what clients do.
    ``storage`` keeps the contents of uploaded files (None: in memory; see ``storage.OnDisk``).
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
        ssl_context: ssl.SSLContext | None = None,
        on_event: Callable[[ServerEvent], object] | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self._max_threads = max_threads
        self._grace = grace
        self._limits = limits
        self._ssl_context = ssl_context
        self._on_event = on_event
        self._storage = storage

    @property
    def url(self) -> str:
        """The address to give to a client."""
        return address("http" if self._ssl_context is None else "https", self.host, self.port)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        engine = ServerEngine(
            self.app,
            entropy=os.urandom,
            wall_offset=time.time() - loop.time(),
            limits=self._limits,
            storage=self._storage,
        )
        stall = (self._limits or ServerLimits()).stall
        self._core = _Core(engine, loop, stall, self._max_threads, self._on_event)
        peer = partial(_Wire, self._core, "http" if self._ssl_context is None else "https")
        self._listener = await loop.create_server(
            peer, self.host, self.port, ssl=self._ssl_context, backlog=1024
        )
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


@contextlib.asynccontextmanager
async def serving(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncGenerator[str]:
    """Serve *app* on this loop while the ``async with`` is open. Gives its address.

    ``options`` are those of ``Server``.
    """
    async with Server(app, host, port, **options) as server:
        yield server.url


def serve_in_thread(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> contextlib.AbstractContextManager[str]:
    """Serve *app* in a thread while the ``with`` is open. Gives its address.

    ``options`` are those of ``Server``.
    """
    return held_open(partial(serving, app, host, port, **options), "sansio-gradio-server")


def serve(app: App, host: str = "127.0.0.1", port: int = 7860, **options: Any) -> None:
    """Print the address of *app*, and serve it until Ctrl-C. ``options`` are those of ``Server``.

    Raises:
        OSError: the address cannot be had.
    """

    async def forever() -> None:
        async with Server(app, host, port, **options) as server:
            print(f"Serving {server.url} until Ctrl-C.", flush=True)
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever())


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, core: _Core, scheme: str) -> None:
        self._core = core
        self._scheme = scheme
        self._can_write = True
        self._closes = False
        self._written = 0  # bytes
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        watch_client(transport.get_extra_info("socket"), self._core.stall)
        self._conn = self._core.next_number()
        self._core.add(self._conn, self, self._scheme)  # it may be turned away within that

    def data_received(self, data: bytes) -> None:
        self._core.engine.receive_data(self._conn, data, self._core.now())
        self._core.step()

    def eof_received(self) -> bool:
        self._core.engine.receive_data(self._conn, b"", self._core.now())
        self._core.step()
        return self._scheme == "http"  # the engine says when to close; TLS knows no half a close

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._core.remove(self._conn, exc)

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        # Not now: asyncio calls this in the middle of sending, and would close the transport a
        # second time (selector_events.py: _write_ready).
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self.write()
        self._core.step()  # a function may have been held up for this client

    def write(self) -> None:
        """Send what the engine has for this connection, while the transport takes it."""
        while self._can_write and (data := self._core.engine.data_to_send(self._conn, _WRITE)):
            self._written += len(data)
            self._transport.write(data)
        if self._closes and self._can_write:
            self._transport.close()

    def close(self) -> None:
        """Close when everything is sent."""
        self._closes = True
        self.write()
        self._look_later(self._taken())

    def abort(self) -> None:
        """Close at once. What the system has already is still sent."""
        self._transport.abort()

    def cut(self) -> None:
        """Close at once. What the client has not taken is lost."""
        reset_on_close(self._transport.get_extra_info("socket"))
        self.abort()

    def _taken(self) -> int:
        """How many bytes the client has taken, as far as we know."""
        return self._written - self._transport.get_write_buffer_size()

    def _look_later(self, taken: int) -> None:
        look = partial(self._look, taken)
        self._timer = asyncio.get_running_loop().call_later(self._core.stall, look)

    def _look(self, taken: int) -> None:
        """Close at once if the client has not taken more than that since the last look."""
        if self._taken() == taken:
            self.cut()
        else:
            self._look_later(self._taken())


class _LoopTasks:
    """The tasks of asyncio."""

    cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], done: Callable[[], None]
    ) -> Callable[[], object]:
        task = self._loop.create_task(run())
        task.add_done_callback(lambda _: done())
        return task.cancel

    def opening(self) -> asyncio.Event:
        return asyncio.Event()


class _Core:
    """The engine, its connections and its runs, all on the loop."""

    def __init__(
        self,
        engine: ServerEngine,
        loop: asyncio.AbstractEventLoop,
        stall: float,
        max_threads: int,
        on_event: Callable[[ServerEvent], object] | None,
    ) -> None:
        self.now = loop.time
        self.stall = stall
        self.engine = engine
        self._loop = loop
        self._runner = Runner(
            self.engine,
            self.step,
            call_soon=loop.call_soon_threadsafe,
            clock=loop.time,
            tasks=_LoopTasks(loop),
            max_threads=max_threads,
            on_event=on_event,
        )
        self._peers: dict[int, _Wire] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False  # the timer has passed; the engine is about to be told

    def next_number(self) -> int:
        self._count += 1
        return self._count

    def add(self, conn: int, peer: _Wire, scheme: str) -> None:
        self._peers[conn] = peer
        self.engine.connection_made(conn, self.now(), scheme=scheme)
        self.step()

    def remove(self, conn: int, error: Exception | None) -> None:
        del self._peers[conn]
        self.engine.connection_lost(conn, error, self.now())
        self.step()

    def step(self) -> None:
        """Do what the engine asks for."""
        event = self.engine.next_event()
        while True:
            while event is not None:
                self._runner.handle(event)
                event = self.engine.next_event()
            self._write()
            event = self.engine.next_event()  # a client may have caught up
            if event is None:
                break
        while (command := self.engine.next_command()) is not None:
            self._disconnect(command)
        if not self._is_due:
            self._set_timer()

    def _write(self) -> None:
        for conn in self.engine.connections_with_data():
            self._peers[conn].write()

    def _disconnect(self, command: Disconnect) -> None:
        peer = self._peers.get(command.conn)
        log_cut(command)
        if peer is not None and command.at_once:
            peer.cut()
        elif peer is not None:
            peer.close()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.engine.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._time_passed)

    async def close(self, grace: float) -> None:
        """Cancel what runs, close what is open, and wait for both."""
        self.engine.stop(self.now())
        self.step()
        idle = asyncio.Event()
        self._runner.cancel(idle.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(idle.wait(), grace)
        for peer in list(self._peers.values()):
            peer.abort()
        await asyncio.sleep(0)  # the transports report that they are closed
        if self._timer is not None:
            self._timer.cancel()

    def _time_passed(self, turns: int = _TURNS) -> None:
        """Tell the engine the time, but first what has come until now: it may close idle ones."""
        self._is_due = turns > 0
        if self._is_due:
            self._loop.call_soon(self._time_passed, turns - 1)
        else:
            self.engine.handle_timer(self.now())
            self.step()
