"""The asyncio client: ``Client``, ``Job`` and ``MessageStream``; under uvloop, too.

Open it with ``async with Client(src) as client``, or ``client = await Client(src)``. It belongs to
the event loop in which it was opened. Connections are callbacks of that loop: a job has no task,
and a connection has one only until it is made.
"""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from sansio_gradio.errors import JobCancelledError
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio_adapters._awaited.files import FileStream, RemoteFile
from sansio_gradio_adapters._awaited.jobs import Job, MessageStream, Results
from sansio_gradio_adapters._awaited.reading import Reader
from sansio_gradio_adapters._awaited.task_client import TaskClient
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._dialing import dial
from sansio_gradio_adapters._jobs import OutputUpdate, Signal
from sansio_gradio_adapters._machine import (
    Machine,
    Rest,
    connect_failed,
    connection_lost,
    outcome_of,
)
from sansio_gradio_adapters._network import LINGER, READ_SIZE, is_readable

if TYPE_CHECKING:
    import ssl
    from contextlib import AbstractAsyncContextManager

    from sansio_gradio.server.app import App

__all__ = [
    "Client",
    "FileStream",
    "Job",
    "JobCancelledError",
    "MessageStream",
    "OutputUpdate",
    "Reader",
    "RemoteFile",
    "Results",
    "handle_file",
    "serving",
]


T = TypeVar("T")


class Client(TaskClient):
    __doc__ = TaskClient.__doc__

    _unclosed: weakref.finalize[..., Self] | None = None

    async def __aenter__(self) -> Self:
        if self._world is None:
            world = _World(self._core, self._ssl_context)
            await self._open(world)
            # One that is alive at exit is no mistake: it ends with the process.
            self._unclosed = weakref.finalize(self, _warn_and_close, repr(self), self._core, world)
            self._unclosed.atexit = False
        self._open_machine()
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def close(self) -> None:
        if self._unclosed is not None:
            self._unclosed.detach()
        await super().close()


def _warn_and_close(name: str, core: ClientCore, world: _World) -> None:
    def close() -> None:
        core.session.close()
        world.step_soon()

    world.post(close)
    warnings.warn(f"{name} was not closed", ResourceWarning, stacklevel=2)


