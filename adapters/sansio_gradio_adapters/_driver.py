"""One step of the machine, the same in every world.

Rule 1: a step is synchronous and whole. Nothing interrupts it, so it needs no lock, and nothing is
lost between what an engine said and what was made of it.

Rule 2: a world moves bytes. It knows neither what is in them nor whether TLS is around them.

Rule 3: a world never calls the driver from within its own verbs. What it finds out there (refused,
cut) it tells afterwards.

Rule 4: an exception that nobody foresaw, in a verb of the world or in TLS, ends the connection that
it came up with, and nothing beside it.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from sansio_gradio.client.commands import (
    CloseConnection,
    EngineCommand,
    OpenConnection,
    PauseReading,
    ResumeReading,
    StartTLS,
)
from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError
from sansio_gradio.events import Event
from sansio_gradio.given import refused

if TYPE_CHECKING:
    import ssl

    from sansio_gradio.client.engine import Engine
    from sansio_gradio_adapters.tls import TLSWrapper

WRITE_SIZE: Final = 64 * 1024  # bytes taken from the engine at a time

Sink: TypeAlias = Callable[[Event], None]
"""Where the events of one session go. An ``Output``'s value must be taken before it returns."""


class World(Protocol):
    """What moves bytes. Connections go by the numbers that the engine gave them."""

    @abstractmethod
    def open(self, conn: int, host: str, port: int) -> None:
        """Connect; tell ``opened`` or ``lost``."""

    @abstractmethod
    def close(self, conn: int, last: bytes) -> None:
        """Send what was taken and then *last*, close, tell no more. It may still be connecting."""

    @abstractmethod
    def pause(self, conn: int) -> None:
        """Read no more. What is read already may be told."""

    @abstractmethod
    def resume(self, conn: int) -> None:
        """Read again."""

    @abstractmethod
    def wake_writer(self, conn: int) -> None:
        """``data_to_send`` may have something: take and send it, until there is none."""

    def is_quiet(self, conn: int) -> bool:  # noqa: ARG002  # it is the default that needs none
        """Whether nothing has come from the peer, nor its end, that was not told yet.

        Where something has, it must be told, unless the connection is paused. A world that cannot
        know says True: then a POST may meet the end of a connection that the server has closed.
        """
        return True


