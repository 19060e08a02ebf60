"""A connection that carries one WebSocket.

Apart from ``connection.py`` because wsproto takes longer to import than all the rest, and only apps
of Gradio 3 need it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from sansio_gradio.client.connection import Connection, Exchange
from sansio_gradio.errors import ConnectionLost, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.http import Role
from sansio_gradio.wire.websocket import (
    Closed,
    HandshakeAccepted,
    HandshakeRejected,
    TextReceived,
    WebSocketConnection,
)

_NORMAL = 1000


@attrs.define(eq=False)
class SocketConnection(Connection):
    """Carries the WebSocket that it was opened for."""

    wire: WebSocketConnection = attrs.field(kw_only=True)
    _answers: bytes = attrs.field(default=b"", init=False)  # of its own, to what the peer said

    @classmethod
    def make(cls, id: int, exchange: Exchange, limits: Limits) -> SocketConnection:
        wire = WebSocketConnection(Role.CLIENT, max_message_size=limits.message)
        return cls(id, exchange.url.origin, exchange, exchange, wire=wire)

    @property
    def is_reusable(self) -> bool:
        return False

    @property
    def error(self) -> RemoteProtocolError | None:
        return self.wire.error

    def begin(self, exchange: Exchange) -> None:
        url = exchange.url
        self.write(self.wire.send_handshake(url.host_header, url.target, exchange.command.headers))

    def receive(self, data: bytes) -> Iterable[Any]:
        try:
            return self.wire.receive_data(data) if data else self.wire.receive_eof()
        finally:
            # Who pings and does not read is answered the latest only (RFC 6455 5.5.3). A Close is
            # the last answer that there is.
            self._answers = self.wire.data_to_send() or self._answers

    @property
    def has_data(self) -> bool:
        return bool(self._out or self._answers)

    def take(self, max_bytes: int) -> bytes:
        if not self._out:
            self.write(self._answers)
            self._answers = b""
        return super().take(max_bytes)

    def tell(self, event: Any, now: float) -> bool:
        assert self.exchange is not None
        owner, id = self.exchange.owner, self.exchange.command.id
        match event:
            case TextReceived(text):
                owner.text(id, text, now)
                return False
            case HandshakeAccepted(headers):
                owner.response(id, 101, headers, now)
                return False
            case HandshakeRejected(status, headers, body):
                owner.response(id, status, headers, now)
                owner.data(id, body, now)
                owner.ended(id, now)
            case _:
                assert isinstance(event, Closed)
                if event.code == _NORMAL:
                    owner.ended(id, now)
                else:
                    owner.failed(id, _closed_with(event), now)
        return True

    def send_text(self, text: str) -> None:
        # What asked for it may have come together with the end.
        if self.wire.is_open:
            self.write(self.wire.send_text(text))

    def end(self) -> None:
        if self.wire.is_open:
            self._answers = b""
            self.write(self.wire.send_close(_NORMAL))


def _closed_with(event: Closed) -> ConnectionLost:
    if event.code is None:
        return ConnectionLost("the WebSocket ended without a Close")
    reason = f", {event.reason}" if event.reason else ""
    return ConnectionLost(f"the server closed the WebSocket with {event.code}{reason}")
