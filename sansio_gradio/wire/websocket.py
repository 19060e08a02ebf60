"""WebSocket connections (RFC 6455) in both roles: text messages, and how they end.

Rule 1: the handshake is a request and an answer of ``wire.http``, the frames are wsproto's. Two
oddities of wsproto are hidden here: it reports a peer's mistake as a Close of that peer, and draws
nonce and masks itself (so compare frames in tests, never bytes).

Rule 2: an error never swallows the events before it: ``error`` is set, and the next call raises it.

Rule 3: everything that needs an answer is answered here: a ping, a Close, a peer's mistake, a
request that is not a handshake. Send the bytes of ``data_to_send`` after each receive, also after
an error, and before closing.

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

from typing import Final, TypeAlias

import attrs
from wsproto import events as ws
from wsproto.connection import Connection, ConnectionType
from wsproto.connection import ConnectionState as State
from wsproto.utilities import generate_accept_token, generate_nonce

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire import http
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.http import HTTPConnection, Role, WireConnection

MAX_REJECTION_BODY: Final = 64 * 1024
"""Bytes of a rejection's body that are kept, for people to read."""

_DEFAULT_MESSAGE: Final = Limits().message
_UPGRADE: Final = (("upgrade", "websocket"), ("connection", "Upgrade"))
_VERSION: Final = ("sec-websocket-version", "13")
_NOT_TOLD: Final = (State.OPEN, State.LOCAL_CLOSING)
_CLOSE: Final = ("connection", "close")


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

    ``code`` is the code of the frame (1005 if it has none); None if no frame came.
    """

    code: int | None
    reason: str


Event: TypeAlias = (
    HandshakeRequested | HandshakeAccepted | HandshakeRejected | TextReceived | Closed
)


class WebSocketConnection(WireConnection):
    """One WebSocket from handshake to Close.

    ``max_message_size`` bounds a message in bytes of UTF-8, all its fragments together.
    """

    def __init__(self, role: Role, *, max_message_size: int = _DEFAULT_MESSAGE) -> None:
        super().__init__(role)
        self._max_message_size = max_message_size
        self._state = State.CONNECTING
        self._http = HTTPConnection(role)
        self._head: http.RequestStarted | http.ResponseStarted | None = None
        self._token = ""  # that agrees to the handshake; empty before the request
        self._ws = Connection(ConnectionType[role.name])  # it knows no handshake: it is open
        self._buffer = bytearray()  # of an unfinished message, or of what came with a head
        self._replies = bytearray()

    @property
    def is_open(self) -> bool:
        """Whether texts can be sent."""
        return self._state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the last event, or an error, has come."""
        return self._state is State.CLOSED

    # Sending

    def send_handshake(self, host: str, target: str, headers: Headers) -> bytes:
        """The bytes of the request for a WebSocket; *host* is the value of its ``Host``.

        Raises:
            LocalProtocolError: it was sent before, or this makes no valid request.
        """
        self._demand(Role.CLIENT, State.CONNECTING, asked=False)
        key = generate_nonce().decode()
        ours = (("host", host), *_UPGRADE, ("sec-websocket-key", key), _VERSION)
        data = self._http.send_request("GET", target, (*ours, *headers))
        self._token = _token(key)
        return data

    def accept(self, headers: Headers = ()) -> bytes:
        """The bytes that agree to a handshake.

        Raises:
            LocalProtocolError: no handshake waits, or these are no valid headers.
        """
        self._demand(Role.SERVER, State.CONNECTING)
        ours = (*_UPGRADE, ("sec-websocket-accept", self._token))
        data = self._http.send_response(101, (*ours, *headers))
        self._open()
        return data

    def reject(self, status: int, headers: Headers = (), body: bytes = b"") -> bytes:
        """The bytes of an HTTP answer instead of a WebSocket; the connection is to be closed.

        Raises:
            LocalProtocolError: no handshake waits, or this makes no valid answer.
        """
        self._demand(Role.SERVER, State.CONNECTING)
        data = self._http.send_response(status, (*headers, _CLOSE), body)
        self._state = State.CLOSED
        return data

    def send_text(self, text: str) -> bytes:
        """The bytes of one message, in one frame.

        Raises:
            LocalProtocolError: the WebSocket is not open, or *text* has a lone surrogate.
        """
        self._demand(self.role, State.OPEN)
        try:
            return self._ws.send(ws.TextMessage(data=text))
        except UnicodeEncodeError as exc:
            raise LocalProtocolError(str(exc)[:200]) from exc

    def send_close(self, code: int = 1000) -> bytes:
        """The bytes of our Close, once; empty if closing is under way. ``Closed`` follows.

        Raises:
            LocalProtocolError: the WebSocket was never open, or *code* is not for sending.
        """
        if self._state in (State.LOCAL_CLOSING, State.CLOSED):
            return b""
        self._demand(self.role, State.OPEN)
        # RFC 6455 7.4: what is reserved, or stands for the lack of a frame, is not for frames.
        if not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
            raise LocalProtocolError(f"{code} is no code for a Close.")
        self._state = State.LOCAL_CLOSING
        return self._ws.send(ws.CloseConnection(code=code))

    def data_to_send(self) -> bytes:
        """The bytes that rule 3 speaks of, once."""
        data = bytes(self._replies)
        self._replies.clear()
        return data

    # Receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that *data* completes. Bytes after the last event are ignored.

        Raises:
            RemoteProtocolError: the peer broke the protocol, now or before.
        """
        events: list[Event] = []
        if self._state is State.CONNECTING:
            self._read_handshake(data, events)
        elif self._state is not State.CLOSED:
            self._read_frames(data, events)
        return self._told(events)

    def receive_eof(self) -> list[Event]:
        """The events that the peer's end completes: ``Closed`` if the WebSocket was open.

        Raises:
            RemoteProtocolError: a handshake was cut, or the peer broke the protocol before.
        """
        events: list[Event] = []
        if self._state is State.CONNECTING:
            self._read_handshake(None, events)
        elif self._state is not State.CLOSED:
            events.append(Closed(None, ""))
        self._state = State.CLOSED
        return self._told(events)

    def _read_handshake(self, data: bytes | None, events: list[Event]) -> None:
        """Take the request or the answer; *data* None is the end."""
        try:
            received = self._http.receive_eof() if data is None else self._http.receive_data(data)
        except RemoteProtocolError:
            received = []
        for event in received:
            match event:
                case http.RequestStarted() | http.ResponseStarted():
                    self._head = event
                case http.BodyReceived(body):
                    self._buffer += body[: MAX_REJECTION_BODY - len(self._buffer)]
                case _:
                    self._read_head(events)
        if self._state is State.CONNECTING and self._http.error is not None:
            self._state, self.error = State.CLOSED, self._http.error

    def _read_head(self, events: list[Event]) -> None:
        head = self._head
        assert head is not None
        headers = head.headers
        options = ",".join(value for name, value in headers if name == "connection")
        # Required in both halves of a handshake (RFC 6455 4.1 and 4.2.1).
        valid = (header(headers, "upgrade") or "").lower() == "websocket" and any(
            option.strip().lower() == "upgrade" for option in options.split(",")
        )
        if isinstance(head, http.RequestStarted):
            if self._http.error is not None:
                return  # there is no answering any more, so nothing is asked
            key = header(headers, "sec-websocket-key") or ""
            valid = valid and head.method == "GET" and not self._buffer
            if valid and key and _VERSION in headers:
                self._token = _token(key)
                events.append(HandshakeRequested(head.target, headers))
                return
            refusal = "This is no request for a WebSocket of version 13."
            # RFC 6455 4.4: the versions that would have done.
            self._replies += self._http.send_response(400, (_CLOSE, _VERSION), refusal.encode())
            self._fail(refusal)
        elif head.status != 101:
            self._state = State.CLOSED
            events.append(HandshakeRejected(head.status, headers, bytes(self._buffer)))
        elif (
            valid
            and header(headers, "sec-websocket-accept") == self._token
            and not header(headers, "sec-websocket-extensions")
            and not header(headers, "sec-websocket-protocol")
        ):
            self._open()
            events.append(HandshakeAccepted(headers))
            self._read_frames(b"", events)
        else:
            self._fail("The server agrees to something that it was not asked for.")

    def _open(self) -> None:
        self._state = State.OPEN
        self._ws.receive_data(self._http.unread)

    def _read_frames(self, data: bytes, events: list[Event]) -> None:
        self._ws.receive_data(data)
        for event in self._ws.events():
            match event:
                case ws.TextMessage():
                    self._buffer += event.data.encode()
                    if len(self._buffer) > self._max_message_size:
                        self._fail("The message is too large.", 1009)
                    elif event.message_finished:
                        events.append(TextReceived(self._buffer.decode()))
                        self._buffer.clear()
                case ws.BytesMessage():
                    self._fail("A binary message came.", 1003)
                case ws.CloseConnection() if self._ws.state in _NOT_TOLD:
                    # No frame said so: wsproto could not read one.
                    self._fail(event.reason or "", event.code)
                case ws.CloseConnection():
                    self._answer(event)
                    self._state = State.CLOSED
                    events.append(Closed(int(event.code), event.reason or ""))
                case _:
                    self._answer(event)
            if self._state is State.CLOSED:
                return

    def _answer(self, event: ws.Event) -> None:
        # Behind our Close nothing may be sent.
        if self._state is State.OPEN and isinstance(event, ws.Ping | ws.CloseConnection):
            self._replies += self._ws.send(event.response())

    def _fail(self, message: str, code: int = 1002) -> None:
        if self._state is State.OPEN:
            self._replies += self._ws.send(ws.CloseConnection(code=code))
        self._state = State.CLOSED
        self._break(message)

    def _demand(self, role: Role, state: State, *, asked: bool = True) -> None:
        if self.role is not role or self._state is not state or asked is not bool(self._token):
            raise LocalProtocolError(f"Not while the WebSocket is {self._state.name.lower()}.")


def _token(key: str) -> str:
    return generate_accept_token(key.encode("latin-1")).decode()
