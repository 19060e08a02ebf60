"""Run the engine of a client in a world of tasks. Nothing here awaits.

Rule 1: all of this runs in the thread of the event loop. A step is synchronous, so every task finds
the engine at rest.

Rule 2: tasks do not write to connections. They change the session and ask for a step, which comes
when they next wait: many jobs submitted in a row are one step.
"""

from __future__ import annotations

import os
import socket
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError, LocalProtocolError
from sansio_gradio_adapters import resolve
from sansio_gradio_adapters._client import ClientCore, nobody
from sansio_gradio_adapters._driver import EngineDriver, World
from sansio_gradio_adapters._jobs import Signal

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

_QUIET_TURNS: Final = 20
"""More than any event loop takes to tell of a connection that is there already."""
_MOST_TURNS: Final = 100
"""In each of them it may tell of a read on every connection."""


class Rest(set[T]):
    """Counts the connections and tasks that must be gone before a client is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = Signal()

    def gone(self, what: T) -> None:
        """Nothing is left."""
        self.discard(what)
        self.changed.notify()


class TaskWorld(World, Protocol):
    """A world in which tasks await. It tells a ``Machine`` what happens."""

    machine: Machine
    """The machine to tell; each world makes its own."""
    rest: Rest[Any]
    """The connections and tasks that are left. A client is closed when, after ``shut_down``, this
    is empty."""

    @abstractmethod
    def set_timer(self, at: float) -> None:
        """Call ``Machine.step`` at this time of ``time.monotonic()``, in place of the time asked
        for before.

        The time may be in the past, even 0.0. Stepping too early does no harm, so you may keep the
        earlier of two times.
        """

    def step_soon(self) -> None:
        """Call ``Machine.step`` when the task that runs now waits."""
        self.set_timer(0.0)

    @abstractmethod
    def post(self, note: Callable[[], object]) -> None:
        """Call *note* from the event loop, if the loop still runs.

        Finalisers call this, in any thread and at any moment: it must take no lock.
        """

    @abstractmethod
    def shut_down(self) -> None:
        """Start to close everything, at once and without waiting.

        You need not tell the machine anything afterwards, but you may.
        """

    @abstractmethod
    async def wait_for(self, signal: Signal, seen: int) -> None:
        """Wait until *signal* is beyond the version *seen*.

        If ``signal.subscribe(wake, seen)`` is true, *wake* will be called once, in the thread of
        the event loop; if false, the signal is beyond *seen* already. At the end call
        ``signal.unsubscribe(wake)``.
        """

    async def checkpoint(self) -> None:
        """A checkpoint, for verbs that need not wait: let other tasks run, and be cancelled."""


def _nothing(_now: float) -> None:
    """Nothing has happened that the engine has to be told."""


class Machine:
    """Steps the engine of a client whenever something has happened."""

    def __init__(
        self, core: ClientCore, world: TaskWorld, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._core = core
        self._world = world
        core.post = self._post
        self.driver = EngineDriver(
            core.engine, world, ssl_context=ssl_context, clock=time.monotonic
        )
        self.driver.sinks[core.session.id] = core.receive
        self.alarms: Timers[Callable[[], object]] = Timers()
        """For those who wait, but not for ever."""
        self._is_down = False
        self._due: float | None = None  # the first deadline, as of the last step that handled them
        self._turns = 0  # that the event loop was given since then
        self._quiet_turns = 0  # those of them, the latest, that brought nothing

    def opened(self, conn: int) -> None:
        """The connection is made."""
        self._quiet_turns = 0
        self._tell(self.driver.opened, conn)

    def received(self, conn: int, data: bytes) -> None:
        """Bytes have come, or, without any, the peer's end, which the world is to close behind."""
        self._quiet_turns = 0
        self._tell(self.driver.received, conn, data)

    def lost(self, conn: int, error: GradioError) -> None:
        """The connection could not be made, or broke; the world has forgotten it."""
        self._quiet_turns = 0
        self._tell(self.driver.lost, conn, error)

    def writable(self, conn: int) -> None:
        """The connection can take more bytes."""
        self._tell(self.driver.writable, conn)

    def data_to_send(self, conn: int) -> bytes:
        """The next bytes to send on a connection; empty: nothing, or it is closed."""
        return self.driver.data_to_send(conn)

    def has_read(self, note: Callable[[], object]) -> None:
        """A file was read elsewhere: *note* takes what was read."""

        def take(_now: float) -> None:
            note()

        self._tell(take)

    def step(self, first: Callable[[float], object] = _nothing) -> None:
        """Take one step; *first* is called with the time before it.

        A step without need, too early or after the end does no harm.
        """
        self._turns += 1
        self._quiet_turns += 1
        self._tell(first)

    def shut_down(self) -> None:
        """Let the world close everything."""
        if not self._is_down:
            self._is_down = True
            self._world.shut_down()

    def do(self, action: Callable[[], T]) -> T:
        """Call *action*, which asks the engine for something, and step soon. Returns or raises as
        *action* does.

        Raises:
            LocalProtocolError: the engine is at work (only a signal handler, a finaliser or
                ``observe`` can find it so), or this process was forked.
        """
        core = self._core
        core.demand_own_process()
        if core.is_busy:
            raise LocalProtocolError(
                "The client is at work: nothing that interrupts it can wait for an answer."
            )
        try:
            core.is_busy = True
            return action()
        except Exception:  # the caller's mistake, such as a wrong argument: the engine is whole
            raise
        except BaseException as error:  # Ctrl-C has left the engine in the middle of something
            core.break_down(error)
            raise
        finally:
            core.is_busy = False
            self._world.step_soon()

    def do_soon(
        self,
        action: Callable[[], object],
        refuse: Callable[[BaseException], object] = nobody,  # noqa: ARG002
    ) -> None:
        """As ``do``, or as soon as the engine is not at work; never in a forked process.

        *refuse*: as in ``Worker.do_soon``; not called, since the loop takes everything.
        """
        if not self._core.is_own_process:
            return
        if self._core.is_busy:
            self._world.post(partial(self.do_soon, action))
        else:
            self.do(action)

    def leave(self, note: Callable[[], object], error: BaseException) -> None:
        """Let *note* give up what a task has waited for until *error* was raised in it.

        If the task is garbage-collected (``GeneratorExit``), the engine may be at work in another
        thread, or the loop may be gone: then as a finaliser does.
        """
        if isinstance(error, GeneratorExit):
            self._post(note)
        else:
            self.do_soon(note)

    def may_wait(self) -> None:
        """Raise an error if nobody would end the waiting.

        Raises:
            LocalProtocolError: this process is a fork. The tasks that run the client are the
                parent's.
        """
        self._core.demand_own_process()

    async def checkpoint(self) -> None:
        """Let other tasks run, and be cancelled; raises as ``may_wait``."""
        self.may_wait()
        await self._world.checkpoint()

    async def wait_for(self, signal: Signal, seen: int) -> None:
        """Wait until *signal* is beyond the version *seen*."""
        await self._world.wait_for(signal, seen)

    async def wait_until(
        self, signal: Signal, happened: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Wait until *happened*, which may change with each notification of *signal*.

        At most *timeout* seconds; False: it has not happened by then.
        """
        await self.checkpoint()
        late = timeout is not None and timeout <= 0

        def give_up() -> None:
            nonlocal late
            late = True
            signal.notify()

        if timeout is not None and not late:
            self.alarms.ask_for_time()  # it counts from the next time that is told
            self.alarms.start(give_up, timeout)
            self._world.step_soon()
        try:
            while True:
                seen = signal.version
                if happened() or late:
                    return happened()
                await self.wait_for(signal, seen)
        finally:
            self.alarms.stop(give_up)

    def _post(self, note: Callable[[], object]) -> None:
        if self._core.is_own_process:  # what wakes the event loop is the parent's, too
            self._world.post(partial(self.do_soon, note))

    def _tell(self, happened: Callable[..., object], *what: object) -> None:
        if self._core.is_closed:
            return
        core, now = self._core, time.monotonic()
        try:
            core.is_busy = True
            happened(*what, now)
            if self._must_hear_more(now):
                self.driver.step(now, timers=False)
            else:
                self.driver.step(now)
                self.alarms.tell(now)
                while (alarm := self.alarms.next_due()) is not None:
                    alarm()
                self._due = _first(self.driver.due, self.alarms.due)
            core.publish()
        except BaseException as error:
            core.break_down(error)
            if not isinstance(error, Exception):
                raise
        finally:
            core.is_busy = False
            if core.is_closed:
                self.shut_down()
            else:
                due = _first(core.engine.next_deadline(), self.alarms.due)
                if due is not None:
                    self._world.set_timer(due)

    def _must_hear_more(self, now: float) -> bool:
        """Whether a deadline has passed, but what the network had by then may not be told yet.

        A busy event loop comes late. It is given turns, until so many in a row bring nothing, or
        there were too many.
        """
        is_late = self._due is not None and self._due <= now
        if is_late and self._quiet_turns < _QUIET_TURNS and self._turns < _MOST_TURNS:
            return True
        self._turns = self._quiet_turns = 0
        return False


def _first(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


def connect_failed(host: str, port: int, error: Exception) -> ConnectFailed:
    """The error for a connection that could not be made."""
    if isinstance(error, ConnectFailed):
        return error
    is_name = not host.startswith("/")
    if is_name and isinstance(error, socket.gaierror | ValueError):
        # ValueError: from the idna codec, for empty and overlong labels.
        why = getattr(error, "strerror", None) or str(error)
        failed = ConnectFailed(f"No address was found for {host}: {why}.", phase="connect")
    else:
        why = _reason(error)
        place = resolve.place(host, port)
        failed = ConnectFailed(f"No connection to {place}: {why}.", phase="connect")
    failed.__cause__ = error
    return failed


def connection_lost(error: Exception) -> ConnectionLost:
    """The error for a connection that broke."""
    lost = ConnectionLost(f"The connection was lost: {_reason(error)}.")
    lost.__cause__ = error
    return lost


async def outcome_of(awaitable: Awaitable[T]) -> T | Exception:
    """What *awaitable* gives, or the error that it raises."""
    try:
        return await awaitable
    except Exception as error:  # it ends what asked for it
        return error


def first_in(error: BaseException) -> BaseException:
    """The error itself, out of the groups that nurseries make."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    """The text of the system's error, since worlds have texts of their own, above all after several
    failed attempts."""
    error = first_in(error)
    below = error.__cause__ and first_in(error.__cause__)
    if isinstance(below, OSError):
        return _reason(below)
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else str(error) or type(error).__name__
