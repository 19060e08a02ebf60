"""A connection that carries one WebSocket.

A module of its own, because wsproto takes longer to import than all the rest, and only apps of
Gradio 3 need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansio_gradio.client.connection import Connection, Transfer
from sansio_gradio.client.news import News, TextCame, TransferFailed
from sansio_gradio.errors import ConnectionLost
from sansio_gradio.limits import Limits
from sansio_gradio.wire.body import FileSlice
from sansio_gradio.wire.http import BodyReceived, MessageEnded, ResponseStarted, Role
from sansio_gradio.wire.websocket import (
    Closed,
    Event,
    HandshakeAccepted,
    HandshakeRejected,
    TextReceived,
    WebSocketConnection,
)

_NORMAL = 1000


@attrs.define(eq=False)
class SocketConnection(Connection):
    """Carries the WebSocket for which it was opened."""

    wire: WebSocketConnection = attrs.field(kw_only=True)
    _answers: bytes = attrs.field(default=b"", init=False)  # of its own, to what the peer said

    @classmethod
    def make(cls, id: int, transfer: Transfer, limits: Limits) -> SocketConnection:
        wire = WebSocketConnection(Role.CLIENT, max_message_size=limits.message)
        return cls(id, transfer.destination, transfer, transfer, wire=wire)

    @property
    def is_reusable(self) -> bool:
        return False

    def begin(self, transfer: Transfer) -> None:
        url = transfer.url
        self.write(self.wire.send_handshake(url.host_header, url.target, transfer.command.headers))

    def receive(self, data: bytes) -> Sequence[News]:
        try:
            events = self.wire.receive_data(data) if data else self.wire.receive_eof()
        finally:
            self.error = self.wire.error
            # To a peer that pings and does not read, only the latest answer is sent (RFC 6455
            # 5.5.3). A Close is the last answer.
            self._answers = self.wire.data_to_send() or self._answers
        return [news for event in events for news in _news(event)]

    @property
    def has_data(self) -> bool:
        return bool(self._out.size or self._answers)

    def take(self, max_bytes: int) -> bytes | FileSlice:
        if not self._out:
            self.write(self._answers)
            self._answers = b""
        return super().take(max_bytes)

    def send_text(self, text: str) -> None:
        # What asked for it may have come together with the end.
        if self.wire.is_open:
            self.write(self.wire.send_text(text))

    def end(self) -> None:
        if self.wire.is_open:
            self._answers = b""
            self.write(self.wire.send_close(_NORMAL))
        else:
            self.discard()  # half a handshake is of no use


def _news(event: Event) -> tuple[News, ...]:
    match event:
        case TextReceived(text):
            return (TextCame(text),)
        case HandshakeAccepted(headers):
            return (ResponseStarted(101, headers),)
        case HandshakeRejected(status, headers, body):
            return ResponseStarted(status, headers), BodyReceived(body), MessageEnded()
        case _:
            assert isinstance(event, Closed)
            return (
                MessageEnded() if event.code == _NORMAL else TransferFailed(_closed_with(event)),
            )


def _closed_with(event: Closed) -> ConnectionLost:
    if event.code is None:
        return ConnectionLost("the WebSocket ended without a Close")
    reason = f", {event.reason}" if event.reason else ""
    return ConnectionLost(f"the server closed the WebSocket with {event.code}{reason}")