def tls_context(given: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """*given*, if it can be what it is meant to be.

    Raises:
        OptionError: it is no ``ssl.SSLContext``.
    """
    if given is not None and not hasattr(type(given), "wrap_bio"):  # ssl takes long to import
        raise refused(given, "ssl_context", "an ssl.SSLContext, or None")
    return given


class Driver:
    """An engine and a world, joined."""

    def __init__(
        self,
        engine: Engine,
        world: World,
        *,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sinks: dict[int, Sink] = {}
        """By the number of the session; events of others are dropped."""
        self._engine = engine
        self._world = world
        self._ssl_context = tls_context(ssl_context)
        self._clock = clock
        self._tls: dict[int, TLSWrapper] = {}
        self._took_data = False
        self._broken: dict[int, Exception] = {}
        """Connections that nothing can be written to any more, to be given up in the next step."""

    def step(self, now: float) -> bool:
        """Carry out and deliver until nothing is left; whether there was an event."""
        engine = self._engine
        delivered = False
        while True:
            deadline = engine.next_deadline()
            if deadline is not None and deadline <= now:
                engine.handle_timer(now)
            busy = self._carry_out(now)
            self._took_data = False
            for conn in engine.connections_with_data():
                self._write(conn)
            busy |= self._took_data
            while self._broken:
                busy = True
                conn, fault = self._broken.popitem()
                self._give_up(conn, _lost(fault), b"", now)
            while (event := engine.next_event()) is not None:
                busy = delivered = True
                if (sink := self.sinks.get(event.session)) is not None:
                    sink(event)
            if not busy:
                return delivered

    def opened(self, conn: int, now: float) -> None:
        """The connection is there."""
        self._engine.connection_made(conn, now)

    def received(self, conn: int, data: bytes, now: float) -> None:
        """Bytes of the peer, ``b""`` once at its end."""
        tls = self._tls.get(conn)
        if tls is None:
            self._engine.receive_data(conn, data, now)
            return
        was_established, had_ended = tls.established, tls.peer_closed
        try:
            plaintext = tls.receive(data)
        except Exception as error:  # see rule 4
            self._give_up(conn, _lost(error), tls.data_to_send(), now)
            return
        if tls.established and not was_established:
            self._engine.tls_made(conn, now)
        if plaintext:
            self._engine.receive_data(conn, plaintext, now)
        if tls.peer_closed and not had_ended:
            self._engine.receive_data(conn, b"", now)
        self._write(conn)

    def lost(self, conn: int, error: GradioError, now: float) -> None:
        """The connection did not come about, or broke; the world has forgotten it."""
        self._tls.pop(conn, None)
        self._broken.pop(conn, None)
        self._engine.connection_lost(conn, error, now)

    def data_to_send(self, conn: int) -> bytes:
        """Some of what is to be sent now, all of which must be; ``b""``: nothing."""
        tls = self._tls.get(conn)
        if tls is not None and not tls.established:
            return tls.data_to_send()
        now = None
        if self._engine.read_first(conn):
            if not self._world.is_quiet(conn):
                return b""  # it will be told, and this is asked again
            now = self._clock()
        data = self._engine.data_to_send(conn, WRITE_SIZE, now)
        self._took_data |= bool(data)
        if tls is None:
            return data
        try:
            return tls.send(data)
        except Exception as error:  # see rule 4; not told at once: see rule 3
            self._broken[conn] = error
            return b""

    def _write(self, conn: int) -> None:
        try:
            self._world.wake_writer(conn)
        except Exception as error:  # see rule 4
            self._broken[conn] = error

    def _carry_out(self, now: float) -> bool:
        done = False
        while (command := self._engine.next_command()) is not None:
            done = True
            try:
                self._do(command)
            except Exception as error:  # see rule 4
                is_new = isinstance(command, OpenConnection | StartTLS)
                self._give_up(command.conn, (_refused if is_new else _lost)(error), b"", now)
        return done

    def _do(self, command: EngineCommand) -> None:
        match command:
            case OpenConnection():
                host, port = command.via or (command.host, command.port)
                self._world.open(command.conn, host, port)
            case StartTLS():
                self._start_tls(command.conn, command.server_name)
            case CloseConnection():
                self._close(command.conn)
            case PauseReading():
                self._world.pause(command.conn)
            case ResumeReading():
                self._world.resume(command.conn)

    def _start_tls(self, conn: int, server_name: str) -> None:
        # Not above: the ssl module takes as long to import as all the rest.
        from sansio_gradio_adapters.tls import TLSWrapper  # noqa: PLC0415

        self._tls[conn] = TLSWrapper(self._ssl_context, server_name)
        self._world.wake_writer(conn)

    def _close(self, conn: int) -> None:
        parts: list[bytes] = []
        while data := self.data_to_send(conn):
            parts.append(data)
        if (tls := self._tls.pop(conn, None)) is not None:
            parts.append(tls.close())
        self._broken.pop(conn, None)  # it is over in any case
        self._world.close(conn, b"".join(parts))

    def _give_up(self, conn: int, error: GradioError, last: bytes, now: float) -> None:
        self._tls.pop(conn, None)
        self._broken.pop(conn, None)
        with suppress(Exception):  # where one verb of the world is broken, this one may be, too
            self._world.close(conn, last)
        self._engine.connection_lost(conn, error, now)


def _refused(error: Exception) -> GradioError:
    """What to tell of a connection that could not even be begun."""
    if isinstance(error, GradioError):
        return error
    failed = ConnectFailed(f"The connection could not be made: {_why(error)}.", phase="connect")
    failed.__cause__ = error
    return failed


def _lost(error: Exception) -> GradioError:
    """What to tell of a connection that is of no use any more."""
    if isinstance(error, GradioError):
        return error
    lost = ConnectionLost(f"The connection was lost: {_why(error)}.")
    lost.__cause__ = error
    return lost


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ").removesuffix(".")
