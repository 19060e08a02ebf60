"""HTTP/1.1 exchanges, one connection at a time, in both roles.

Rule 1: the framing is h11's. Nothing here looks for a line or counts a chunk.
Rule 2: an error never swallows what came before it. ``receive_data`` returns the events that
precede it and leaves it in ``error``; the next call raises it, and so does every later one. So what
comes out does not depend on how the network cut it.
Rule 3: a message has ended well if ``MessageEnded`` says so. Any other end of it is an error.
Rule 4: a mistake of the caller (``LocalProtocolError``) leaves the connection as it was.

    connection = HTTPConnection(Role.CLIENT)
    sock.sendall(connection.send_request("GET", "/config", (("host", "127.0.0.1:7860"),)))
    events = []  # ResponseStarted, BodyReceived, ..., MessageEnded
    while connection.error is None and MessageEnded() not in events:
        data = sock.recv(65536)
        events += connection.receive_data(data) if data else connection.receive_eof()

A server reads ``RequestStarted``, ``BodyReceived``, ..., ``MessageEnded`` and answers by
``send_response``. After the answer, ``receive_data(b"")`` gives the requests that the client sent
ahead.

An exchange that leaves HTTP (a 101, or a 2xx to ``CONNECT``) is over with its head. What follows
belongs to the new protocol, and is found in ``unread``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs
import h11

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.body import Body, FileSlice
from sansio_gradio.wire.headers import Headers

_Event = TypeVar("_Event")

_DEFAULT_HEADER: Final = Limits().header
_MOST_INTERIM: Final = 100
"""Interim answers (1xx) before an answer. Each is dropped, so nothing else bounds them."""
_FRAMING: Final = ("content-length", "transfer-encoding")
_REMEMBERED: Final = 16
"""Heads of requests that are made once only: a client sends few, and often."""


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
    """The head of the answer (2xx to 5xx, or 101): the client role's first event of an exchange."""

    status: int
    headers: Headers


@attrs.define
class BodyReceived:
    """Some bytes of the body, never empty. The places of the cuts mean nothing.

    ``data`` may be a ``bytearray``, as h11 gives it: a copy of a large body costs.
    """

    data: bytes


@attrs.define
class MessageEnded:
    """The message is complete, and known to be."""


Event: TypeAlias = RequestStarted | ResponseStarted | BodyReceived | MessageEnded


class WireConnection:
    """The common part of HTTP and WebSocket connections: a role, and the error that ends the
    events.

    ``error`` is the peer's mistake: set when it is found, raised as rule 2 says.
    """

    error: RemoteProtocolError | None = None

    def __init__(self, role: Role) -> None:
        self.role = role

    def _break(self, message: str, cause: Exception | None = None) -> None:
        # h11 quotes the line that it did not like, whole.
        self.error = RemoteProtocolError(message[:200])
        self.error.__cause__ = cause

    def _told(self, events: list[_Event]) -> list[_Event]:
        """Return the events before the error; raise the error if there are none."""
        if self.error is not None and not events:
            raise self.error.with_traceback(None)  # or each raising would lengthen it
        return events


