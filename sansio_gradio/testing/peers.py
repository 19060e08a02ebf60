"""Other ends for a ``Driver``: an app of the server role, and answers by hand.

A peer does no I/O. It takes bytes, and says which bytes go out.
"""

from __future__ import annotations

import inspect
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, cast

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import JobAbandoned, JobSubmitted
from sansio_gradio.server.run import Logged, Run, Said
from sansio_gradio.testing.entropy import counted_entropy

__all__ = ["AppPeer", "Asked", "ByHand", "Peer", "chunk", "reply", "stream_head"]


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


class AppPeer:
    """An *app*, served. Its Python functions run here, step by step, in pretended time.

    A step of a function (up to its next yield, or its end) takes *pace* seconds. With 0.0 it takes
    no time, and comes when there is nothing else to say: so messages go out one by one, and jobs
    take turns. Functions must be plain ones, not async.

    Jobs of functions that were added without a Python function wait in ``running``: answer them by
    the verbs of ``engine``, and take them out.
    """

    def __init__(
        self, app: App, *, pace: float = 0.0, entropy: Callable[[int], bytes] | None = None
    ) -> None:
        self.app = app
        self.engine = ServerEngine(app, entropy=entropy or counted_entropy())
        self.running: dict[int, JobSubmitted] = {}
        """The jobs that are to be answered by hand, by their numbers on the server."""
        self.now = 0.0
        self._pace = pace
        self._left: set[int] = set()  # connections that the client has ended
        self._steps: dict[int, Iterator[Any]] = {}
        self._turns: deque[tuple[float, int]] = deque()  # when a job takes its next step

    def open(self, conn: int, now: float) -> None:
        self.now = now
        self.engine.connection_made(conn, now)

    def receive(self, conn: int, data: bytes, now: float) -> None:
        self.now = now
        if not data:
            self._left.add(conn)
        self.engine.receive_data(conn, data, now)
        self.look()

    def outputs(self) -> list[tuple[int, bytes]]:
        out = self._said()
        while not out and self._turns and self._turns[0][0] <= self.now:
            self._step(self._turns.popleft()[1])
            out = self._said()
        return out

    def next_deadline(self) -> float | None:
        times = [self.engine.next_deadline(), self._turns[0][0] if self._turns else None]
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self.now = now
        self.engine.handle_timer(now)
        self.look()

    def look(self) -> None:
        """Take the events of the server's engine: jobs begin, and are given up."""
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, JobSubmitted) and event.function.call is None:
                self.running[event.job] = event
            elif isinstance(event, JobSubmitted):
                self.engine.start(event.job, self.now)
                self._steps[event.job] = self._run(event)
                self._turns.append((self.now + self._pace, event.job))
            elif isinstance(event, JobAbandoned):
                self.running.pop(event.job, None)
                self._steps.pop(event.job, None)

    def _run(self, submitted: JobSubmitted) -> Iterator[Any]:
        """The steps of a job; after each the job takes its turn."""
        job, function = submitted.job, submitted.function
        call = cast("Callable[..., Any]", function.call)
        given = dict(zip((slot.name for slot in function.parameters), submitted.data, strict=False))
        if function.run_parameter is not None:
            given[function.run_parameter] = Run(
                session_hash=submitted.session_hash,
                headers=submitted.headers,
                event_data=submitted.event_data,
                user=submitted.user,
                say=partial(self._say, job),
            )
        is_one = len(function.returns) == 1
        try:
            got = call(**given)
            if inspect.isawaitable(got) or inspect.isasyncgen(got):
                raise LocalProtocolError(
                    f"/{function.api_name} is async: give a simulated app plain functions"
                )
            if inspect.isgenerator(got):
                for value in cast("Iterator[Any]", got):
                    if function.scripted:
                        self.engine.send(job, value)
                    else:
                        self.engine.generate(job, [value] if is_one else [*value], self.now)
                    yield None
                self.engine.complete(job, now=self.now)
            else:
                self.engine.complete(job, [got] if is_one else [*got], now=self.now)
        except LocalProtocolError:
            raise
        except Exception as error:  # of the app: its client is told
            self.engine.fail(job, error, now=self.now)

    def _say(self, job: int, said: Said) -> None:
        if isinstance(said, Logged):
            self.engine.log(
                job,
                said.text,
                level=said.level,
                title=said.title,
                duration=said.duration,
                visible=said.visible,
            )
        else:
            self.engine.progress(job, said.units)

    def _step(self, job: int) -> None:
        """The job takes one step."""
        steps = self._steps.get(job)
        if steps is None:
            return  # it was given up
        done = object()
        if next(steps, done) is done:
            del self._steps[job]
        else:
            self._turns.append((self.now + self._pace, job))
        self.look()

    def _said(self) -> list[tuple[int, bytes]]:
        out: list[tuple[int, bytes]] = []
        for conn in self.engine.connections_with_data():
            while data := self.engine.data_to_send(conn):
                out.append((conn, data))
        while (command := self.engine.next_command()) is not None:
            while data := self.engine.data_to_send(command.conn):
                out.append((command.conn, data))
            out.append((command.conn, b""))
        return [(conn, data) for conn, data in out if conn not in self._left]


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
        """Send *data* on a connection, each piece by itself."""
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
