"""One connection of a server: HTTP requests one after the other, or a WebSocket.

It turns bytes into requests and texts, and answers, events and texts into bytes. What a client
sends after a request waits until that is answered. The body of a form with files comes in pieces;
any other body is held until it is complete.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.events import EVENTS, TEXT, SendFile
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from sansio_gradio.wire.form import is_form
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.http import BodyReceived, HTTPConnection, MessageEnded, RequestStarted, Role
from sansio_gradio.wire.outbox import Outbox
from sansio_gradio.wire.websocket import HandshakeRequested, TextReceived, WebSocketConnection

__all__ = ["Gone", "Incoming", "ServerConnection"]

# What uvicorn answers to bytes that are no HTTP. h11 sends nothing through a broken connection.
_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 30\r\n\r\nInvalid HTTP request received."
)
_TOO_LARGE: Final = (("content-type", TEXT), ("connection", "close"))


@attrs.define
class Gone:
    """Close the connection: the client is done, or has broken the rules."""


Incoming: TypeAlias = Request | BodyReceived | MessageEnded | TextReceived | Gone
"""``BodyReceived`` and ``MessageEnded`` are those of a request that is not whole."""


@attrs.define(eq=False)
class ServerConnection:
    """The connection that the caller knows by the number ``id``.

    ``is_busy``: a request is to be answered, or a stream or WebSocket is open. ``is_idle``: a
    request was answered, and nothing has come since. ``is_behind``: more waits for the client than
    it should. ``out``: the bytes to be sent. ``has_taken``: the client has taken some of them since
    it was last looked at; ``stalled``: how often it had not.
    """

    id: int
    limits: ServerLimits
    scheme: str = "http"
    is_busy: bool = False
    is_idle: bool = False
    is_closing: bool = False
    is_behind: bool = False
    has_taken: bool = False
    stalled: int = 0
    _http: HTTPConnection = attrs.field(init=False)
    _socket: WebSocketConnection | None = attrs.field(default=None, init=False)
    _source: SendFile | None = attrs.field(default=None, init=False)
    _read_up_to: int = attrs.field(default=0, init=False)
    _in_pieces: bool = attrs.field(default=False, init=False)  # the body of the request
    # The bytes of a request that has not begun, which a WebSocket reads anew.
    _next: list[bytes] = attrs.field(factory=list[bytes], init=False)
    _head: RequestStarted | None = attrs.field(default=None, init=False)
    _body: list[bytes] = attrs.field(factory=list[bytes], init=False)
    _body_size: int = attrs.field(default=0, init=False)
    out: Outbox = attrs.field(factory=Outbox, init=False)
    _largest: int = attrs.field(default=0, init=False)  # of the pieces since ``out`` was empty

    def __attrs_post_init__(self) -> None:
        self._http = HTTPConnection(Role.SERVER, max_header_size=self.limits.header)

    @property
    def awaits_close(self) -> bool:
        """Whether it is a WebSocket on which no Close has come."""
        return self._socket is not None and not self._socket.is_closed

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow the one that was answered."""
        return self._http.is_reusable

    @property
    def owes_more(self) -> bool:
        """Whether less than the length of the answer was sent, and there is no more."""
        return self._http.is_sending and self._source is None

    @property
    def is_receiving(self) -> bool:
        """Whether the body of a request is still coming."""
        return self._head is not None

    @property
    def is_overrun(self) -> bool:
        """Whether too much waits, besides the largest piece."""
        return self.out.size - self._largest > self.limits.unsent

    # Receiving

    def receive(self, data: bytes) -> list[Incoming]:
        """Take bytes. Returns the requests and texts that they complete.

        Call it without bytes when a request is answered: the next one may be here already.
        """
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
                kind = header(event.headers, "content-type") or ""
                self._in_pieces = is_form(kind)
                if self._in_pieces:
                    came.append(self._request(event, b"", is_whole=False))
            elif isinstance(event, BodyReceived) and self._in_pieces:
                came.append(event)
            elif isinstance(event, BodyReceived):
                self._body_size += len(event.data)
                if self._body_size > self.limits.request:
                    self.respond(413, _TOO_LARGE, b"Request Entity Too Large")
                    return [Gone()]
                self._body.append(event.data)
            else:
                assert isinstance(event, MessageEnded)
                assert self._head is not None
                if self._in_pieces:
                    came.append(event)
                else:
                    came.append(self._request(self._head, b"".join(self._body)))
                self._head, self._body, self._next = None, [], [self._http.unread]
        self.out.put(self._http.data_to_send())
        if self._http.error is not None:
            if not came and not self.is_busy:
                self.out.put(_BAD_REQUEST)
            return [Gone()]
        return came

    def _request(self, head: RequestStarted, body: bytes, *, is_whole: bool = True) -> Request:
        return Request(
            self.id,
            head.method,
            head.target,
            head.headers,
            body,
            is_whole=is_whole,
            scheme=self.scheme,
        )

    def _receive_frames(self, socket: WebSocketConnection, data: bytes) -> list[Incoming]:
        try:
            events = socket.receive_data(data)
        except RemoteProtocolError:
            events = []
        came: list[Incoming] = []
        for event in events:
            if isinstance(event, HandshakeRequested):
                asked = Request(
                    self.id,
                    "GET",
                    event.target,
                    event.headers,
                    b"",
                    is_websocket=True,
                    scheme=self.scheme,
                )
                came.append(asked)
            elif isinstance(event, TextReceived):
                came.append(event)
        self.out.put(socket.data_to_send())
        if socket.is_closed or socket.error is not None:
            came.append(Gone())
        return came

    # Sending

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer a request, or refuse a WebSocket."""
        if self._socket is None:
            self._put(self._http.send_response(status, headers, body))
        else:
            self._put(self._socket.reject(status, headers, body))

    def begin_file(self, answer: SendFile, headers: Headers) -> None:
        """Answer a request with a file. Its bytes are read while there is room: see ``fill``."""
        self._put(self._http.send_response(answer.status, headers, length=answer.length))
        self._source = answer
        self._read_up_to = answer.start if self._http.is_sending else answer.stop  # HEAD: no body

    def fill(self, size: int) -> bool:
        """Read on in the file that is sent, until so many bytes wait. Returns whether it has just
        come to its end."""
        source = self._source
        if source is None:
            return False
        while self._read_up_to < source.stop and self.out.size < size:
            stop = min(self._read_up_to + size, source.stop)
            self._put(self._http.send_body(source.content.read(self._read_up_to, stop)))
            self._read_up_to = stop
        if self._read_up_to < source.stop:
            return False
        self._source = None
        if source.stop - source.start == source.length:
            self._put(self._http.end_body())
        return True

    def open(self, headers: Headers, content_type: str = EVENTS) -> None:
        """Begin a stream of that type, or accept a WebSocket."""
        if self._socket is None:
            headers = (*headers, ("content-type", content_type))
            self.out.put(self._http.send_response(200, headers))
        else:
            self.out.put(self._socket.accept(headers))

    def send(self, data: bytes, name: bytes = b"") -> None:
        """Send a text, or an event of a stream, which may have a *name*. *data* is one line."""
        if self._socket is None:
            named = b"event: %b\n" % name if name else b""
            self._put(self._http.send_body(b"%bdata: %b\n\n" % (named, data)))
        else:
            self._put(self._socket.send_text(data.decode()))

    def send_bytes(self, data: bytes) -> None:
        """Send a piece of a stream that is not one of events."""
        self._put(self._http.send_body(data))

    def end(self) -> None:
        """End an event stream, or send a Close on a WebSocket."""
        self.out.put(self._http.end_body() if self._socket is None else self._socket.send_close())

    def _put(self, data: bytes) -> None:
        self._largest = max(self._largest if self.out else 0, len(data))
        self.out.put(data)
