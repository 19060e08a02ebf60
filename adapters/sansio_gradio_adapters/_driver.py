"""One step of the machine, the same in every world.

Rule 1: a step is synchronous. Nothing interrupts it, so it needs no lock, and nothing that the
engine says is lost.

Rule 2: a world moves bytes. It knows neither their content nor TLS.

Rule 3: a world never calls the driver from within its own verbs. It reports a refusal or a cut
afterwards.

Rule 4: an unexpected exception, in a verb of the world or in TLS, ends only the connection in which
it was raised.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from sansio_gradio.client.commands import (
    CloseConnection,
    EngineCommand,
    HasData,
    OpenConnection,
    PauseReading,
    ReadFile,
    ResumeReading,
    StartTLS,
)
from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError, LocalProtocolError
from sansio_gradio.events import Event
from sansio_gradio.given import refused
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.wire.body import FileSlice
from sansio_gradio_adapters import _files

if TYPE_CHECKING:
    import ssl

    from sansio_gradio.client.engine import Engine
    from sansio_gradio_adapters.tls import TLSWrapper

_COMMANDS: Final = (
    OpenConnection,
    StartTLS,
    CloseConnection,
    PauseReading,
    ResumeReading,
    ReadFile,
)
WRITE_SIZE: Final = 512 * 1024  # bytes taken from the engine, or read from a file, at a time

T = TypeVar("T")

_Read: TypeAlias = bytes | Exception

Sink: TypeAlias = Callable[[Event], None]
"""Takes the events of one session. It must read the value of an ``Output`` before it returns."""


class World(Protocol):
    """Moves bytes. Connections have the numbers of the engine."""

    @abstractmethod
    def open(self, conn: int, host: str, port: int) -> None:
        """Connect, then call ``opened`` or ``lost``.

        A *host* that starts with a slash is the path of a Unix socket.
        """

    @abstractmethod
    def close(self, conn: int, last: bytes) -> None:
        """Send the bytes that were taken, then *last*, then close. Tell no more. The connection may
        not be made yet."""

    @abstractmethod
    def pause(self, conn: int) -> None:
        """Read no more. You may still tell bytes that are read already."""

    @abstractmethod
    def resume(self, conn: int) -> None:
        """Read again."""

    @abstractmethod
    def wake_writer(self, conn: int) -> None:
        """``data_to_send`` may have bytes: take and send them, until there are none."""

    def is_quiet(self, conn: int) -> bool:  # noqa: ARG002  # it is the default that needs none
        """Whether no bytes, and no end, have come from the peer that were not told yet.

        If something has come, tell it, unless the connection is paused. A world that cannot know
        returns True: then a POST may be sent on a connection that the server has closed.
        """
        return True

    def read_elsewhere(
        self,
        read: Callable[[], T],  # noqa: ARG002
        then: Callable[[T], object],  # noqa: ARG002
        *,
        may_wait: bool,  # noqa: ARG002
    ) -> bool:
        """Call *read*, which may take a while, in another thread, and later *then* with its result,
        where events are told. If the result can be awaited, await it in between. *may_wait*: it may
        also wait for somebody. False: this world may wait for it."""
        return False


def tls_context(given: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Check the option ``ssl_context``.

    Raises:
        OptionError: *given* is not an ``ssl.SSLContext``.
    """
    if given is not None and not hasattr(type(given), "wrap_bio"):  # ssl takes long to import
        raise refused(given, "ssl_context", "an ssl.SSLContext, or None")
    return given


