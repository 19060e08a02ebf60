"""An engine on a pretended network: sans-IO peers, byte buffers, and a clock that stands still.

Rule 1: time passes only in ``sleep``. Nothing waits, so a test that takes an hour takes no time.

Rule 2: what the engine may not do, whatever the peer does, is asserted here, at every step: name a
connection that is closed, keep a deadline that has passed, go on for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from sansio_gradio.client.commands import (
    CloseConnection,
    OpenConnection,
    PauseReading,
    ReadFile,
    ResumeReading,
    StartTLS,
)
from sansio_gradio.client.engine import Engine
from sansio_gradio.events import Event, JobCancelled, JobCompleted, JobEnd, JobFailed, Output
from sansio_gradio.testing.peers import Peer
from sansio_gradio.wire.body import FileSlice

MANY = 100_000  # steps without time passing: by then something runs in circles


def bytes_of(piece: bytes | FileSlice) -> bytes:
    """What is sent for a piece; files are given as bytes, or as objects that are read on."""
    if not isinstance(piece, FileSlice):
        return piece
    source = piece.upload.source
    if not isinstance(source, bytes):
        return bytes(source.read(piece.length))
    return source[piece.offset : piece.offset + len(piece)]


@attrs.define(eq=False)
class Link:
    """One connection as the network has it: what is on its way in both directions."""

    opening: OpenConnection
    secured: bool = False
    paused: bool = False
    held_until: float = 0.0  # a time: nothing arrives before, in neither direction
    up: deque[bytes] = attrs.field(factory=deque[bytes])  # to the peer
    down: deque[bytes] = attrs.field(factory=deque[bytes])  # to the engine; b"": the end


class Driver:
    """Joins *engine* to *peer*. ``piece`` is how many bytes the engine hands out at once."""

    def __init__(self, engine: Engine, peer: Peer, *, piece: int = 65536) -> None:
        self.engine = engine
        self.peer = peer
        self.now = 1000.0
        self.links: dict[int, Link] = {}
        self.opened: list[OpenConnection] = []
        self.closed: set[int] = set()
        self.events: list[Event] = []
        self.values: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        """What each job (session, job) has yielded."""
        self.refuse: Callable[[OpenConnection], BaseException | None] = lambda _: None
        """Why a connection does not come about; None: it does."""
        self._piece = piece

    # Everything that moves without time passing.

    def settle(self) -> None:
        """Deliver everything to everybody until nothing moves."""
        for _ in range(MANY):
            moved = self.work()
            moved |= self.deliver_up()
            self.collect()
            moved |= self.deliver_down()
            if not moved:
                return
        raise AssertionError("the engine and its peer run in circles")

    def work(self) -> bool:
        """What an adapter does after each verb; whether there was anything to do."""
        moved = False
        for _ in range(MANY):
            busy = self._tell_time() | self._commands() | self._take() | self._events()
            if not busy:
                return moved
            moved = True
        raise AssertionError("the engine runs in circles")

    def collect(self) -> None:
        """Put what the peer says on its way."""
        for conn, data in self.peer.outputs():
            if conn in self.links:
                self.links[conn].down.append(data)

    def deliver_up(self) -> bool:
        moved = False
        for conn, link in list(self.links.items()):
            while link.up:
                moved = True
                self.peer.receive(conn, link.up.popleft(), self.now)
        return moved

    def deliver_down(self) -> bool:
        moved = False
        for conn in list(self.links):
            while conn in self.links and self.links[conn].down and not self.links[conn].paused:
                moved = True
                self.deliver(conn, self.links[conn].down.popleft())
        return moved

    def deliver(self, conn: int, data: bytes) -> None:
        """Have the engine read *data*."""
        self.engine.receive_data(conn, data, self.now)
        self.work()
        if not data and conn in self.links:
            # An engine that is told the end has no further use for the connection.
            raise AssertionError(f"connection {conn} is kept after its end")

    def lose(self, conn: int, error: BaseException | None = None) -> None:
        """The network breaks a connection; what was on its way is gone."""
        del self.links[conn]
        self.closed.add(conn)
        self.engine.connection_lost(conn, error, self.now)
        self.peer.receive(conn, b"", self.now)
        self.work()

    # Time

    def sleep(self, seconds: float) -> None:
        """Let time pass, from deadline to deadline."""
        end = self.now + seconds
        for _ in range(MANY):
            self.settle()
            due = self.next_time()
            if due is None:
                due = end
            if due > end:
                break
            self.now = max(self.now, due)
            self.peer.handle_timer(self.now)
            self.engine.handle_timer(self.now)
            if due == end:
                break
        else:
            raise AssertionError("deadlines follow each other for ever")
        self.now = end
        self.settle()

    def next_time(self) -> float | None:
        """When something happens next; None: nothing does."""
        times = (self.engine.next_deadline(), self.peer.next_deadline())
        return min((time for time in times if time is not None), default=None)

    def _tell_time(self) -> bool:
        due = self.engine.next_deadline()
        if due is None or due > self.now:
            return False
        self.engine.handle_timer(self.now)
        return True

    # What the engine wants

    def _commands(self) -> bool:
        moved = False
        while (command := self.engine.next_command()) is not None:
            moved = True
            if isinstance(command, ReadFile):
                content = command.upload.source
                assert isinstance(content, bytes)
                self.engine.body_read(command.upload, content)
                continue
            assert command.conn not in self.closed, f"{command} is about a closed connection"
            match command:
                case OpenConnection():
                    self._open(command)
                case StartTLS(conn, server_name):
                    link = self.links[conn]
                    assert not link.secured
                    assert link.opening.server_name == server_name
                    link.secured = True
                    self.engine.tls_made(conn, self.now)
                case CloseConnection(conn):
                    self._close(conn)
                case PauseReading(conn):
                    assert not self.links[conn].paused
                    self.links[conn].paused = True
                case ResumeReading(conn):
                    assert self.links[conn].paused
                    self.links[conn].paused = False
        return moved

    def _open(self, command: OpenConnection) -> None:
        conn = command.conn
        assert conn not in self.links
        self.opened.append(command)
        error = self.refuse(command)
        if error is not None:
            self.closed.add(conn)
            self.engine.connection_lost(conn, error, self.now)
            return
        self.links[conn] = Link(command)
        self.peer.open(conn, self.now)
        self.engine.connection_made(conn, self.now)

    def _close(self, conn: int) -> None:
        rest = b""
        while data := self.engine.data_to_send(conn, self._piece):
            rest += bytes_of(data)
        self.closed.add(conn)
        link = self.links.pop(conn, None)
        if link is None:
            return  # it never came about
        for data in (*link.up, rest):
            if data:
                self.peer.receive(conn, data, self.now)
        self.peer.receive(conn, b"", self.now)

    def _take(self) -> bool:
        moved = False
        for conn in self.engine.connections_with_data():
            assert conn not in self.closed
            link = self.links[conn]
            is_plain = link.opening.server_name is None or link.opening.via is not None
            assert link.secured or is_plain, "bytes before TLS"
            while data := self.engine.data_to_send(conn, self._piece):
                assert len(data) <= self._piece
                moved = True
                if isinstance(data, FileSlice) and data.upload.size is None:
                    self.engine.body_read(data.upload, bytes_of(data))
                else:
                    link.up.append(bytes_of(data))
        return moved

    def _events(self) -> bool:
        moved = False
        while (event := self.engine.next_event()) is not None:
            moved = True
            self.events.append(event)
            if isinstance(event, Output):
                self.values.setdefault((event.session, event.job), []).append(event.value)
        return moved

    # What has become of it

    def ends(self, session: int, job: int) -> list[JobEnd]:
        """The last events of a job: there must never be two."""
        return [
            event
            for event in self.events
            if isinstance(event, JobCompleted | JobFailed | JobCancelled)
            and (event.session, event.job) == (session, job)
        ]

    def end(self, session: int, job: int) -> JobEnd:
        """The last event of a job that is over, after which nothing is said of it."""
        (end,) = self.ends(session, job)
        said = [
            event
            for event in self.events
            if getattr(event, "job", None) == job and event.session == session
        ]
        assert said[-1] is end
        return end

    def of(self, *kinds: type[Any]) -> list[Any]:
        """The events of these kinds, in order."""
        return [event for event in self.events if isinstance(event, kinds)]
