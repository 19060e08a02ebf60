"""The server role as the peer of an engine, with functions that take one step at a time.

Between two steps the client reads what there is, so messages come one by one and jobs take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from sansio_gradio.server.app import App
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import JobAbandoned, JobSubmitted
from sansio_gradio.testing.driver import counted_entropy

Call: TypeAlias = Callable[..., Iterator[list[Any]]]
"""What it yields are outputs; the last one is the result, too."""


class SteppedPeer:
    """An *app* whose functions, by their names, are *calls*."""

    def __init__(self, app: App, calls: dict[str, Call]) -> None:
        self.engine = ServerEngine(app, entropy=counted_entropy())
        self._calls = calls
        self._running: deque[tuple[JobSubmitted, Iterator[list[Any]]]] = deque()
        self._left: set[int] = set()  # connections that the client has ended
        self._now = 0.0

    def open(self, conn: int, now: float) -> None:
        self._now = now
        self.engine.connection_made(conn, now)

    def receive(self, conn: int, data: bytes, now: float) -> None:
        self._now = now
        if not data:
            self._left.add(conn)
        self.engine.receive_data(conn, data, now)
        self._look()

    def outputs(self) -> list[tuple[int, bytes]]:
        out = self._said()
        while not out and self._running:
            self._step()
            out = self._said()
        return out

    def next_deadline(self) -> float | None:
        return self.engine.next_deadline()

    def handle_timer(self, now: float) -> None:
        self._now = now
        self.engine.handle_timer(now)
        self._look()

    def _look(self) -> None:
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, JobSubmitted):
                self.engine.start(event.job, self._now)
                call = self._calls[event.function.api_name]
                self._running.append((event, call(*event.data)))
            elif isinstance(event, JobAbandoned):
                gone = [one for one in self._running if one[0].job == event.job]
                for one in gone:
                    self._running.remove(one)

    def _step(self) -> None:
        """The job whose turn it is yields once, or ends."""
        submitted, steps = self._running.popleft()
        job, value = submitted.job, next(steps, None)
        if submitted.function.generator and value is not None:
            self.engine.generate(job, value, self._now)
            self._running.append((submitted, steps))
        else:
            self.engine.complete(job, value, now=self._now)
        self._look()

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
