"""What runs the engine of a client in a world of tasks, but for what has to be awaited there.

Rule 1: one thread, that of the event loop, does all of this. A step is synchronous, so whoever gets
to run finds the engine at rest.

Rule 2: tasks do not write to connections. They change the session and ask for a step, which comes
when they wait next: many jobs submitted in a row are one step.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._driver import Driver, World
from sansio_gradio_adapters._jobs import Signal

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


class Rest(set[T]):
    """What has to be gone before a client is closed: its tasks and connections."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = Signal()

    def gone(self, what: T) -> None:
        """Of this nothing is left."""
        self.discard(what)
        self.changed.notify()


class TaskWorld(World, Protocol):
    """A world in which tasks await. It tells a ``Machine`` what happens."""

    rest: Rest[Any]
    """What is not gone yet; ``shut_down`` has it go."""

    def set_timer(self, at: float) -> None:
        """Have ``Machine.step`` called at this time, or before it; it replaces the last one."""
        ...

    def step_soon(self) -> None:
        """Have ``Machine.step`` called, once, when the task that runs now waits."""
        self.set_timer(0.0)

    def post(self, note: Callable[[], object]) -> None:
        """Have *note* called by the event loop, if it still runs: for finalizers, in any thread."""
        ...

    def shut_down(self) -> None:
        """Begin to close everything; the machine is told no more."""
        ...

    async def wait_for(self, signal: Signal, seen: int, timeout: float | None = None) -> None:
        """Wait until *signal* is beyond the version *seen*, at most *timeout* seconds."""
        ...

    async def checkpoint(self) -> None:
        """What this world wants of whoever need not wait: let others run, or be cancelled."""
        ...


class Machine:
    """Steps the engine of a client whenever something has happened."""

    def __init__(
        self, core: ClientCore, world: TaskWorld, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._core = core
        self._world = world
        core.post = self._post
        self._driver = Driver(core.engine, world, ssl_context=ssl_context)
        self._driver.sinks[core.session.id] = core.receive
        self.data_to_send = self._driver.data_to_send

    def opened(self, conn: int) -> None:
        self._tell(self._driver.opened, conn)

    def received(self, conn: int, data: bytes) -> None:
        self._tell(self._driver.received, conn, data)

    def lost(self, conn: int, error: GradioError) -> None:
        self._tell(self._driver.lost, conn, error)

    def writable(self, conn: int) -> None:
        """The connection takes more."""

        def write(_now: float) -> None:
            self._world.wake_writer(conn)

        self._tell(write)

    def step(self) -> None:
        """Do what has been asked, and what it is time for."""
        self._tell(_nothing)

    def _post(self, note: Callable[[], object]) -> None:
        def noted() -> None:
            note()
            self._world.step_soon()

        self._world.post(noted)

    def _tell(self, happened: Callable[..., object], *what: object) -> None:
        if self._core.is_closed:
            return
        core, now = self._core, time.monotonic()
        try:
            happened(*what, now)
            self._driver.step(now)
            core.publish()
        except BaseException as error:
            core.break_down(error)
            if not isinstance(error, Exception):
                raise
        finally:
            if core.is_closed:
                self._world.shut_down()
            elif (deadline := core.engine.next_deadline()) is not None:
                self._world.set_timer(deadline)


def _nothing(_now: float) -> None:
    """Nothing has happened that the engine has to be told."""


async def wait_until(
    world: TaskWorld, signal: Signal, happened: Callable[[], bool], timeout: float | None = None
) -> bool:
    """Wait until *happened*, which may change with each notification of *signal*.

    At most *timeout* seconds; False: it has not happened by then.
    """
    await world.checkpoint()
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        seen = signal.version
        if happened():
            return True
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return False
        await world.wait_for(signal, seen, left)


def connect_failed(host: str, port: int, error: Exception) -> ConnectFailed:
    """What to tell of a connection that did not come about."""
    if isinstance(error, socket.gaierror | ValueError):
        # ValueError: what the idna codec says of empty and overlong labels.
        why = getattr(error, "strerror", None) or str(error)
        failed = ConnectFailed(f"No address was found for {host}: {why}.", phase="connect")
    else:
        why = _reason(error)
        failed = ConnectFailed(f"No connection to {host}, port {port}: {why}.", phase="connect")
    failed.__cause__ = error
    return failed


def connection_lost(error: Exception) -> ConnectionLost:
    """What to tell of a connection that broke."""
    lost = ConnectionLost(f"The connection was lost: {_reason(error)}.")
    lost.__cause__ = error
    return lost


def first_in(error: BaseException) -> BaseException:
    """The error itself, out of the groups that nurseries make."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    """In the system's words, as worlds have their own, above all where several attempts failed."""
    below = error.__cause__ and first_in(error.__cause__)
    if isinstance(below, OSError):
        return _reason(below)
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else str(error)
