"""The trio client: ``Client``, ``Job`` and ``MessageStream``.

Open it with ``async with Client(src) as client``: its tasks live in a nursery of its own, and none
outlives it. They are shielded, so that a cancelled task can still tell the server.

Ctrl-C interrupts nothing that the client does: trio raises it in the main task when that waits
next.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from inspect import isawaitable, isfunction
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import attrs
import trio

from sansio_gradio.errors import JobCancelledError, LocalProtocolError
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio_adapters import resolve
from sansio_gradio_adapters._awaited.client import OpenClient
from sansio_gradio_adapters._awaited.files import FileStream, RemoteFile
from sansio_gradio_adapters._awaited.jobs import Job, MessageStream, Results
from sansio_gradio_adapters._awaited.of_tasks import JobOfTasks
from sansio_gradio_adapters._awaited.reading import Closing, Reader
from sansio_gradio_adapters._awaited.task_client import TaskClient
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._jobs import OutputUpdate, Signal
from sansio_gradio_adapters._machine import (
    Machine,
    Rest,
    connect_failed,
    connection_lost,
    first_in,
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

whole: Final = trio.lowlevel.enable_ki_protection

# What the user's tasks call: done or not done, and never half.
for _kind in (Machine, OpenClient, TaskClient, JobOfTasks, Job, MessageStream, Reader, Closing):
    for _verb in vars(_kind).values():
        if isfunction(_verb):
            whole(_verb)
whole(Results.close)  # but not the rest, which calls the inputs of the user's


class Client(TaskClient):
    __doc__ = TaskClient.__doc__

    @whole
    async def __aenter__(self) -> Self:
        if self._world is not None:
            raise LocalProtocolError("A client can be opened once only.")
        self._manager = trio.open_nursery()
        nursery = await self._manager.__aenter__()
        world = _World(self._core, self._ssl_context, nursery)
        try:
            await self._open(world)
        except BaseException:
            await self._leave_nursery()
            raise
        return self

    @whole
    async def close(self) -> None:
        with trio.CancelScope(shield=True):
            await super().close()

    @whole
    async def _exit(self) -> None:
        try:
            await self.close()
        finally:
            await self._leave_nursery()

    @whole
    async def _leave_nursery(self) -> None:
        try:
            # It is not told of the body's error, of which it would make a group.
            await self._manager.__aexit__(None, None, None)
        except BaseException as error:
            # Ctrl-C, or a cancellation, that has hit in here, in the nursery's wrapping.
            raise first_in(error) from None


@attrs.define(eq=False)
class _Wire:
    """One connection."""

    sock: socket.socket
    scope: trio.CancelScope  # of its tasks; the socket is closed when they end
    out: bytes | memoryview = b""  # taken, and not written yet
    blocked: trio.Event = attrs.field(factory=trio.Event)  # the socket takes no more of it
    broken: OSError | None = None  # writing failed; reading tells why, or at least that
    resumed: trio.Event | None = None  # if set, not to be read before that
    closing: bool = False  # but for its last bytes


class _World:
    """All connections of one client, as tasks of its nursery. See ``TaskWorld``.

    The tasks are shielded, so each has a cancel scope of its own.
    """

    def __init__(self, core: ClientCore, tls: ssl.SSLContext | None, nursery: trio.Nursery) -> None:
        self.machine = Machine(core, self, tls)
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._buffer = bytearray(READ_SIZE)
        self._dials: dict[int, trio.CancelScope] = {}
        self._wires: dict[int, _Wire] = {}
        self.rest: Rest[trio.CancelScope] = Rest()
        self._sleep = trio.CancelScope()
        self._sleep_until = math.inf
        self._start(self._keep_stepping)

    def _start(self, task: Callable[..., Awaitable[None]], *what: Any) -> trio.CancelScope:
        scope = trio.CancelScope(shield=True)
        self.rest.add(scope)
        self._nursery.start_soon(partial(self._run, scope, task, *what), name=task)
        return scope

    @whole
    async def _run(
        self, scope: trio.CancelScope, task: Callable[..., Awaitable[None]], *what: Any
    ) -> None:
        try:
            with scope:
                await task(*what)
        finally:
            self.rest.gone(scope)

    # Connections.

    def open(self, conn: int, host: str, port: int) -> None:
        self._dials[conn] = self._start(self._connect, conn, host, port)

    async def _connect(self, conn: int, host: str, port: int) -> None:
        try:
            if host.startswith("/"):
                stream = await trio.open_unix_socket(host)
            else:
                stream = await trio.open_tcp_stream(
                    host, port, happy_eyeballs_delay=resolve.ATTEMPT_DELAY
                )
        except Exception as error:  # any error ends this connection only
            if self._dials.pop(conn, None) is not None:
                self.machine.lost(conn, connect_failed(host, port, error))
            return
        # trio's own way to receive lets others run between reading and returning what was read.
        with socket.socket(fileno=stream.socket.detach()) as sock:
            sock.setblocking(False)
            resolve.prepare(sock)
            if (scope := self._dials.pop(conn, None)) is not None:  # not given up meanwhile
                wire = self._wires[conn] = _Wire(sock, scope)
                self.machine.opened(conn)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, conn, wire)
                    await self._read(conn, wire)

    async def _read(self, conn: int, wire: _Wire) -> None:
        while wire.sock.fileno() >= 0:  # else it was closed meanwhile
            await trio.lowlevel.wait_readable(wire.sock)
            if wire.resumed is not None:
                await wire.resumed.wait()
                continue
            if wire.closing:
                break
            try:
                size = wire.sock.recv_into(self._buffer)
                if not size and wire.broken is not None:
                    raise wire.broken
            except BlockingIOError:
                continue
            except OSError as error:
                del self._wires[conn]
                wire.scope.cancel()
                self.machine.lost(conn, connection_lost(error))
                break
            self.machine.received(conn, bytes(memoryview(self._buffer)[:size]))
            if not size:
                break
        await trio.sleep_forever()  # the engine says when to close

    @whole
    async def _write(self, conn: int, wire: _Wire) -> None:
        while True:
            await wire.blocked.wait()
            wire.blocked = trio.Event()
            await trio.lowlevel.checkpoint_if_cancelled()  # the socket may be closed by now
            await trio.lowlevel.wait_writable(wire.sock)
            self._push(wire)
            if not wire.closing:
                self.machine.writable(conn)
            elif not wire.out:
                wire.scope.cancel()

    def _push(self, wire: _Wire) -> None:
        """Write until the socket takes no more."""
        try:
            while wire.out:
                wire.out = memoryview(wire.out)[wire.sock.send(wire.out) :]
        except BlockingIOError:
            wire.blocked.set()
        except OSError as error:
            # Not told now: an answer may have come before it (413, and then the end).
            wire.broken = error
            wire.out = b""

    def close(self, conn: int, last: bytes) -> None:
        if (scope := self._dials.pop(conn, None)) is not None:
            scope.cancel()
        elif (wire := self._wires.pop(conn, None)) is not None:
            wire.closing = True
            wire.out = bytes(wire.out) + last
            self._push(wire)
            if wire.out:
                wire.scope.deadline = trio.current_time() + LINGER
            else:
                # Not left to the tasks: until they run, others open connections.
                wire.scope.cancel()
                trio.lowlevel.notify_closing(wire.sock)
                wire.sock.close()

    def pause(self, conn: int) -> None:
        if (wire := self._wires.get(conn)) is not None and wire.resumed is None:
            wire.resumed = trio.Event()

    def resume(self, conn: int) -> None:
        if (wire := self._wires.get(conn)) is not None and wire.resumed is not None:
            wire.resumed.set()
            wire.resumed = None

    def wake_writer(self, conn: int) -> None:
        wire = self._wires.get(conn)
        while wire and not (wire.out or wire.broken) and (data := self.machine.data_to_send(conn)):
            wire.out = data
            self._push(wire)

    def is_quiet(self, conn: int) -> bool:
        wire = self._wires.get(conn)
        return wire is None or wire.resumed is not None or not is_readable(wire.sock)

    def shut_down(self) -> None:
        for scope in self.rest:
            scope.cancel()

    # Files.

    def read_elsewhere(
        self,
        read: Callable[[], T],
        then: Callable[[T], object],
        *,
        may_wait: bool,  # noqa: ARG002  # it never waits
    ) -> bool:
        self._start(self._read_file, read, then)
        return True

    async def _read_file(self, read: Callable[[], T], then: Callable[[T], object]) -> None:
        found: Any = await trio.to_thread.run_sync(read, abandon_on_cancel=True)
        if isawaitable(found):
            found = await outcome_of(found)
        self.machine.has_read(partial(then, found))

    # Time and tasks.

    async def _keep_stepping(self) -> None:
        while True:
            with self._sleep:
                await trio.sleep_forever()
            self._sleep, self._sleep_until = trio.CancelScope(), math.inf
            self.machine.step()

    def step_soon(self) -> None:
        self._sleep.cancel()

    def set_timer(self, at: float) -> None:
        if at < self._sleep_until:  # a step too early sets the next one
            self._sleep_until = at
            self._sleep.deadline = trio.current_time() + at - time.monotonic()

    def post(self, note: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(note)

    async def wait_for(self, signal: Signal, seen: int) -> None:
        told = trio.Event()
        if signal.subscribe(told.set, seen):
            try:
                await told.wait()
            finally:
                signal.unsubscribe(told.set)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()


def serving(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AbstractAsyncContextManager[str]:
    """Serve *app* while the ``async with`` is open. Gives its address.

    Needs no Gradio. ``options`` are those of ``sansio_gradio_adapters.server.Server``, such as
    ``ssl_context`` for https.
    """
    # Not above: most clients serve nothing.
    from sansio_gradio_adapters import _serving_trio  # noqa: PLC0415

    return _serving_trio.serving(app, host, port, **options)