class EngineDriver:
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
        """The sinks by the number of the session; events of other sessions are dropped."""
        self.due: float | None = None
        """The first deadline, as of the last step that handled them. If that has passed, ask the
        network first what has come, and then step: what is there in time must not come too late."""
        self._engine = engine
        self._world = world
        self._ssl_context = tls_context(ssl_context)
        self._clock = clock
        self._tls: dict[int, TLSWrapper] = {}
        self.next_deadline = engine.next_deadline
        """When a step is due even if nothing happens; what was asked of the engine since the last
        step may have made its deadline pass."""
        self._broken: dict[int, Exception] = {}
        """Connections that cannot be written to any more; the next step gives them up."""
        self._from_files: dict[int, bytes | None] = {}
        """By connection, what was read of a file for it; None: it is being read."""
        self._to_wake: dict[int, None] = {}
        """Connections for which a file was read elsewhere, or that were not quiet at the last
        step."""
        self._not_quiet: dict[int, None] = {}
        """Connections from which something had come that was not told yet, when they had something
        to send."""
        self._unreadable: list[tuple[GivenFile, Exception]] = []
        """Files that could not be read; the next step tells the engine."""

    def step(
        self, now: float, *, timers: bool = True, is_enough: Callable[[], bool] | None = None
    ) -> bool:
        """Carry out and deliver until nothing is left; returns whether there was an event.

        Not *timers*: no deadline passes yet. *is_enough* is asked after each event whether to leave
        the rest to the next step.
        """
        if self._not_quiet:
            self._to_wake.update(self._not_quiet)
            self._not_quiet.clear()
        delivered = False
        next_action = self._engine.next_action
        when = now if timers else None
        while True:
            action = next_action(when)
            if action is None:
                if not (self._broken or self._unreadable or self._to_wake):
                    break
                self._catch_up(now)
            elif isinstance(action, HasData):
                self._wake(action.conn)
            elif isinstance(action, _COMMANDS):
                self._carry_out(action, now)
            else:
                delivered = True
                if (sink := self.sinks.get(action.session)) is not None:
                    sink(action)
                if is_enough is not None and is_enough():
                    return delivered
        if timers:
            self.due = self._engine.next_deadline()
        return delivered

    def _catch_up(self, now: float) -> None:
        """Tell the engine, and connections, what was found out outside of a step."""
        to_wake, self._to_wake = self._to_wake, {}
        for conn in to_wake:
            self._wake(conn)
        while self._broken:
            conn, fault = self._broken.popitem()
            self._give_up(conn, _lost(fault), b"", now)
        while self._unreadable:
            self._engine.body_failed(*self._unreadable.pop())

    def opened(self, conn: int, now: float) -> None:
        """The connection is made."""
        self._engine.connection_made(conn, now)

    def received(self, conn: int, data: bytes, now: float) -> None:
        """Bytes have come; ``b""``, once: the peer's end."""
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
        self._wake(conn)

    def lost(self, conn: int, error: GradioError, now: float) -> None:
        """The connection could not be made, or broke; the world has forgotten it."""
        self._forget(conn)
        self._engine.connection_lost(conn, error, now)

    def writable(self, conn: int, _now: float) -> None:
        """The connection takes more."""
        self._write(conn)

    def data_to_send(self, conn: int) -> bytes:
        """The next bytes to send, all of them; ``b""``: nothing."""
        tls = self._tls.get(conn)
        if tls is not None and not tls.established:
            return tls.data_to_send()
        if conn in self._from_files:
            data = self._read_data(conn)
        else:
            piece = self._engine.data_to_send(conn, WRITE_SIZE, self._clock())
            data = self._file_data(conn, piece) if isinstance(piece, FileSlice) else piece
        if tls is None:
            return data
        try:
            return tls.send(data)
        except Exception as error:  # see rule 4; not told at once: see rule 3
            self._broken[conn] = error
            return b""

    def _file_data(self, conn: int, piece: bytes | FileSlice) -> bytes:
        """Read what the engine asks for; empty: it is read elsewhere, or cannot be read."""
        while isinstance(piece, FileSlice):
            self._from_files[conn] = None
            self._read(
                partial(_files.read, piece), partial(self._has_read, conn, piece), piece.upload
            )
            if conn in self._from_files:
                return self._read_data(conn)
            piece = self._engine.data_to_send(conn, WRITE_SIZE)  # of a file of unknown size
        return piece

    def _read_data(self, conn: int) -> bytes:
        """What was read for a connection; empty: it is still being read."""
        if (data := self._from_files[conn]) is None:
            return b""
        del self._from_files[conn]
        self._to_wake.pop(conn, None)
        return data

    def _read(
        self, read: Callable[[], bytes], then: Callable[[_Read], object], file: GivenFile
    ) -> None:
        """Read from a file, here or elsewhere, and hand *then* the bytes or the error."""
        safely, is_stream = partial(_safely, read), _files.is_stream(file)
        if not self._world.read_elsewhere(safely, then, may_wait=is_stream):
            then(safely())

    def _has_read(self, conn: int, piece: FileSlice, found: _Read) -> None:
        if conn not in self._from_files:
            return  # it is gone
        if isinstance(found, Exception):
            self._unreadable.append((piece.upload, found))
        elif piece.upload.size is None:
            del self._from_files[conn]
            self._engine.body_read(piece.upload, found)
        else:
            self._from_files[conn] = found
            self._to_wake[conn] = None

    def _has_read_all(self, upload: GivenFile, found: _Read) -> None:
        if isinstance(found, Exception):
            self._unreadable.append((upload, found))
        else:
            self._engine.body_read(upload, found)

    def _wake(self, conn: int) -> None:
        """Send what a connection has, unless the engine must hear first what has come on it."""
        if self._engine.read_first(conn) and not self._world.is_quiet(conn):
            self._not_quiet[conn] = None
        else:
            self._write(conn)

    def _write(self, conn: int) -> None:
        try:
            self._world.wake_writer(conn)
        except Exception as error:  # see rule 4
            self._broken[conn] = error

    def _carry_out(self, command: EngineCommand, now: float) -> None:
        try:
            self._do(command)
        except Exception as error:  # see rule 4
            assert not isinstance(command, ReadFile)
            is_new = isinstance(command, OpenConnection | StartTLS)
            self._give_up(command.conn, (_refused if is_new else _lost)(error), b"", now)

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
            case ReadFile():
                self._read(
                    partial(_files.read_all, command),
                    partial(self._has_read_all, command.upload),
                    command.upload,
                )

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
        self._forget(conn)
        self._world.close(conn, b"".join(parts))

    def _give_up(self, conn: int, error: GradioError, last: bytes, now: float) -> None:
        self._forget(conn)
        with suppress(Exception):  # if one verb of the world is broken, this one may be, too
            self._world.close(conn, last)
        self._engine.connection_lost(conn, error, now)

    def _forget(self, conn: int) -> None:
        self._tls.pop(conn, None)
        self._broken.pop(conn, None)
        self._from_files.pop(conn, None)
        self._to_wake.pop(conn, None)


def _safely(read: Callable[[], bytes]) -> _Read:
    try:
        return read()
    except Exception as error:  # it ends this upload only
        return error
    except SystemExit as error:  # of a file object: it ends no thread of ours, and no event loop
        failed = LocalProtocolError("The file object has raised SystemExit.")
        failed.__cause__ = error
        return failed


def _refused(error: Exception) -> GradioError:
    """The error for a connection that could not even be started."""
    if isinstance(error, GradioError):
        return error
    failed = ConnectFailed(f"The connection could not be made: {_why(error)}.", phase="connect")
    failed.__cause__ = error
    return failed


def _lost(error: Exception) -> GradioError:
    """The error for a connection that cannot be used any more."""
    if isinstance(error, GradioError):
        return error
    lost = ConnectionLost(f"The connection was lost: {_why(error)}.")
    lost.__cause__ = error
    return lost


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ").removesuffix(".")
