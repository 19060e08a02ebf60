"""WebSocket connections (RFC 6455) in both roles: text messages, and how they end.

Rule 1: handshake and frames are wsproto's. What is peculiar about it stays in here: it needs None
for the end, it reports a peer's mistakes as that peer's Close, it keeps no bytes that came with a
request, and it draws nonce and masks itself (so compare frames in tests, never bytes).

Rule 2: an error never swallows what came before it: ``error`` is set, and the next call raises it.

Rule 3: what has to be answered is answered here (ping, Close, a peer's mistake, a request that is
no handshake). Those bytes wait in ``data_to_send``: send them after each receiving, an error
included, and before closing.

No extension is offered or accepted: wsproto inflates without bound.

    connection = WebSocketConnection(Role.CLIENT)
    sock.sendall(connection.send_handshake("127.0.0.1:7860", "/queue/join", ()))
    while not connection.is_closed:
        data = sock.recv(65536)
        for event in connection.receive_data(data) if data else connection.receive_eof():
            ...  # HandshakeAccepted, TextReceived, ..., Closed
        sock.sendall(connection.data_to_send())

A server gets ``HandshakeRequested`` and says ``accept`` or ``reject``. One that serves HTTP on the
same connection and sees ``upgrade: websocket`` in the head of the first request feeds the very
bytes that it has received so far to a new ``WebSocketConnection(Role.SERVER)``, and all further
ones.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import attrs
import h11
import wsproto
from wsproto import events as ws
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.utilities import RemoteProtocolError as WSRemoteError

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.http import (
    BodyReceived,
    Headers,
    HTTPConnection,
    MessageEnded,
    RequestStarted,
    Role,
    decode_headers,
    encode_headers,
)

MAX_HANDSHAKE_HEAD: Final = 16 * 1024
"""Bytes of the head of a handshake's answer: h11's default, which wsproto does not let us set."""

MAX_REJECTION_BODY: Final = 64 * 1024
"""Bytes of a rejection's body that are kept; it is for people to read."""

_DEFAULT_MESSAGE: Final = Limits().message
_HANDSHAKE: Final = (
    "host",
    "upgrade",
    "connection",
    *(f"sec-websocket-{name}" for name in ("key", "version", "accept", "extensions", "protocol")),
)


@attrs.define
class HandshakeRequested:
    """A client asks for a WebSocket: answer by ``accept`` or ``reject``."""

    target: str
    headers: Headers


@attrs.define
class HandshakeAccepted:
    """The server agreed: texts may be sent."""

    headers: Headers


@attrs.define
class HandshakeRejected:
    """The server gave an ordinary HTTP answer instead; this is the last event."""

    status: int
    headers: Headers
    body: bytes


@attrs.define
class TextReceived:
    """A whole message."""

    text: str


@attrs.define
class Closed:
    """The peer's Close, or the end of the connection without one; this is the last event.

    ``code`` is that of the frame (1005 if it has none), and None where no frame came.
    """

    code: int | None
    reason: str


Event: TypeAlias = (
    HandshakeRequested | HandshakeAccepted | HandshakeRejected | TextReceived | Closed
)


class _State(enum.Enum):
    FRESH = enum.auto()
    ASKED = enum.auto()  # the handshake awaits its answer
    OPEN = enum.auto()
    CLOSING = enum.auto()  # our Close is out
    CLOSED = enum.auto()


