"""An engine that watches its driver: the code that moves the bytes and tells the time.

An ``Engine`` forgives much, so a driver can be wrong for long before anybody sees it. A
``CheckedEngine`` does the same, and raises ``DriverMistake`` at the first duty that is not done.
"""

from __future__ import annotations

from typing import Unpack

import attrs

from sansio_gradio.client.commands import (
    CloseConnection,
    EngineAction,
    EngineCommand,
    HasData,
    OpenConnection,
    PauseReading,
    ReadFile,
    ResumeReading,
    StartTLS,
)
from sansio_gradio.client.conversation import SessionOptions
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.session import Session
from sansio_gradio.events import Event
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.wire.body import FileSlice

__all__ = ["CheckedEngine", "DriverMistake"]


class DriverMistake(AssertionError):
    """The driver of an engine did not do its duty. The text says which one, and what to do."""


@attrs.define
class _Duties:
    """What the driver was asked for on one connection, and has told of it."""

    is_made: bool = False
    awaits_tls: bool = False
    is_secured: bool = False
    has_ended: bool = False  # the peer has, and the driver has told
    is_lost: bool = False
    is_closed: bool = False  # CloseConnection was taken
    is_paused: bool = False
    read_paused: int = 0  # pieces, since the pause

    @property
    def is_over(self) -> bool:
        return self.is_lost or self.is_closed


