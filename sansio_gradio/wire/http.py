"""HTTP/1.1 exchanges, one connection at a time, in both roles.

Rule 1: the framing is h11's. Nothing here looks for a line or counts a chunk.
Rule 2: an error never swallows what came before it. ``receive_data`` returns the events that
precede it and leaves it in ``error``; the next call raises it, and so does every later one. So what
comes out does not depend on how the network cut it.
Rule 3: a message has ended well if ``MessageEnded`` says so. Any other end of it is an error.
Rule 4: a mistake of the caller (``LocalProtocolError``) leaves the connection as it was.

    connection = HTTPConnection(Role.CLIENT)
    sock.sendall(connection.send_request("GET", "/config", (("host", "127.0.0.1:7860"),)))
    while connection.error is None and not connection.is_idle:
        data = sock.recv(65536)
        for event in connection.receive_data(data) if data else connection.receive_eof():
            ...  # ResponseStarted, BodyReceived, ..., MessageEnded

A server reads ``RequestStarted``, ``BodyReceived``, ..., ``MessageEnded`` and answers by
``send_response``. What a client sent ahead comes out of ``receive_data(b"")`` after the answer.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

import attrs
import h11

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names (those received: in lower case) and values, in order, octets as latin-1."""

# Enough for early hints. Go's client allowed 5 before it counted bytes.
MAX_INFORMATIONAL: Final = 16

_DEFAULT_HEADER: Final = Limits().header
_AT_REST: Final = (h11.IDLE, h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.SWITCHED_PROTOCOL)
_WITHOUT_BODY: Final = (204, 304)
_FRAMING: Final = ("content-length", "transfer-encoding")


class Role(enum.Enum):
    """Which side of the connection we are."""

    CLIENT = enum.auto()
    SERVER = enum.auto()


@attrs.define  # not frozen: one is made per read
class RequestStarted:
    """The head of a request: the server role's first event of an exchange."""

    method: str
    target: str
    headers: Headers


@attrs.define
class ResponseStarted:
    """The head of the answer (2xx to 5xx): the client role's first event of an exchange."""

    status: int
    headers: Headers


@attrs.define
class BodyReceived:
    """Some bytes of the body, never empty; where they were cut means nothing."""

    data: bytes


@attrs.define
class MessageEnded:
    """The message is complete, and known to be."""


Event: TypeAlias = RequestStarted | ResponseStarted | BodyReceived | MessageEnded


def header(headers: Headers, name: str) -> str | None:
    """The first value of the header *name* (in lower case), or None."""
    return next((value for key, value in headers if key == name), None)


def encode_headers(headers: Headers, *, ours: Collection[str] = ()) -> list[tuple[bytes, bytes]]:
    """*headers* as h11 takes them, but for what only h11 checks.

    Raises:
        LocalProtocolError: they are not latin-1, or one of *ours* (for us to choose) is there.
    """
    for name, _ in headers:
        if name.lower() in ours:
            raise LocalProtocolError(f"{name} is set by the connection.")
    try:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    except UnicodeEncodeError as exc:
        raise LocalProtocolError(str(exc)) from exc


def decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What h11 gives, as text, names in lower case."""
    return tuple([(str(name, "latin-1").lower(), str(value, "latin-1")) for name, value in headers])


class HTTPConnection:
    """One HTTP/1.1 connection: bytes in, events out; requests or answers in, bytes out.

    ``max_header_size`` (bytes) bounds every part that must be complete to be understood: a head, a
    trailer section, a chunk's size line, and what a server holds of requests sent ahead.
    """

    def __init__(self, role: Role, *, max_header_size: int = _DEFAULT_HEADER) -> None:
        self.role = role
        self.error: RemoteProtocolError | None = None  # what the peer did; see rule 2
        self._max_held = max_header_size
        self._h11 = h11.Connection(
            h11.CLIENT if role is Role.CLIENT else h11.SERVER,
            max_incomplete_event_size=max_header_size,
        )
        self._held = 0  # bytes that h11 holds, at most
        self._in_message = False
        self._ended = False  # the peer's end of file
        self._answered_early = False
        self._informational = 0
        self._method = ""
        self._body_left: int | None = None
        self._continue = b""

    @property
    def is_idle(self) -> bool:
        """Whether no exchange is under way (of a broken connection it says nothing)."""
        return self._h11.our_state in _AT_REST and self._h11.their_state in _AT_REST

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange can start: ``send_request`` now, or a server's next request."""
        state = self._h11.our_state
        return (
            state in (h11.IDLE, h11.DONE)
            and self._h11.their_state is state
            # A server that answers before it has the whole request closes then.
            and not (self._answered_early or self.error)
        )

    @property
    def unread(self) -> bytes:
        """A copy of what the peer sent behind the message that is complete."""
        return self._h11.trailing_data[0]

    def send_request(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: bytes | None = None,
        *,
        content_length: int | None = None,
    ) -> bytes:
        """The bytes of a request; its ``Host`` is among *headers*, its ``Content-Length`` is not.

        With *content_length* and no *body*, so many bytes are to follow by ``send_body``. A 2xx
        answer to ``CONNECT`` is over with its head, and the connection is the tunnel's from then.

        Raises:
            LocalProtocolError: the last exchange is not over, or this makes no valid request.
        """
        if self.role is not Role.CLIENT or not self.is_reusable:
            raise LocalProtocolError("No request can be sent on this connection now.")
        length = content_length if body is None else len(body)
        # Upgrades are for wire.websocket.
        fields = encode_headers(headers, ours=(*_FRAMING, "upgrade")) + _declared(length)
        try:
            request = h11.Request(method=method, target=target, headers=fields)
        except (h11.LocalProtocolError, UnicodeEncodeError) as exc:
            raise LocalProtocolError(_text(exc)) from exc
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        self._informational = 0
        self._method = method
        return self._send(request) + self._start_body(length or 0, body or b"")

    def send_response(self, status: int, headers: Headers, body: bytes | None = None) -> bytes:
        """The bytes of an answer (status 200 and up), whole, or its head if *body* is None.

        A *body* gets its ``Content-Length`` from us. Without, it follows by ``send_body`` and
        ``end_body``: of the length that *headers* say, else chunked (to HTTP/1.0: up to the end of
        the connection). Where HTTP knows no body (HEAD, 204, 304) none is sent or awaited.

        Raises:
            LocalProtocolError: no request waits for an answer, or this makes no valid one.
        """
        self._demand(self._h11.our_state is h11.SEND_RESPONSE, "No request waits for an answer.")
        length = None if body is None or status in _WITHOUT_BODY else len(body)
        fields = encode_headers(headers, ours=() if body is None else _FRAMING) + _declared(length)
        try:
            response = h11.Response(status_code=status, headers=fields)
        except h11.LocalProtocolError as exc:
            raise LocalProtocolError(_text(exc)) from exc
        data = self.data_to_send() + self._send(response)
        if self._method == "HEAD" or status in _WITHOUT_BODY:
            length, body = 0, None
        elif body is None:
            said = header(decode_headers(response.headers), "content-length")
            length = None if said is None else int(said)
        return data + self._start_body(length, body or b"")

    def send_body(self, data: bytes) -> bytes:
        """The bytes that carry *data*; a body of known length ends with its last byte.

        Raises:
            LocalProtocolError: no body is due, or this is more than was declared.
        """
        self._demand(self._h11.our_state is h11.SEND_BODY, "No body is due now.")
        if self._body_left is None:
            return self._send(h11.Data(data=data))
        self._demand(len(data) <= self._body_left, "This is more body than was declared.")
        self._body_left -= len(data)
        sent = self._send(h11.Data(data=data)) if data else b""
        if not self._body_left:
            self._send(h11.EndOfMessage())
        return sent

    def end_body(self) -> bytes:
        """The bytes that end a body of unknown length; nothing where the body has ended itself.

        Raises:
            LocalProtocolError: less than the declared length was sent.
        """
        self._demand(not self._body_left, f"{self._body_left} declared bytes of body are missing.")
        if self._h11.our_state is not h11.SEND_BODY:
            return b""
        return self._send(h11.EndOfMessage())

    def data_to_send(self) -> bytes:
        """A server's ``100 Continue`` to a client that waits for it: send it after receiving."""
        data, self._continue = self._continue, b""
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that *data* completes; of no data, what was held back: that is not the end.

        Raises:
            RemoteProtocolError: the peer broke the protocol, now or before.
            LocalProtocolError: the end was already received.
        """
        if self.error is not None or not self._in_message:
            self._prepare(data)
        events: list[Event] = []
        fed = 0
        while True:
            # h11 bounds what is incomplete only, so it never gets more than it may hold: then
            # what is too long is too long in whatever pieces it arrives. ``_held`` is looked up
            # (a copy) only where the guess is too high, once in ``_max_held`` bytes at most.
            if self._held + len(data) - fed > self._max_held:
                self._held = len(self._h11.trailing_data[0])
            piece = data[fed : fed + self._max_held + 1 - self._held]
            if piece:
                self._h11.receive_data(piece)
                self._held += len(piece)
                fed += len(piece)
            elif fed < len(data):
                self._break("The client sends further requests and awaits no answer.")
                break
            self._drain(events)
            if fed == len(data) or self.error is not None:
                break
        if not events:
            self._raise_error()
        return events

    def receive_eof(self) -> list[Event]:
        """The events that the peer's end completes: the end of a body of unknown length, or none.

        Raises:
            RemoteProtocolError: a message was not complete, or the peer broke the protocol before.
        """
        self._raise_error()
        self._ended = True
        self._h11.receive_data(b"")
        events: list[Event] = []
        self._drain(events)
        self._raise_error()
        return events

    def _prepare(self, data: bytes) -> None:
        """Make ready for a message, or raise why none can come."""
        self._raise_error()
        if self._ended and data:
            raise LocalProtocolError("Bytes after the end of the connection.")
        if self.role is Role.SERVER:
            if self._h11.our_state is h11.DONE:
                self._h11.start_next_cycle()
        elif data and self._h11.our_state is h11.IDLE:
            self._break("The server spoke without having been asked.")
            self._raise_error()

    def _drain(self, events: list[Event]) -> None:
        """Move what h11 has for us to *events*."""
        next_event = self._h11.next_event
        parts: list[bytes] = []
        while True:
            try:
                event = next_event()
            except h11.RemoteProtocolError as exc:
                self._break(_text(exc), exc)
                event = h11.NEED_DATA
            # One read brings many chunks: they leave as one event. (isinstance is slow to say no:
            # h11's events have an abstract base class.)
            if event is not h11.NEED_DATA and isinstance(event, h11.Data):
                parts.append(event.data)
                continue
            if parts:
                events.append(BodyReceived(b"".join(parts)))
                parts = []
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.EndOfMessage):
                self._in_message = False
                events.append(MessageEnded())
            elif isinstance(event, (h11.Response, h11.Request, h11.InformationalResponse)):
                self._head(event, events)
                if self.error is not None:
                    return
            else:
                # h11.PAUSED or h11.ConnectionClosed
                if self.role is Role.CLIENT and self._h11.trailing_data[0]:
                    # A second answer to one request, or a body where there is none.
                    self._break("The answer is followed by bytes that belong to no answer.")
                break
        if self.role is Role.SERVER and self._h11.they_are_waiting_for_100_continue:
            self._continue = self._send(
                h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            )

    def _head(
        self, head: h11.Request | h11.Response | h11.InformationalResponse, events: list[Event]
    ) -> None:
        if isinstance(head, h11.InformationalResponse):
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                self._break("The server sends informational answers only.")
            return
        headers = decode_headers(head.headers.raw_items())
        if not head.http_version.startswith(b"1."):
            self._break("This is not HTTP/1.")
        elif header(headers, "transfer-encoding") and header(headers, "content-length"):
            # RFC 9112 6.3: "ought to be handled as an error"; llhttp does.
            self._break("Both Transfer-Encoding and Content-Length are given.")
        elif isinstance(head, h11.Request):
            self._in_message = True
            self._method = head.method.decode("latin-1")
            events.append(RequestStarted(self._method, head.target.decode("latin-1"), headers))
        else:
            self._in_message = True
            self._answered_early = self._h11.our_state is h11.SEND_BODY
            events.append(ResponseStarted(head.status_code, headers))
            if self._h11.their_state is h11.SWITCHED_PROTOCOL:
                self._in_message = False
                events.append(MessageEnded())

    def _start_body(self, length: int | None, body: bytes) -> bytes:
        self._body_left = length
        if length == 0:
            return self._send(h11.EndOfMessage())
        return self.send_body(body) if body else b""

    def _send(self, event: h11.Event) -> bytes:
        try:
            return self._h11.send(event) or b""
        except h11.LocalProtocolError as exc:
            raise LocalProtocolError(_text(exc)) from exc

    def _break(self, message: str, cause: Exception | None = None) -> None:
        self.error = RemoteProtocolError(message)
        self.error.__cause__ = cause

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)  # or each raising would lengthen it

    def _demand(self, condition: bool, otherwise: str) -> None:
        if not condition or self.error is not None:
            raise LocalProtocolError("The connection is broken." if self.error else otherwise)


def _declared(length: int | None) -> list[tuple[bytes, bytes]]:
    return [] if length is None else [(b"content-length", b"%d" % length)]


def _text(error: Exception) -> str:
    # h11 quotes the line that it did not like, whole.
    return str(error)[:200]