class HTTPConnection(WireConnection):
    """One HTTP/1.1 connection: bytes in, events out; requests or answers in, bytes out.

    ``max_header_size`` (bytes) bounds every part that must be complete before it can be parsed: a
    head, a trailer section, a chunk's size line. It also bounds the requests that a server holds
    while it answers another one.
    """

    def __init__(self, role: Role, *, max_header_size: int = _DEFAULT_HEADER) -> None:
        super().__init__(role)
        self._h11 = h11.Connection(
            h11.CLIENT if role is Role.CLIENT else h11.SERVER,
            max_incomplete_event_size=max_header_size,
        )
        self._max_held = max_header_size
        self._held = 0  # bytes that h11 holds, at most
        self._method = ""
        self._interim = 0  # answers before this one
        self._is_unchunked = False  # the body of an answer, which is nothing but content
        # Heads of requests, checked by h11, which takes longer than all the rest of a request.
        self._heads: dict[tuple[object, ...], h11.Event] = {}

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange can start: ``send_request`` now, or a server's next request."""
        ours, theirs = self._h11.our_state, self._h11.their_state
        return ours is theirs and ours in (h11.IDLE, h11.DONE) and self.error is None

    @property
    def is_sending(self) -> bool:
        """Whether a body is due: ``send_body`` or ``end_body`` comes next."""
        return self._h11.our_state is h11.SEND_BODY

    @property
    def unread(self) -> bytes:
        """A copy of the bytes that the peer sent after the complete message."""
        return self._h11.trailing_data[0]

    def send_request(
        self, method: str, target: str, headers: Headers, body: bytes | None = None
    ) -> bytes:
        """The bytes of a request; its ``Host`` is among *headers*, its ``Content-Length`` is not.

        Raises:
            LocalProtocolError: the last exchange is not over, or this makes no valid request.
        """
        size = None if body is None else len(body)
        head = self._request(method, target, headers, size)
        content = (h11.Data(data=body),) if body else ()
        return self._send(head, *content, h11.EndOfMessage())

    def send_pieces(
        self, method: str, target: str, headers: Headers, body: Body
    ) -> list[bytes | FileSlice]:
        """A request with files: its bytes, and the slices of files between them.

        The body of a file of unknown size is sent in chunks. Then the pieces before it are
        returned, and ``send_body`` and ``end_body`` have to send the rest.

        Raises:
            LocalProtocolError: as ``send_request``.
        """
        head = self._request(method, target, headers, body.size, in_chunks=body.size is None)
        sent: list[bytes | FileSlice] = [self._send(head)]
        for piece in body.pieces:
            if piece is body.open_slice:
                return sent
            # h11 counts the bytes of a slice, and hands it on as it is.
            data: Any = self._h11.send_with_data_passthrough(h11.Data(data=cast("bytes", piece)))
            sent += data
        return [*sent, self.end_body()]

    def _request(
        self,
        method: str,
        target: str,
        headers: Headers,
        size: int | None,
        *,
        in_chunks: bool = False,
    ) -> h11.Event:
        """The head of a request, which can be sent now."""
        if self.role is not Role.CLIENT or not self.is_reusable:
            raise LocalProtocolError("No request can be sent on this connection now.")
        what = method, target, headers, size, in_chunks
        head = self._heads.get(what)
        if head is None:
            head = _head(
                h11.Request, headers, size, in_chunks=in_chunks, method=method, target=target
            )
            if len(self._heads) == _REMEMBERED:
                self._heads.clear()
            self._heads[what] = head
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        return head

    def send_response(
        self,
        status: int,
        headers: Headers,
        body: bytes | None = None,
        *,
        length: int | None = None,
    ) -> bytes:
        """The bytes of an answer (101, or 200 and up), whole, or its head if *body* is None.

        ``Content-Length`` is added for a *body*. Without one, send the body with ``send_body`` and
        ``end_body``: so many bytes as *length*, or if that is None in chunks, or up to the end of
        the connection for HTTP/1.0. An answer that has no body in HTTP (HEAD, 204, 304) gets none.

        Raises:
            LocalProtocolError: no request waits for an answer, or this makes no valid one.
        """
        make = h11.InformationalResponse if status == 101 else h11.Response
        bodiless = status in (204, 304)
        size = length if body is None else len(body)
        head = _head(make, headers, None if bodiless else size, status_code=status)
        self._demand(h11.SEND_RESPONSE)
        sent = self._send(head)
        if bodiless or self._method == "HEAD":
            body = b""
        return sent if body is None else sent + self.send_body(body) + self.end_body()

    def send_body(self, data: bytes) -> bytes:
        """The bytes that carry *data*.

        Raises:
            LocalProtocolError: no body is due.
        """
        self._demand(h11.SEND_BODY)
        return self._send(h11.Data(data=data))

    def end_body(self) -> bytes:
        """The bytes that end a body; empty if no body is due.

        Raises:
            LocalProtocolError: the peer broke the protocol.
        """
        if self._h11.our_state is not h11.SEND_BODY:
            return b""
        self._demand(h11.SEND_BODY)
        return self._send(h11.EndOfMessage())

    def data_to_send(self) -> bytes:
        """The bytes of ``100 Continue``, if the client waits for it. Send them after receiving."""
        if self.error is not None or not self._h11.they_are_waiting_for_100_continue:
            return b""
        return self._send(_head(h11.InformationalResponse, (), None, status_code=100))

    def receive_data(self, data: bytes) -> list[Event]:
        """The events that *data* completes. Without data: the events that were held back; the peer
        has not ended.

        Raises:
            RemoteProtocolError: the peer broke the protocol, now or before.
        """
        if self.role is Role.SERVER:
            if self._h11.our_state is self._h11.their_state is h11.DONE:
                self._h11.start_next_cycle()
        elif data and self._h11.our_state in (h11.IDLE, h11.SWITCHED_PROTOCOL):
            self._break("The server spoke without having been asked.")
        events: list[Event] = []
        fed = 0
        while self.error is None:
            # h11 checks the size of incomplete parts only. So give it no more than it may hold:
            # then the limit does not depend on the pieces in which the bytes arrive. ``_held`` is
            # looked up (a copy) only where the guess is too high, once in ``_max_held`` bytes at
            # most.
            if self._held + len(data) - fed > self._max_held:
                self._held = len(self.unread)
            room = self._max_held + 1 - self._held
            theirs = self._h11.their_state
            if theirs is h11.SWITCHED_PROTOCOL or (theirs is h11.SEND_BODY and self._is_unchunked):
                room = len(data)  # the new protocol, or the body, takes it at once
            piece = data[fed : fed + room]
            if piece:
                self._h11.receive_data(piece)
                self._held += len(piece)
                fed += len(piece)
            elif fed < len(data):
                self._break("More was sent ahead than is held.")
            events += self._read()
            if fed == len(data):
                break
        return events if self.error is None else self._told(events)

    def receive_eof(self) -> list[Event]:
        """The events that the peer's end completes: the end of a body of unknown length, or
        nothing.

        Raises:
            RemoteProtocolError: a message was not complete, or the peer broke the protocol before.
        """
        self._h11.receive_data(b"")
        return self._told(self._read())

    def _read(self) -> list[Event]:
        """The events that h11 has: of one message, since it pauses after each."""
        events: list[Event] = []
        body: list[bytes] = []  # one read brings many chunks: they leave as one event
        ended: list[Event] = []
        while self.error is None:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as exc:
                self._break(str(exc), exc)
                break
            if event is h11.NEED_DATA:  # first, since an ``isinstance`` of it takes long
                break
            if isinstance(event, h11.Data):
                body.append(event.data)
            elif isinstance(event, type):  # PAUSED
                if self._h11.their_state is h11.DONE and self.role is Role.CLIENT:
                    self._break("The answer is followed by bytes that belong to no answer.")
                break
            elif isinstance(event, h11.EndOfMessage):
                ended = [MessageEnded()]
            elif isinstance(event, h11.ConnectionClosed):
                break
            else:
                self._read_head(event, events)
        if body:
            events.append(BodyReceived(body[0] if len(body) == 1 else b"".join(body)))
        return events + ended

    def _read_head(self, head: h11.Event, events: list[Event]) -> None:
        assert isinstance(head, h11.Request | h11.Response | h11.InformationalResponse)
        raw = head.headers.raw_items()  # lists: generators and h11's own iterator cost more
        headers = tuple([(str(key, "latin-1").lower(), str(text, "latin-1")) for key, text in raw])
        fields = dict(headers)
        is_chunked = "transfer-encoding" in fields
        if not head.http_version.startswith(b"1."):
            self._break("This is not HTTP/1.")
        elif is_chunked and "content-length" in fields:
            # RFC 9112 6.3: "ought to be handled as an error"; llhttp does.
            self._break("Both Transfer-Encoding and Content-Length are given.")
        elif isinstance(head, h11.Request):
            self._method = str(head.method, "latin-1")
            events.append(RequestStarted(self._method, str(head.target, "latin-1"), headers))
        elif self._h11.their_state is h11.SWITCHED_PROTOCOL:
            events += ResponseStarted(head.status_code, headers), MessageEnded()
        elif isinstance(head, h11.Response):
            self._interim = 0
            self._is_unchunked = not is_chunked
            events.append(ResponseStarted(head.status_code, headers))
        else:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                self._break(f"More than {_MOST_INTERIM} interim answers (1xx) came, and no answer.")

    def _demand(self, state: type) -> None:
        """Raise if this is not the time to send what is sent in *state*.

        Raises:
            LocalProtocolError: it is not.
        """
        if self.error is not None or self._h11.our_state is not state:
            raise LocalProtocolError("This cannot be sent now.")

    def _send(self, *events: h11.Event) -> bytes:
        try:
            return b"".join(map(cast("Callable[[h11.Event], bytes]", self._h11.send), events))
        except h11.LocalProtocolError as exc:
            raise LocalProtocolError(str(exc)[:200]) from exc


def _head(
    make: Callable[..., h11.Event],
    headers: Headers,
    size: int | None,
    *,
    in_chunks: bool = False,
    **line: str | int,
) -> h11.Event:
    """The head of a message, with the fields that say how long its body is.

    Raises:
        LocalProtocolError: this makes no valid one.
    """
    for name, _ in headers:
        if name.lower() in _FRAMING:
            raise LocalProtocolError(f"{name} is set by the connection.")
    if size is not None:
        headers = (*headers, ("content-length", str(size)))
    elif in_chunks:
        headers = (*headers, ("transfer-encoding", "chunked"))
    try:
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return make(headers=fields, **line)
    except (h11.LocalProtocolError, UnicodeEncodeError) as exc:
        raise LocalProtocolError(str(exc)[:200]) from exc
