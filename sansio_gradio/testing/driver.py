"""An engine on a pretended network: sans-IO peers, byte buffers, and a clock that stands still.

Rule 1: time passes only in ``sleep``. Nothing waits, so a test that takes an hour takes no time.

Rule 2: what the engine may not do, whatever the peer does, is asserted here, at every step: name a
connection that is closed, keep a deadline that has passed, go on for ever.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

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


class Peer(Protocol):
    """The other end of all connections."""

    def open(self, conn: int, now: float) -> None: ...
    def receive(self, conn: int, data: bytes, now: float) -> None:
        """What came from the engine; no bytes: its end. Also of a connection that is over."""
        ...

    def outputs(self) -> Iterable[tuple[int, bytes]]:
        """What to send now; no bytes: the end of that connection."""
        ...

    def next_deadline(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...


@attrs.define(eq=False)
class Link:
    """One connection as the network has it: what is on its way in both directions."""

    opening: OpenConnection
    secured: bool = False
    paused: bool = False
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
            times = (self.engine.next_deadline(), self.peer.next_deadline())
            due = min((time for time in times if time is not None), default=end)
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


def counted_entropy() -> Callable[[int], bytes]:
    """Bytes as unlike as random ones, and the same in every run."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(size)

    return entropy


@attrs.define(eq=False)
class Asked:
    """One request as a peer sees it."""

    conn: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class ByHand:
    """A peer whose answers are the test's: requests in, bytes out."""

    def __init__(self, *answers: Callable[[Asked], bytes | None]) -> None:
        self.asked: list[Asked] = []
        """Every request, in order."""
        self.got: dict[int, bytes] = {}
        """What came on each connection and is no whole request."""
        self.ended: list[int] = []
        self._answers = answers
        self._out: list[tuple[int, bytes]] = []
        self._sockets: set[int] = set()

    def open(self, conn: int, now: float) -> None:
        self.got[conn] = b""

    def receive(self, conn: int, data: bytes, now: float) -> None:
        if not data:
            self.ended.append(conn)
        self.got[conn] += data
        if conn not in self._sockets:
            self._read(conn)

    def _read(self, conn: int) -> None:
        while b"\r\n\r\n" in self.got[conn]:
            head, rest = self.got[conn].split(b"\r\n\r\n", 1)
            first, *lines = head.decode().split("\r\n")
            named = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in named}
            size = int(headers.get("content-length", 0))
            if len(rest) < size:
                return
            self.got[conn] = rest[size:]
            method, target, _ = first.split(" ")
            asked = Asked(conn, method, target, headers, rest[:size])
            self.asked.append(asked)
            if "upgrade" in headers:
                self._sockets.add(conn)
            for answer in self._answers:
                said = answer(asked)
                if said is not None:
                    self.say(conn, said)
                    break

    def say(self, conn: int, *data: bytes) -> None:
        """Bytes, in these pieces."""
        self._out += [(conn, piece) for piece in data]

    def hang_up(self, conn: int) -> None:
        self._out.append((conn, b""))

    def outputs(self) -> list[tuple[int, bytes]]:
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> float | None:
        return None

    def handle_timer(self, now: float) -> None: ...


def reply(body: object = None, status: int = 200, *headers: str) -> bytes:
    """An HTTP answer: JSON, or the bytes that are given."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Some Reason", f"content-length: {len(data)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + data


def stream_head() -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def chunk(*messages: object) -> bytes:
    """Messages on an event stream; none: its end."""
    data = b"".join(b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages)
    return b"%x\r\n%s\r\n" % (len(data), data)