class WebSocketConnection:
    """One WebSocket from handshake to Close.

    ``max_message_size`` bounds a message in bytes of UTF-8, all its fragments together.
    """

    def __init__(self, role: Role, *, max_message_size: int = _DEFAULT_MESSAGE) -> None:
        self.role = role
        self.error: RemoteProtocolError | None = None  # what the peer did; see rule 2
        self._max_message_size = max_message_size
        self._state = _State.FRESH
        self._ws = wsproto.WSConnection(
            ConnectionType.CLIENT if role is Role.CLIENT else ConnectionType.SERVER
        )
        # wsproto's server would accept a POST, and lose bytes that came with the request.
        self._http = HTTPConnection(Role.SERVER)
        self._request: RequestStarted | None = None
        self._head_room = MAX_HANDSHAKE_HEAD + 1
        self._rejection: ws.RejectConnection | None = None
        self._buffer = bytearray()  # of an unfinished message, or a rejection's body
        self._replies = bytearray()

    @property
    def is_open(self) -> bool:
        """Whether texts can be sent."""
        return self._state is _State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether nothing more comes: after the last event, or an error."""
        return self._state is _State.CLOSED

    # Sending

    def send_handshake(self, host: str, target: str, headers: Headers) -> bytes:
        """The bytes of the request for a WebSocket; *host* is the value of its ``Host``.

        Raises:
            LocalProtocolError: it was sent before, or this makes no valid request.
        """
        self._demand(Role.CLIENT, _State.FRESH)
        data = self._send(
            ws.Request(
                host=host, target=target, extra_headers=encode_headers(headers, ours=_HANDSHAKE)
            )
        )
        self._state = _State.ASKED
        return data

    def accept(self, headers: Headers = ()) -> bytes:
        """The bytes that agree to a handshake.

        Raises:
            LocalProtocolError: no handshake waits, or these are no valid headers.
        """
        self._demand(Role.SERVER, _State.ASKED)
        data = self._send(
            ws.AcceptConnection(extra_headers=encode_headers(headers, ours=_HANDSHAKE))
        )
        self._state = _State.OPEN
        return data

    def reject(self, status: int, headers: Headers = (), body: bytes = b"") -> bytes:
        """The bytes of an HTTP answer instead of a WebSocket; the connection is to be closed.

        Raises:
            LocalProtocolError: no handshake waits, or this makes no valid answer.
        """
        self._demand(Role.SERVER, _State.ASKED)
        data = self._http.send_response(status, (*headers, ("connection", "close")), body)
        self._state = _State.CLOSED
        return data

    def send_text(self, text: str) -> bytes:
        """The bytes of one message, in one frame.

        Raises:
            LocalProtocolError: the WebSocket is not open, or *text* has a lone surrogate.
        """
        self._demand(self.role, _State.OPEN)
        return self._send(ws.TextMessage(data=text))

    def send_close(self, code: int = 1000, reason: str = "") -> bytes:
        """The bytes of our Close, once; none where closing is under way. ``Closed`` follows.

        *reason* is cut to the 123 bytes that fit.

        Raises:
            LocalProtocolError: the WebSocket was never open, or *code* is not for sending.
        """
        if self._state in (_State.CLOSING, _State.CLOSED):
            return b""
        self._demand(self.role, _State.OPEN)
        # RFC 6455 7.4: what is reserved, or stands for the lack of a frame, is not for frames.
        if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
            raise LocalProtocolError(f"{code} is no code for a Close.")
        data = self._send(ws.CloseConnection(code=code, reason=reason))
        self._state = _State.CLOSING
        return data

    def data_to_send(self) -> bytes:
        """What the connection itself has to say, once; see rule 3."""
        data = bytes(self._replies)
        self._replies.clear()
        return data

    # Receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that *data* completes; behind the last event, bytes mean nothing.

        Raises:
            RemoteProtocolError: the peer broke the protocol, now or before.
        """
        self._raise_error()
        events: list[Event] = []
        if self.role is Role.SERVER and self._state in (_State.FRESH, _State.ASKED):
            self._read_request(data, events)
        elif not data:
            pass  # to wsproto, that would be the end
        elif self._state is _State.FRESH:
            self._fail("The server spoke without having been asked.")
        else:
            if self._state is _State.ASKED and self._rejection is None:
                # h11 bounds a head that is incomplete only, so it never gets more than one may
                # be: then what is too long is too long in whatever pieces it arrives.
                head, data = data[: self._head_room], data[self._head_room :]
                self._head_room -= len(head)
                self._feed(head, events)
            if data and not self.is_closed:
                self._feed(data, events)
        if not events:
            self._raise_error()
        return events

    def receive_eof(self) -> list[Event]:
        """The events that the peer's end completes: ``Closed`` where no Close came.

        Raises:
            RemoteProtocolError: a handshake was cut, or the peer broke the protocol before.
        """
        self._raise_error()
        events: list[Event] = []
        if self._state is _State.FRESH:
            self._read_request(None, events)
        elif self._state is _State.ASKED and self.role is Role.CLIENT:
            self._feed(None, events)
        elif self._state is not _State.CLOSED:
            events.append(Closed(None, ""))
        self._state = _State.CLOSED
        self._raise_error()
        return events

    def _read_request(self, data: bytes | None, events: list[Event]) -> None:
        if self._state is _State.ASKED:
            # wsproto would lose it.
            if data:
                self._fail("The client speaks before its handshake is answered.")
            return
        try:
            received = self._http.receive_eof() if data is None else self._http.receive_data(data)
        except RemoteProtocolError as exc:
            self._fail(exc.message, exc)
            return
        for event in received:
            if isinstance(event, RequestStarted):
                self._request = event
            elif isinstance(event, BodyReceived) or self._http.unread:
                self._refuse("More than a head came to open a WebSocket.")
                return
        if self._request is None or MessageEnded() not in received:
            return
        target, headers = self._request.target, self._request.headers
        if self._request.method != "GET":
            self._refuse("Only GET opens a WebSocket.")
            return
        try:
            self._ws.initiate_upgrade_connection(encode_headers(headers), target)
        except (WSRemoteError, h11.LocalProtocolError, UnicodeError) as exc:
            self._refuse(str(exc), exc)
            return
        self._state = _State.ASKED
        events.append(HandshakeRequested(target, headers))

    def _refuse(self, message: str, cause: Exception | None = None) -> None:
        # RFC 6455 4.4: the versions that would have done.
        headers = (("connection", "close"), ("sec-websocket-version", "13"))
        self._replies += self._http.send_response(400, headers, message.encode())
        self._fail(message, cause)

    def _feed(self, data: bytes | None, events: list[Event]) -> None:
        """Have wsproto read *data* (None: the end of a handshake's answer)."""
        try:
            self._ws.receive_data(data)
        except (WSRemoteError, UnicodeError) as exc:
            # wsproto says "Bad HTTP message"; what was bad about it is in h11's error before.
            self._fail(f"The handshake failed: {exc.__context__ or exc}", exc)
            return
        for event in self._ws.events():
            self._take(event, events)
            if self._state is _State.CLOSED:
                return

    def _take(self, event: ws.Event, events: list[Event]) -> None:
        match event:
            case ws.TextMessage():
                self._buffer += event.data.encode()
                if len(self._buffer) > self._max_message_size:
                    self._fail("The message is too large.", code=1009)
                elif event.message_finished:
                    events.append(TextReceived(self._buffer.decode()))
                    self._buffer.clear()
            case ws.BytesMessage():
                self._fail("A binary message came.", code=1003)
            case ws.Ping():
                # Behind our Close nothing may be sent.
                if self._state is _State.OPEN:
                    self._replies += self._ws.send(event.response())
            case ws.CloseConnection():
                if self._ws.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                    # No frame said so: wsproto could not read one.
                    self._fail(event.reason or "", code=event.code)
                    return
                if self._state is _State.OPEN:
                    self._replies += self._ws.send(event.response())
                self._state = _State.CLOSED
                events.append(Closed(int(event.code), event.reason or ""))
            case ws.AcceptConnection():
                self._state = _State.OPEN
                events.append(HandshakeAccepted(decode_headers(event.extra_headers)))
            case ws.RejectConnection():
                self._rejection = event
                if not event.has_body:
                    self._end_rejection(event, events)
            case ws.RejectData():
                self._buffer += event.data[: MAX_REJECTION_BODY - len(self._buffer)]
                if event.body_finished and self._rejection is not None:
                    self._end_rejection(self._rejection, events)
            case _:  # a pong; the request that we have parsed ourselves
                pass

    def _end_rejection(self, rejection: ws.RejectConnection, events: list[Event]) -> None:
        headers = decode_headers(rejection.headers)
        events.append(HandshakeRejected(rejection.status_code, headers, bytes(self._buffer)))
        self._state = _State.CLOSED

    def _fail(self, message: str, cause: Exception | None = None, *, code: int = 1002) -> None:
        if self._state is _State.OPEN:
            self._replies += self._ws.send(ws.CloseConnection(code=code))
        self._state = _State.CLOSED
        self.error = RemoteProtocolError(message[:200])
        self.error.__cause__ = cause

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)  # or each raising would lengthen it

    def _demand(self, role: Role, state: _State) -> None:
        if self.role is not role or self._state is not state:
            raise LocalProtocolError(f"Not while the WebSocket is {self._state.name.lower()}.")

    def _send(self, event: ws.Event) -> bytes:
        try:
            return self._ws.send(event)
        except (h11.LocalProtocolError, UnicodeError) as exc:
            raise LocalProtocolError(str(exc)[:200]) from exc