class CheckedEngine(Engine):
    """Does what *engine* does, and checks how it is driven.

    Give it to your driver instead of the engine, and call ``check_end`` when the driver thinks that
    all is done. A mistake raises ``DriverMistake``, and stays in ``mistakes``, where it can be seen
    if the driver swallows exceptions.

    *patience* is how many seconds a command, an event, a byte or a deadline may wait to be taken.
    With 0.0 all of them must be taken before the clock moves on: right for a pretended clock.
    """

    def __init__(self, engine: Engine, *, patience: float = 5.0) -> None:
        # Not Engine.__init__: every public verb goes on to *engine*, which has the state.
        self.engine = engine
        """The engine that does the work."""
        self.mistakes: list[str] = []
        self._patience = patience
        self._connections_told: dict[int, _Duties] = {}
        self._now: float | None = None
        self._waits_since: dict[str, float] = {}
        """Since when something waits, by what the driver should do about it."""
        self._is_asked = False  # by a verb that does not say what time it is
        self._unread: dict[GivenFile, str] = {}
        self._have_data: set[int] = set()
        """Connections of which ``next_action`` has said it."""

    def check_end(self) -> None:
        """Check that nothing waits: call it when the driver has closed everything.

        Raises:
            DriverMistake: something was asked for and never done, or there were mistakes before.
        """
        if self.mistakes:
            raise DriverMistake(self.mistakes[0])
        for conn, told in self._connections_told.items():
            if not told.is_made and not told.is_over:
                self._wrong(
                    f"OpenConnection {conn} was never answered: call connection_made or"
                    " connection_lost"
                )
            if told.awaits_tls and not told.is_over:
                self._wrong(
                    f"StartTLS on connection {conn} was never answered: call tls_made or"
                    " connection_lost"
                )
        for file in self._unread:
            self._wrong(f"{file.name!r} was never read: call body_read or body_failed")
        if self.engine.next_command() is not None:
            self._wrong("a command was never taken: call next_command until it returns None")
        if self.engine.next_event() is not None:
            self._wrong("an event was never taken: call next_event until it returns None")
        for conn in self.engine.connections_with_data():
            self._wrong(
                f"connection {conn} has bytes that were never taken: call data_to_send for each of"
                " connections_with_data, until it returns none"
            )

    def _wrong(self, what: str) -> None:
        self.mistakes.append(what)
        raise DriverMistake(what)

    # What the application asks.

    @property
    def is_closed(self) -> bool:
        return self.engine.is_closed

    def close(self) -> None:
        self.engine.close()
        self._is_asked = True

    def session(self, src: str, **options: Unpack[SessionOptions]) -> Session:
        session = self.engine.session(src, **options)
        self._is_asked = True
        return session

    # What the driver takes.

    def next_command(self) -> EngineCommand | None:
        command = self.engine.next_command()
        if command is None:
            self._waits_since.pop("commands", None)
            return None
        if isinstance(command, ReadFile):
            self._unread[command.upload] = "ReadFile"
            return command
        told = self._connections_told.get(command.conn)
        if isinstance(command, OpenConnection):
            self._connections_told[command.conn] = _Duties()
        elif told is not None:
            match command:
                case StartTLS():
                    told.awaits_tls = True
                case CloseConnection():
                    told.is_closed = True
                case PauseReading():
                    told.is_paused, told.read_paused = True, 0
                case ResumeReading():
                    told.is_paused = False
        return command

    def next_action(self, now: float | None) -> EngineAction | Event | None:
        due = self.next_deadline()
        if now is not None and due is not None and due <= now:
            self.handle_timer(now)
        if (command := self.next_command()) is not None:
            return command
        waiting = self.connections_with_data()
        self._have_data.intersection_update(waiting)
        for conn in waiting:
            if conn not in self._have_data:
                self._have_data.add(conn)
                return HasData(conn)
        return self.next_event()

    def connections_with_data(self) -> list[int]:
        return self.engine.connections_with_data()

    def read_first(self, conn: int) -> bool:
        return self.engine.read_first(conn)

    def data_to_send(
        self, conn: int, max_bytes: int = 65536, now: float | None = None
    ) -> bytes | FileSlice:
        told = self._connections_told.get(conn)
        if now is not None:
            self._tell_time(now, "data_to_send")
        if told is not None and told.awaits_tls and not told.is_lost:
            self._wrong(f"bytes for connection {conn} were taken before tls_made: start TLS first")
        data = self.engine.data_to_send(conn, max_bytes, now)
        if conn not in self.engine.connections_with_data():
            self._have_data.discard(conn)
        self._waits_since.pop(f"data {conn}", None)
        if isinstance(data, FileSlice) and data.upload.size is None:
            self._unread[data.upload] = "FileSlice"
        return data

    def next_event(self) -> Event | None:
        event = self.engine.next_event()
        if event is None:
            self._waits_since.pop("events", None)
        return event

    def next_deadline(self) -> float | None:
        return self.engine.next_deadline()

    # What the driver tells.

    def connection_made(self, conn: int, now: float) -> None:
        told = self._told(conn, "connection_made", now)
        if told.is_made:
            self._wrong(f"connection_made was called twice for connection {conn}")
        if told.is_lost:
            self._wrong(f"connection_made came after connection_lost on connection {conn}")
        told.is_made = True
        self.engine.connection_made(conn, now)
        self._asked()

    def tls_made(self, conn: int, now: float) -> None:
        told = self._told(conn, "tls_made", now)
        if not told.awaits_tls and not told.is_over:
            self._wrong(f"tls_made came without a StartTLS on connection {conn}")
        told.awaits_tls, told.is_secured = False, True
        self.engine.tls_made(conn, now)
        self._asked()

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        told = self._told(conn, "receive_data", now)
        if not told.is_made:
            self._wrong(f"receive_data came before connection_made on connection {conn}")
        if told.is_lost:
            self._wrong(
                f"receive_data came after connection_lost on connection {conn}: it is gone, say no"
                " more of it"
            )
        if told.is_closed:
            self._wrong(
                f"receive_data came after CloseConnection on connection {conn}: stop reading when"
                " you are told to close"
            )
        if told.has_ended:
            self._wrong(
                f"receive_data came after the end of connection {conn}: no bytes mean the end, and"
                " are told once"
            )
        if told.awaits_tls:
            self._wrong(f"receive_data came before tls_made on connection {conn}")
        if told.is_paused:
            told.read_paused += 1
            if told.read_paused > 1:  # one may have been read already
                self._wrong(
                    f"connection {conn} was read on after PauseReading: wait for ResumeReading"
                )
        told.has_ended = not data
        self.engine.receive_data(conn, data, now)
        self._asked()

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:
        told = self._told(conn, "connection_lost", now)
        if told.is_lost:
            self._wrong(f"connection_lost was called twice for connection {conn}")
        if told.is_closed:
            self._wrong(
                f"connection_lost came after CloseConnection on connection {conn}: a connection"
                " that you were told to close is not lost"
            )
        told.is_lost = True
        self.engine.connection_lost(conn, error, now)
        self._asked()

    def body_read(self, upload: GivenFile, data: bytes) -> None:
        self._unread.pop(upload, None)
        self.engine.body_read(upload, data)
        self._is_asked = True

    def body_failed(self, upload: GivenFile, error: Exception) -> None:
        self._unread.pop(upload, None)
        self.engine.body_failed(upload, error)
        self._is_asked = True

    def handle_timer(self, now: float) -> None:
        self._waits_since.pop("timer", None)
        self._tell_time(now, "handle_timer")
        self.engine.handle_timer(now)
        self._asked()

    # The watch

    def _told(self, conn: int, verb: str, now: float) -> _Duties:
        told = self._connections_told.get(conn)
        if told is None:
            self._wrong(f"{verb} is about connection {conn}, which no OpenConnection asked for")
            raise AssertionError
        self._tell_time(now, verb)
        return told

    def _tell_time(self, now: float, verb: str) -> None:
        if self._now is not None and now < self._now:
            self._wrong(
                f"the clock runs backwards: {verb} says {now:g} after {self._now:g}; use monotonic"
                " seconds"
            )
        self._now = now
        due = self.engine.next_deadline()
        if due is not None and due <= now and verb != "handle_timer":
            # A busy driver may tell what has come before it looks at the clock.
            self._waits_since.setdefault("timer" if due else "commands", now)
        for what, since in list(self._waits_since.items()):
            self._overdue(what, since)
        if self._is_asked:
            self._asked()

    def _overdue(self, what: str, since: float) -> None:
        assert self._now is not None
        if self._now - since <= self._patience:
            return
        late = f"for {self._now - since:g} seconds"
        match what.split():
            case ["timer"]:
                why = f"next_deadline has passed {late}: call handle_timer when it is due"
            case ["commands"]:
                why = f"commands have waited {late}: call next_command until it returns None"
            case ["events"]:
                why = f"events have waited {late}: call next_event until it returns None"
            case [_, conn]:
                why = (
                    f"connection {conn} has had bytes to send {late}: after each call, send"
                    " data_to_send for each of connections_with_data"
                )
            case _:
                raise AssertionError(what)
        self._waits_since.pop(what, None)
        self._wrong(why)

    def _asked(self) -> None:
        """Something was told to the engine: what it wants now must be taken."""
        assert self._now is not None
        self._is_asked = False
        due = self.engine.next_deadline()
        if due is None or due > self._now:
            self._waits_since.pop("timer", None)  # what has come made it void
        for what in ("commands", "events"):
            self._waits_since.setdefault(what, self._now)
        for conn in self.engine.connections_with_data():
            self._waits_since.setdefault(f"data {conn}", self._now)
