"""Recordings of real Gradio servers: the bytes of each connection, and what they mean.

A recording is one scenario (``generator``, ``app2/chatbot``, ...) on one Gradio version. What it
means stands in ``expected`` and was made by code that shares nothing with ours: see ``FORMAT``.
The files are made by ``tests/data/make_transcripts.py``.
"""

from __future__ import annotations

import functools
import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

FORMAT = """
``exchanges``, in order of the request's first byte: ``conn``, ``target``, ``status``; ``method``,
``request_json`` or ``request_body``, ``content_type``, ``response_json`` or ``response_body`` or
(event streams) ``messages``; ``complete``: the framing ended cleanly, if not, ``ended_by`` says who
closed first (``client``: the recorder gave up). WebSockets (``ws``): ``sent``, ``received``,
``order`` (``>`` sent, ``<`` received), ``close`` (the server's code, ``"eof"``, or null: the client
left), ``client_close``, ``close_by``, ``eof_first``.

``jobs``, in order of submission: ``key`` (event_id or "conn:n"), ``fn_index``, ``session_hash``,
``data``, ``message_kinds`` (run lengths), ``outputs`` (diffs applied), ``final``, ``error``, and
``end``: completed, failed, cancelled, queue_full, rejected, stream_ended, or none (nothing terminal
came before the recorder left).
"""

FOLDER = Path(__file__).parents[1] / "data" / "transcripts"

# A file that is missing is a failure, so what there must be is said here.
VERSIONS = (
    "3.1.4",  # push and poll
    "3.1.7",  # ws, the client speaks first
    "3.4.1",  # ws without send_hash
    "3.16.2",  # ws
    "3.50.2",  # ws
    "4.0.2",  # sse
    "4.16.0",  # sse_v1
    "4.19.2",  # sse_v2
    "4.21.0",  # sse_v2.1
    "4.29.0",  # sse_v3, and so the rest
    "4.44.1",
    "6.31.0",
)

# Scenarios that were recorded and are not in the files, each with its reason.
LEFT_OUT = {"html": "Gradio's own pages are not ours to ship"}

Direction = Literal["c2s", "s2c"]


@attrs.frozen
class Chunk:
    """What one read of the recorder gave; no bytes: that side's end."""

    t: float  # seconds since the scenario's start
    conn: int
    direction: Direction
    data: bytes


@attrs.frozen(kw_only=True)
class Recording:
    """One scenario on one version, in the order in which it happened."""

    version: str
    name: str
    chunks: tuple[Chunk, ...]
    expected: Mapping[str, Any]
    config: Mapping[str, Any]  # of the app that was running
    info: Mapping[str, Any] | None  # None: this version or this app has none

    @functools.cached_property
    def connections(self) -> Mapping[int, tuple[Chunk, ...]]:
        found: dict[int, list[Chunk]] = {}
        for chunk in self.chunks:
            found.setdefault(chunk.conn, []).append(chunk)
        return {conn: tuple(chunks) for conn, chunks in found.items()}

    def bytes_of(self, conn: int, direction: Direction) -> bytes:
        return b"".join(c.data for c in self.connections[conn] if c.direction == direction)


def versions() -> tuple[str, ...]:
    return VERSIONS


def scenarios(version: str) -> tuple[str, ...]:
    return tuple(_read(version)["scenarios"])


def load(version: str, scenario: str) -> Recording:
    everything = _read(version)
    recorded, documents = everything["scenarios"][scenario], everything["documents"]
    app = scenario.rpartition("/")[0]
    return Recording(
        version=version,
        name=scenario,
        chunks=tuple(
            Chunk(t, conn, way, data.encode("latin-1")) for t, conn, way, data in recorded["chunks"]
        ),
        expected=recorded["expected"],
        config=documents[f"{app}/config" if app else "config"],
        info=documents.get(f"{app}/info" if app else "info"),
    )


def recordings() -> list[tuple[str, str]]:
    """Every (version, scenario) there is, for parametrize."""
    return [(version, scenario) for version in versions() for scenario in scenarios(version)]


@functools.cache
def _read(version: str) -> Any:
    return json.loads(lzma.decompress((FOLDER / f"{version}.json.xz").read_bytes()))