class _World:
    """All connections of one client, as callbacks of the event loop. See ``TaskWorld``."""

    def __init__(self, core: ClientCore, ssl_context: ssl.SSLContext | None) -> None:
        self.rest: Rest[asyncio.Task[Any] | _Wire] = Rest()
        self.machine = Machine(core, self, ssl_context)
        self.buffer = bytearray(READ_SIZE)
        self.dials: dict[int, asyncio.Task[None]] = {}
        self.wires: dict[int, _Wire] = {}
        self._reads: set[asyncio.Task[Any]] = set()  # of files
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._soon: asyncio.Handle | None = None
        self._is_down = False

    # Connections.

    def open(self, conn: int, host: str, port: int) -> None:
        self.dials[conn] = self._start(self._dial(conn, host, port))

    def _start(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(what)
        self.rest.add(task)
        task.add_done_callback(self.rest.gone)
        return task

    async def _dial(self, conn: int, host: str, port: int) -> None:
        try:
            await dial(host, port, partial(_Wire, self, conn), self._start)
        except Exception as error:  # any error ends this connection only
            if self.dials.pop(conn, None) is not None:
                self.machine.lost(conn, connect_failed(host, port, error))

    def made(self, conn: int, wire: _Wire) -> None:
        """The connection is made. Its dial hears of it later, and bytes may come before that."""
        self.rest.add(wire)
        if self.dials.pop(conn, None) is None:  # given up meanwhile
            self._loop.call_soon(wire.transport.abort)
        else:
            self.wires[conn] = wire
            self.machine.opened(conn)

    def close(self, conn: int, last: bytes) -> None:
        if (dial := self.dials.pop(conn, None)) is not None:
            dial.cancel()
        elif (wire := self.wires.pop(conn, None)) is not None:
            if last:
                wire.transport.write(last)
            # Not at once: this may be its connection_made, after which uvloop has things to do.
            self._loop.call_soon(wire.transport.close)
            wire.linger = self._loop.call_later(LINGER, wire.transport.abort)

    def pause(self, conn: int) -> None:
        if (wire := self.wires.get(conn)) is not None and not wire.ended:
            wire.transport.pause_reading()

    def resume(self, conn: int) -> None:
        if (wire := self.wires.get(conn)) is not None and not wire.ended:
            wire.transport.resume_reading()

    def wake_writer(self, conn: int) -> None:
        wire = self.wires.get(conn)
        while wire is not None and wire.takes and (data := self.machine.data_to_send(conn)):
            wire.transport.write(data)

    def is_quiet(self, conn: int) -> bool:
        wire = self.wires.get(conn)
        if wire is None or wire.ended:
            return True
        return not is_readable(wire.transport.get_extra_info("socket"))

    def shut_down(self) -> None:
        self._is_down = True
        if self._loop.is_closed():
            return
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self.wires.clear()
        for conn in list(self.dials):
            self.close(conn, b"")
        for read in self._reads:
            read.cancel()
        for left in self.rest:
            if isinstance(left, _Wire):
                # Not at once: uvloop has not even tried yet to send what it was given just now.
                self._loop.call_soon(left.transport.abort)

    # Files.

    def read_elsewhere(
        self,
        read: Callable[[], T],
        then: Callable[[T], object],
        *,
        may_wait: bool,
    ) -> bool:
        task = self._start(self._read(read, then, may_wait=may_wait))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        return True

    async def _read(
        self, read: Callable[[], T], then: Callable[[T], object], *, may_wait: bool
    ) -> None:
        found: Any
        if may_wait:
            found = await self._read_beside(read)
        else:
            found = await self._loop.run_in_executor(None, read)
        if isawaitable(found):
            found = await outcome_of(found)
        self.machine.has_read(partial(then, found))

    async def _read_beside(self, read: Callable[[], T]) -> T:
        """Read in a thread that nothing waits for: not even the end of the loop."""
        told: asyncio.Future[T] = self._loop.create_future()

        def tell(found: T) -> None:
            if not told.done():
                told.set_result(found)

        def run() -> None:
            found = read()
            self.post(partial(tell, found))

        threading.Thread(target=run, name="a stream to upload", daemon=True).start()
        return await told

    # Time and tasks.

    def step_soon(self) -> None:
        if self._soon is None and not self._is_down:
            self._soon = self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._soon = None
        self.machine.step()

    def set_timer(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return  # a step too early sets the next one
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, at - time.monotonic()), self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self.machine.step()

    def post(self, note: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and what there was with it
            self._loop.call_soon_threadsafe(note)

    async def wait_for(self, signal: Signal, seen: int) -> None:
        told: asyncio.Future[None] = self._loop.create_future()
        wake = partial(_settle, told)
        if signal.subscribe(wake, seen):
            try:
                await told
            finally:
                signal.unsubscribe(wake)

    async def checkpoint(self) -> None:
        pass  # asyncio expects none


def _settle(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


class _Wire(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, world: _World, conn: int) -> None:
        self._world = world
        self._conn = conn
        self.takes = True  # more to write
        self.ended = False  # the peer sends no more
        self.linger: asyncio.TimerHandle | None = None  # what bounds the sending of the last bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._world.made(self._conn, self)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return self._world.buffer  # of all: what is in it is taken at once

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_known:
            data = bytes(memoryview(self._world.buffer)[:nbytes])
            self._world.machine.received(self._conn, data)

    def eof_received(self) -> bool:
        self.ended = True
        if self._is_known:
            self._world.machine.received(self._conn, b"")
        return True  # the engine says when to close

    def pause_writing(self) -> None:
        self.takes = False

    def resume_writing(self) -> None:
        self.takes = True
        if self._is_known:
            self._world.machine.writable(self._conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.linger is not None:
            self.linger.cancel()
        if exc is not None:
            self._read_the_rest()
        if self._is_known:
            del self._world.wires[self._conn]
            cut = exc or ConnectionAbortedError("closed")
            self._world.machine.lost(self._conn, connection_lost(cut))
        self._world.rest.gone(self)

    def _read_the_rest(self) -> None:
        """Read what came before the connection broke: an answer, of which a failed write knows
        nothing."""
        with suppress(Exception), self.transport.get_extra_info("socket").dup() as sock:
            while self._is_known and (data := sock.recv(READ_SIZE)):
                self._world.machine.received(self._conn, data)

    @property
    def _is_known(self) -> bool:
        return self._world.wires.get(self._conn) is self


def serving(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AbstractAsyncContextManager[str]:
    """Serve *app* while the ``async with`` is open. Gives its address.

    Needs no Gradio. ``options`` are those of ``sansio_gradio_adapters.server.Server``, such as
    ``ssl_context`` for https.
    """
    # Not above: most clients serve nothing.
    from sansio_gradio_adapters import server  # noqa: PLC0415

    return server.serving(app, host, port, **options)
