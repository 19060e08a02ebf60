"""What the surroundings of an engine must do, and did not.

``watching`` has every ``Client`` that is made in its ``with`` watched: each step that a world takes
with the client's engine is compared with what the engine has asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final
from unittest import mock

import attrs

from sansio_gradio.client.commands import CloseConnection, EngineCommand, OpenConnection, StartTLS
from sansio_gradio.client.engine import Engine
from sansio_gradio.wire.body import FileSlice
from sansio_gradio_adapters import _client

__all__ = ["Watched", "watching"]

_LATE: Final = 0.2
"""Seconds for which bytes may wait that a connection could take."""


@attrs.define
class _Conn:
    """What is known of a connection."""

    opened_as: str
    is_made: bool = False
    is_closed: bool = False  # the engine has asked for that
    is_lost: bool = False
    needs_tls: bool = False
    waits_since: float | None = None  # bytes, which nobody took
    takes: bool = True  # it was asked for more the last time, and there was no more


class Watched:
    """An ``Engine`` that is watched. ``mistakes`` are those of its surroundings, in words."""

    def __init__(self, **options: Any) -> None:
        self.mistakes: list[str] = []
        self._engine = Engine(**options)
        self._conns: dict[int, _Conn] = {}
        self._now = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def end(self) -> None:
        """Note what waits still."""
        for conn in self._conns:
            self._note_untaken(conn)

    def next_command(self) -> EngineCommand | None:
        command = self._engine.next_command()
        match command:
            case OpenConnection():
                self._conns[command.conn] = _Conn(f"{command.host}, port {command.port}")
            case StartTLS():
                self._conns[command.conn].needs_tls = True
            case CloseConnection():
                known = self._conns[command.conn]
                self._note_untaken(command.conn)
                known.is_closed = True
            case _:
                pass
        return command

    def connection_made(self, conn: int, now: float) -> None:
        known = self._told("opened", conn, now)
        if known is not None and known.is_made:
            self._mistake(f"opened was told twice for {self._name(conn)}.")
        elif known is not None:
            known.is_made = True
        self._engine.connection_made(conn, now)

    def tls_made(self, conn: int, now: float) -> None:
        known = self._told("the end of the TLS handshake", conn, now)
        if known is not None:
            known.needs_tls = False
        self._engine.tls_made(conn, now)

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        known = self._told("received", conn, now)
        if known is not None and known.is_closed:
            self._mistake(
                f"It reads after close: {len(data)} bytes of {self._name(conn)} were told by"
                " received, and the engine had closed that connection. Read no more from a"
                " connection once close(conn) was called."
            )
        elif known is not None and known.is_lost:
            self._mistake(f"received was told after lost for {self._name(conn)}.")
        elif known is not None and not known.is_made:
            self._mistake(f"received was told before opened for {self._name(conn)}.")
        self._engine.receive_data(conn, data, now)

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:
        known = self._told("lost", conn, now)
        if known is not None and known.is_lost:
            self._mistake(
                f"lost was told twice for {self._name(conn)}. Tell it once, and forget the"
                " connection."
            )
        elif known is not None:
            self._note_untaken(conn)
            known.is_lost = True
        self._engine.connection_lost(conn, error, now)

    def connections_with_data(self) -> list[int]:
        found = self._engine.connections_with_data()
        for conn in found:
            known = self._conns[conn]
            ready = known.is_made and not (known.needs_tls or known.is_closed or known.is_lost)
            if ready and known.takes and known.waits_since is None:
                known.waits_since = self._now
        return found

    def data_to_send(
        self, conn: int, max_bytes: int = 65536, now: float | None = None
    ) -> bytes | FileSlice:
        data = self._engine.data_to_send(conn, max_bytes, now)
        if (known := self._conns.get(conn)) is not None:
            known.waits_since, known.takes = None, not data
        return data

    def handle_timer(self, now: float) -> None:
        self._now = max(self._now, now)
        self._engine.handle_timer(now)

    def _note_untaken(self, conn: int) -> None:
        since, self._conns[conn].waits_since = self._conns[conn].waits_since, None
        if since is not None and self._now - since > _LATE:
            self._mistake(
                f"Bytes for {self._name(conn)} were never taken: each wake_writer(conn) has to call"
                " data_to_send(conn) and send what that returns, until it is empty."
            )

    def _told(self, what: str, conn: int, now: float) -> _Conn | None:
        if now < self._now:
            self._mistake(f"The clock went back, from {self._now} to {now}.")
        self._now = max(self._now, now)
        known = self._conns.get(conn)
        if known is None:
            self._mistake(f"{what} was told for connection {conn}, which was never asked for.")
        return known

    def _name(self, conn: int) -> str:
        return f"connection {conn} (to {self._conns[conn].opened_as})"

    def _mistake(self, what: str) -> None:
        if what not in self.mistakes:
            self.mistakes.append(what)


@contextlib.contextmanager
def watching() -> Generator[Callable[[], list[str]]]:
    """Watch the engines of all clients that are made in this ``with``. Gives a function that
    returns the mistakes up to now."""
    watched: list[Watched] = []

    def make(**options: Any) -> Watched:
        watched.append(Watched(**options))
        return watched[-1]

    def mistakes() -> list[str]:
        for one in watched:
            one.end()
        return list(dict.fromkeys(what for one in watched for what in one.mistakes))

    with mock.patch.object(_client, "Engine", make):
        yield mistakes
