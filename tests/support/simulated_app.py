"""The app of a simulated run: what its functions may yield, and what they have done."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

from sansio_gradio.server.app import App
from sansio_gradio.server.engine import ServerEngine
from sansio_gradio.server.events import JobAbandoned, JobSubmitted
from sansio_gradio.testing.driver import counted_entropy

# What edits can express and every server version computes right:
# docs/protocol/sse_v3.md#6-edits.
scalars = st.one_of(st.none(), st.integers(2, 5), st.text("ab", max_size=3))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=1), inner),
    max_leaves=4,
)

GROWN = object()
"""Instead of a value: the one before, and a little more."""


def grown(value: Any) -> Any:
    """The value after *value*: a little more of it."""
    match value:
        case str():
            return value + "ab"
        case list():
            return [*value, 2]
        case dict():
            return {**value, "z": [value.get("z")]}
        case _:
            return ["a"]


class ServedPeer:
    """The server role as a peer, and what it is told about its jobs."""

    def __init__(self, app: App) -> None:
        self.engine = ServerEngine(app, entropy=counted_entropy())
        self.running: dict[int, JobSubmitted] = {}

    def open(self, conn: int, now: float) -> None:
        self.engine.connection_made(conn, now)

    def receive(self, conn: int, data: bytes, now: float) -> None:
        self.engine.receive_data(conn, data, now)
        self.look()

    def look(self) -> None:
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, JobSubmitted):
                self.running[event.job] = event
            elif isinstance(event, JobAbandoned):
                self.running.pop(event.job, None)

    def outputs(self) -> list[tuple[int, bytes]]:
        out: list[tuple[int, bytes]] = []
        for conn in self.engine.connections_with_data():
            while data := self.engine.data_to_send(conn):
                out.append((conn, data))
        while (command := self.engine.next_command()) is not None:
            while data := self.engine.data_to_send(command.conn):
                out.append((command.conn, data))
            out.append((command.conn, b""))
        return out

    def next_deadline(self) -> float | None:
        return self.engine.next_deadline()

    def handle_timer(self, now: float) -> None:
        self.engine.handle_timer(now)
        self.look()

    def streams(self) -> dict[str, int]:
        """How many streams each session has."""
        sessions = self.engine._conversation._queue.sessions
        return {name: len(found.streams) for name, found in sessions._sessions.items()}


@attrs.define
class Truth:
    """What the app has done for one job."""

    yields: list[tuple[Any, ...]] = attrs.field(factory=list[tuple[Any, ...]])
    notices: list[str] = attrs.field(factory=list[str])
    data: tuple[Any, ...] | None = None
    error: str | None = None
