"""The duties of a world, watched while scenarios run in it.

``watching`` gives each ``Client`` that is made in its ``with`` a ``CheckedEngine`` that notes the
mistakes instead of raising them: so a scenario goes on as far as it can, and all are told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final
from unittest import mock

from sansio_gradio.client.commands import CloseConnection, EngineCommand, StartTLS
from sansio_gradio.client.engine import Engine
from sansio_gradio.testing.checked import CheckedEngine
from sansio_gradio.wire.body import FileSlice
from sansio_gradio_adapters import _client

__all__ = ["WatchedEngine", "watching"]

_PATIENCE: Final = 60.0
"""Seconds that a world may be late with all else: machines are busy, and nothing is lost."""
_LATE: Final = 0.2
"""Seconds for which bytes may wait that a connection could take."""
_VERBS: Final = {
    "connection_made": "opened",
    "receive_data": "received",
    "connection_lost": "lost",
    "CloseConnection": "close",
    "PauseReading": "pause",
    "ResumeReading": "resume",
    "OpenConnection": "open",
    "data_to_send": "wake_writer",
    "handle_timer": "set_timer",
}
"""What the verbs and commands of the engine are called in a ``TaskWorld``."""


class WatchedEngine(CheckedEngine):
    """A new engine, that of a client. ``mistakes`` are those of its world."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Engine(**options), patience=_PATIENCE)
        self._ready: dict[int, bool] = {}  # whether it took all the last time
        self._untaken: dict[int, float] = {}  # since when bytes wait that could be taken

    def _wrong(self, what: str) -> None:
        words = [f"{verb}: {name}" for verb, name in _VERBS.items() if verb in what]
        told = f"{what} (in a TaskWorld, {', '.join(words)})" if words else what
        if told not in self.mistakes:
            self.mistakes.append(told)

    def note_end(self) -> None:
        """Note what waits still."""
        for conn in list(self._untaken):
            self._note_untaken(conn)

    def next_command(self) -> EngineCommand | None:
        command = super().next_command()
        if isinstance(command, CloseConnection | StartTLS):
            self._note_untaken(command.conn)
            self._ready.pop(command.conn, None)
        return command

    def connection_made(self, conn: int, now: float) -> None:
        self._ready[conn] = True
        super().connection_made(conn, now)

    def tls_made(self, conn: int, now: float) -> None:
        self._ready[conn] = True
        super().tls_made(conn, now)

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:
        self._note_untaken(conn)
        self._ready.pop(conn, None)
        super().connection_lost(conn, error, now)

    def connections_with_data(self) -> list[int]:
        found = super().connections_with_data()
        for conn in found:
            if self._ready.get(conn) and self._now is not None:
                self._untaken.setdefault(conn, self._now)
        return found

    def data_to_send(
        self, conn: int, max_bytes: int = 65536, now: float | None = None
    ) -> bytes | FileSlice:
        data = super().data_to_send(conn, max_bytes, now)
        self._untaken.pop(conn, None)
        if conn in self._ready:
            self._ready[conn] = not data  # one that stops before there is none is full
        return data

    def _note_untaken(self, conn: int) -> None:
        since, now = self._untaken.pop(conn, None), self._now
        if since is not None and now is not None and now - since > _LATE:
            self._wrong(
                f"connection {conn} had bytes to send for {now - since:.1f} s, and nobody took"
                " them: wake_writer(conn) has to call data_to_send(conn) and send what it returns,"
                " until that is empty"
            )


@contextlib.contextmanager
def watching() -> Generator[Callable[[], list[str]]]:
    """Watch the engines of all clients that are made in this ``with``. Gives a function that
    returns the mistakes up to now."""
    watched: list[WatchedEngine] = []

    def make(**options: Any) -> WatchedEngine:
        watched.append(WatchedEngine(**options))
        return watched[-1]

    def mistakes() -> list[str]:
        for engine in watched:
            engine.note_end()
        return list(dict.fromkeys(what for engine in watched for what in engine.mistakes))

    with mock.patch.object(_client, "Engine", make):
        yield mistakes
