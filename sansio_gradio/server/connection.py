"""One connection of a server: HTTP requests one after the other, or a WebSocket.

Bytes in, requests and texts out; answers, events and texts in, bytes out. What a client sends after
a request waits until that is answered.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.run import Headers
from sansio_gradio.wire.http import (
    BodyReceived,
    HTTPConnection,
    MessageEnded,
    RequestStarted,
    Role,
    header,
)
from sansio_gradio.wire.websocket import (
    HandshakeRequested,
    TextReceived,
    WebSocketConnection,
)

# What uvicorn says to what is no HTTP; h11 would not let it be said through a broken connection.
_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 30\r\n\r\nInvalid HTTP request received."
)
_TOO_LARGE: Final = (
    b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 24\r\n\r\nRequest Entity Too Large"
)


@attrs.define
class RequestReceived:
    """A request with its whole body: answer it."""

    head: RequestStarted
    body: bytes


@attrs.define
class Gone:
    """Nothing more comes, and nothing more is to be said: close the connection."""


Incoming: TypeAlias = RequestReceived | HandshakeRequested | TextReceived | Gone


@attrs.define(eq=False)
class Connection:
    """The connection that the caller calls ``id``. ``exchange`` is what it is used for now.

    ``is_idle``: it was used, and nothing has come since.
    """

    id: int
    limits: ServerLimits
    exchange: int | None = None
    is_idle: bool = False
    is_closing: bool = False
    _http: HTTPConnection = attrs.field(init=False)
    _socket: WebSocketConnection | None = attrs.field(default=None, init=False)
    # The bytes of a request that has not begun, which a WebSocket reads anew.
    _next: list[bytes] = attrs.field(factory=list[bytes], init=False)
    _head: RequestStarted | None = attrs.field(default=None, init=False)
    _body: list[bytes] = attrs.field(factory=list[bytes], init=False)
    _body_size: int = attrs.field(default=0, init=False)
    _out: deque[bytes] = attrs.field(factory=deque[bytes], init=False)
    _offset: int = attrs.field(default=0, init=False)  # what of the first of them is taken
    _unsent: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._http = HTTPConnection(Role.SERVER, max_header_size=self.limits.header)

    @property
    def is_socket(self) -> bool:
        return self._socket is not None

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow what was answered."""
        return self._http.is_reusable

    @property
    def has_data(self) -> bool:
        return bool(self._out)

    @property
    def is_overrun(self) -> bool:
        """Whether the client asks for more than it reads."""
        return self._unsent > self.limits.unsent

    # Receiving

    def receive(self, data: bytes) -> list[Incoming]:
        """What *data* completes; no bytes: what was held back while a request was answered."""
        if self._socket is not None:
            return self._receive_frames(self._socket, data)
        if self._head is None:
            self._next.append(data)
        try:
            events = self._http.receive_data(data)
        except RemoteProtocolError:
            events = []
        came: list[Incoming] = []
        for event in events:
            if isinstance(event, RequestStarted):
                if (header(event.headers, "upgrade") or "").lower() == "websocket":
                    self._socket = WebSocketConnection(
                        Role.SERVER, max_message_size=self.limits.request
                    )
                    return self._receive_frames(self._socket, b"".join(self._next))
                self._head, self._next = event, []
                self._body, self._body_size = [], 0
            elif isinstance(event, BodyReceived):
                self._body_size += len(event.data)
                if self._body_size > self.limits.request:
                    self._put(_TOO_LARGE)
                    return [Gone()]
                self._body.append(event.data)
            else:
                assert isinstance(event, MessageEnded)
                assert self._head is not None
                came.append(RequestReceived(self._head, b"".join(self._body)))
                self._head, self._body, self._next = None, [], [self._http.unread]
        self._put(self._http.data_to_send())
        if self._http.error is not None:
            if not came and self.exchange is None:
                self._put(_BAD_REQUEST)
            return [Gone()]
        return came

    def _receive_frames(self, socket: WebSocketConnection, data: bytes) -> list[Incoming]:
        try:
            events = socket.receive_data(data)
        except RemoteProtocolError:
            events = []
        came: list[Incoming] = [
            event for event in events if isinstance(event, HandshakeRequested | TextReceived)
        ]
        self._put(socket.data_to_send())
        if socket.is_closed or socket.error is not None:
            came.append(Gone())
        return came

    # Sending

    def take(self, max_bytes: int) -> bytes:
        """The next bytes to be sent, up to so many."""
        taken: list[bytes] = []
        room = max_bytes
        while self._out and room:
            first = self._out[0]
            part = first[self._offset : self._offset + room]
            taken.append(part)
            room -= len(part)
            self._offset += len(part)
            if self._offset == len(first):
                self._out.popleft()
                self._offset = 0
        self._unsent -= max_bytes - room
        return b"".join(taken)

    def drop_unsent(self) -> None:
        self._out.clear()
        self._offset = 0

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._put(self._http.send_response(status, headers, body))

    def open_stream(self, headers: Headers) -> None:
        self._put(self._http.send_response(200, headers))

    def send_event(self, data: bytes) -> None:
        """One event of a stream; *data* is a single line."""
        self._put(self._http.send_body(b"data: %b\n\n" % data))

    def end_stream(self) -> None:
        self._put(self._http.end_body())

    def accept(self, headers: Headers) -> None:
        assert self._socket is not None
        self._put(self._socket.accept(headers))

    def reject(self, status: int, headers: Headers) -> None:
        assert self._socket is not None
        self._put(self._socket.reject(status, headers))

    def send_text(self, text: str) -> None:
        assert self._socket is not None
        self._put(self._socket.send_text(text))

    def send_close(self) -> None:
        assert self._socket is not None
        self._put(self._socket.send_close())

    def _put(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self._unsent += len(data)
