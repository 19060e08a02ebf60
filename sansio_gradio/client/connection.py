"""What the engine knows of one connection, and of one exchange that wants to use it."""

from __future__ import annotations

import enum
from collections import deque
from typing import TypeAlias

import attrs

from sansio_gradio.client.commands import Expect, OpenWebSocket, SendRequest
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.wire.http import HTTPConnection
from sansio_gradio.wire.url import URL
from sansio_gradio.wire.websocket import WebSocketConnection

Origin: TypeAlias = tuple[str, str, int]
"""Scheme (http or https), host and port."""


@attrs.define(eq=False)
class Exchange:
    """A request or a WebSocket of one conversation, on its way to or on a connection."""

    owner: Conversation
    command: SendRequest | OpenWebSocket
    url: URL
    attempts: int = 0
    handed_out: bool = False  # the last byte of the request
    answered: bool = False  # with at least one byte
    aborted: bool = False

    @property
    def is_stream(self) -> bool:
        return isinstance(self.command, SendRequest) and self.command.expect is Expect.STREAM

    @property
    def is_safe(self) -> bool:
        """Whether sending it twice does no harm."""
        return isinstance(self.command, SendRequest) and self.command.method == "GET"


class ConnectionState(enum.Enum):
    OPENING = enum.auto()
    SECURING = enum.auto()  # TLS
    OPEN = enum.auto()
    CLOSED = enum.auto()  # as far as the engine goes; there may still be bytes to send


@attrs.define(eq=False)
class Connection:
    """One connection: ``wire`` is the machine that speaks on it, ``exchange`` what it carries."""

    id: int
    origin: Origin
    wire: HTTPConnection | WebSocketConnection
    exchange: Exchange | None = None
    opened_for: Exchange | None = None
    state: ConnectionState = ConnectionState.OPENING
    is_gone: bool = False  # the surroundings have said so: nothing is to be closed
    idle_since: float | None = None  # None: never used yet
    _out: deque[bytes] = attrs.field(factory=deque[bytes], init=False)
    _offset: int = attrs.field(default=0, init=False)  # of the first of them

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent."""
        if data:
            self._out.append(data)

    def discard(self) -> None:
        """Drop what was queued."""
        self._out.clear()
        self._offset = 0

    @property
    def has_data(self) -> bool:
        return bool(self._out)

    def take(self, max_bytes: int) -> bytes:
        """Hand out the next bytes, at most *max_bytes*."""
        taken: list[bytes] = []
        while self._out and max_bytes > 0:
            first = self._out[0]
            piece = first[self._offset : self._offset + max_bytes]
            taken.append(piece)
            max_bytes -= len(piece)
            self._offset += len(piece)
            if self._offset == len(first):
                self._out.popleft()
                self._offset = 0
        if not self._out and self.exchange is not None:
            self.exchange.handed_out = True
        return b"".join(taken)
