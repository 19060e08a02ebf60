"""A Gradio server in bytes: connections, HTTP, WebSockets. No sockets, no clock.

    engine = ServerEngine(app, entropy=os.urandom)
    engine.connection_made(conn, now)
    engine.receive_data(conn, data, now)              # b"" is the peer's end
    for conn in engine.connections_with_data():
        send(conn, engine.data_to_send(conn))
    while event := engine.next_event():               # JobSubmitted, JobCancelled, ...
        ...                                           # engine.start(job, now), engine.complete(...)

Rule 1: the network verbs never raise for what a peer did. They answer it, or close its connection.

Rule 2: ``conn`` is a number of the caller's. After ``CloseConnection`` the caller sends what
``data_to_send`` still gives, and closes; whatever it tells of that connection then is ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.server.app import App
from sansio_gradio.server.conversation import Conversation
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.events import (
    Answer,
    AnswerText,
    Command,
    End,
    Event,
    OpenStream,
    Send,
    SendAlive,
)
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.routes import AnswerPage, Immediate, Request, Router
from sansio_gradio.server.run import Headers
from sansio_gradio.wire import json
from sansio_gradio.wire.http import (
    BodyReceived,
    HTTPConnection,
    MessageEnded,
    RequestStarted,
    Role,
    header,
)
from sansio_gradio.wire.websocket import (
    Closed,
    HandshakeRequested,
    TextReceived,
    WebSocketConnection,
)

IDLE: Final = 5.0  # seconds between two requests (uvicorn's timeout_keep_alive)
REQUEST_WITHIN: Final = 60.0  # seconds for one request to arrive whole
CLOSE_WITHIN: Final = 20.0  # seconds for the answer to a Close (websockets' close_timeout)

JSON_CONTENT: Final = ("content-type", "application/json")
TEXT_CONTENT: Final = ("content-type", "text/plain; charset=utf-8")
HTML_CONTENT: Final = ("content-type", "text/html; charset=utf-8")
STREAM_CONTENT: Final = ("content-type", "text/event-stream; charset=utf-8")

# What uvicorn says to what is no HTTP; h11 would not let it be said through a broken connection.
_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 30\r\n\r\nInvalid HTTP request received."
)


@attrs.frozen
class CloseConnection:
    """Send what ``data_to_send`` still has, then close; no ``connection_lost`` is expected."""

    conn: int


@attrs.define(eq=False)
class _Connection:
    id: int
    http: HTTPConnection
    # The bytes of the first request, which a WebSocket reads again; None once that is out.
    first: list[bytes] | None = attrs.field(factory=list[bytes])
    socket: WebSocketConnection | None = None
    head: RequestStarted | None = None
    body: list[bytes] = attrs.field(factory=list[bytes])
    body_size: int = 0
    exchange: int | None = None
    out: deque[bytes] = attrs.field(factory=deque[bytes])
    unsent: int = 0
    is_closing: bool = False


class ServerEngine:
    """Serves one app on any number of connections.

    ``entropy(n)`` gives n random bytes; ``now + wall_offset`` is POSIX time, for the Date field.
    """

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        wall_offset: float = 0.0,
        limits: ServerLimits | None = None,
    ) -> None:
        self._limits = limits or ServerLimits()
        self._wall_offset = wall_offset
        self._conversation = Conversation(app, entropy=entropy, limits=self._limits)
        self._router = Router(self._conversation, self._limits)
        self._connections: dict[int, _Connection] = {}
        self._by_exchange: dict[int, _Connection] = {}
        self._exchange_count = 0
        self._commands: deque[CloseConnection] = deque()
        self._deadlines = Deadlines()

    # The network

    def connection_made(self, conn: int, now: float) -> None:
        self._deadlines.now = now
        http = HTTPConnection(Role.SERVER, max_header_size=self._limits.header)
        connection = self._connections[conn] = _Connection(conn, http)
        if len(self._connections) > self._limits.connections:
            self._close(connection)
        else:
            self._close_after(connection, REQUEST_WITHIN)

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        """Bytes have come; none are the peer's end."""
        self._deadlines.now = now
        connection = self._connections.get(conn)
        if connection is None or connection.is_closing:
            return
        if not data:
            self._lost(connection)
        elif connection.socket is not None:
            self._receive_frames(connection, connection.socket, data)
        else:
            self._receive_request(connection, data)
        self._carry_out()

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:  # noqa: ARG002  # the client's engine has the same verb and looks at it
        """The connection is closed; nothing is to be sent there any more."""
        self._deadlines.now = now
        connection = self._connections.get(conn)
        if connection is None:
            return
        if not connection.is_closing:
            self._leave(connection)
            self._carry_out()
        self._connections.pop(conn, None)

    def handle_timer(self, now: float) -> None:
        """Time has passed; to be told when ``next_deadline`` has."""
        self._deadlines.now = now
        self._deadlines.fire()
        self._conversation.handle_timer(now)
        self._carry_out()

    def data_to_send(self, conn: int, max_bytes: int = 65536) -> bytes:
        """What is to be sent on that connection now: up to *max_bytes*, all of which must be."""
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        taken: list[bytes] = []
        room = max_bytes
        while connection.out and room:
            part = connection.out.popleft()
            if len(part) > room:
                connection.out.appendleft(part[room:])
                part = part[:room]
            taken.append(part)
            room -= len(part)
        connection.unsent -= max_bytes - room
        if connection.is_closing and not connection.out:
            del self._connections[conn]
        return b"".join(taken)

    def connections_with_data(self) -> list[int]:
        """The connections that have something to be sent."""
        return [conn for conn, connection in self._connections.items() if connection.out]

    def next_command(self) -> CloseConnection | None:
        return self._commands.popleft() if self._commands else None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next of use, in monotonic seconds."""
        times = (self._deadlines.next_deadline(), self._conversation.next_deadline())
        return min((time for time in times if time is not None), default=None)

    # The application: as in Conversation

    def next_event(self) -> Event | None:
        """What the application is told next, None for now."""
        return self._conversation.next_event()

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        self._conversation.start(job, now)
        self._told(now)

    def progress(self, job: int, units: Sequence[Mapping[str, Any]], now: float) -> None:
        """How far the job is: see ``Conversation.progress``."""
        self._conversation.progress(job, units)
        self._told(now)

    def log(self, job: int, text: str, now: float, **how: Any) -> None:
        """A notice for the user: see ``Conversation.log``."""
        self._conversation.log(job, text, **how)
        self._told(now)

    def send(self, job: int, message: Mapping[str, Any], now: float) -> None:
        """A message of the application's own making: see ``Conversation.send``."""
        self._conversation.send(job, message)
        self._told(now)

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded."""
        self._conversation.generate(job, data, now)
        self._told(now)

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked; *data* None: what it yielded last."""
        self._conversation.complete(job, data, now=now)
        self._told(now)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised."""
        self._conversation.fail(job, error, now=now)
        self._told(now)

    def stop(self, now: float) -> None:
        """Go down: every stream is told, every connection closed."""
        self._deadlines.now = now
        self._conversation.stop(now)
        self._carry_out()
        for connection in list(self._connections.values()):
            self._close(connection)

    def _told(self, now: float) -> None:
        self._deadlines.now = now
        self._carry_out()

    # Requests

    def _receive_request(self, connection: _Connection, data: bytes) -> None:
        if connection.first is not None:
            connection.first.append(data)
        try:
            events = connection.http.receive_data(data)
        except RemoteProtocolError:
            events = []
        for event in events:
            if connection.is_closing or connection.socket is not None:
                return
            if isinstance(event, RequestStarted):
                self._head(connection, event)
            elif isinstance(event, BodyReceived):
                self._body(connection, event.data)
            elif isinstance(event, MessageEnded):
                self._request(connection)
        self._put(connection, connection.http.data_to_send())
        if connection.http.error is not None:
            if connection.exchange is None:
                self._put(connection, _BAD_REQUEST)
            self._lost(connection)

    def _head(self, connection: _Connection, head: RequestStarted) -> None:
        connection.head = head
        connection.body, connection.body_size = [], 0
        self._close_after(connection, REQUEST_WITHIN)
        first, connection.first = connection.first, None
        if first is None or (header(head.headers, "upgrade") or "").lower() != "websocket":
            return
        connection.socket = WebSocketConnection(Role.SERVER, max_message_size=self._limits.request)
        self._receive_frames(connection, connection.socket, b"".join(first))

    def _body(self, connection: _Connection, data: bytes) -> None:
        connection.body_size += len(data)
        if connection.body_size <= self._limits.request:
            connection.body.append(data)
            return
        self._respond(connection, 413, TEXT_CONTENT, b"Request Entity Too Large")
        self._close(connection)

    def _request(self, connection: _Connection) -> None:
        head = connection.head
        assert head is not None
        self._deadlines.stop(connection.id)
        exchange = self._open_exchange(connection)
        body, connection.body = b"".join(connection.body), []
        request = Request(
            exchange, head.method, head.target, head.headers, body, self._deadlines.now
        )
        answer = self._router.request(request)
        if answer is not None:
            self._answer(connection, answer)

    def _open_exchange(self, connection: _Connection) -> int:
        exchange = connection.exchange = self._exchange_count
        self._exchange_count += 1
        self._by_exchange[exchange] = connection
        return exchange

    # WebSockets

    def _receive_frames(
        self, connection: _Connection, socket: WebSocketConnection, data: bytes
    ) -> None:
        try:
            events = socket.receive_data(data)
        except RemoteProtocolError:
            events = []
        for event in events:
            if isinstance(event, HandshakeRequested):
                self._shake_hands(connection, socket, event)
            elif isinstance(event, TextReceived) and connection.exchange is not None:
                self._router.text(connection.exchange, event.text, self._deadlines.now)
                self._carry_out()
            elif isinstance(event, Closed):
                self._put(connection, socket.data_to_send())
                self._lost(connection)
        self._put(connection, socket.data_to_send())
        if socket.error is not None or socket.is_closed:
            self._lost(connection)

    def _shake_hands(
        self, connection: _Connection, socket: WebSocketConnection, asked: HandshakeRequested
    ) -> None:
        if not self._router.takes_socket(asked.target.partition("?")[0]):
            self._put(connection, socket.reject(403, self._heads()))
            return
        self._deadlines.stop(connection.id)
        self._put(connection, socket.accept(self._heads()))
        exchange = self._open_exchange(connection)
        self._conversation.open_socket(exchange, asked.headers, self._deadlines.now)
        self._carry_out()

    # What the conversation wants

    def _carry_out(self) -> None:
        while (command := self._conversation.next_command()) is not None:
            connection = self._by_exchange.get(command.exchange)
            if connection is not None:
                self._do(connection, command)

    def _do(self, connection: _Connection, command: Command) -> None:
        if isinstance(command, Answer | AnswerText):
            self._answer(connection, command)
        elif isinstance(command, OpenStream):
            heads = (*self._heads(), STREAM_CONTENT)
            self._put(connection, connection.http.send_response(200, heads))
        elif isinstance(command, SendAlive):
            self._put(connection, connection.http.send_body(b"data: ALIVE\n\n"))
        elif isinstance(command, Send):
            self._send(connection, json.dumps(command.message))
        else:
            self._end(connection, command)

    def _send(self, connection: _Connection, message: bytes) -> None:
        if connection.socket is None:
            self._put(connection, connection.http.send_body(b"data: %b\n\n" % message))
        else:
            self._put(connection, connection.socket.send_text(message.decode()))

    def _end(self, connection: _Connection, end: End) -> None:
        self._by_exchange.pop(end.exchange)
        connection.exchange = None
        if not end.clean:
            self._close(connection)
        elif connection.socket is not None:
            self._put(connection, connection.socket.send_close())
            self._close_after(connection, CLOSE_WITHIN)
        else:
            self._put(connection, connection.http.end_body())
            self._next_request(connection)

    def _answer(self, connection: _Connection, answer: Immediate) -> None:
        if isinstance(answer, Answer):
            self._respond(connection, answer.status, JSON_CONTENT, json.dumps(answer.body))
        elif isinstance(answer, AnswerText):
            self._respond(connection, answer.status, TEXT_CONTENT, answer.text.encode())
        else:
            assert isinstance(answer, AnswerPage)
            self._respond(connection, 200, HTML_CONTENT, answer.text.encode())
        self._by_exchange.pop(answer.exchange, None)
        connection.exchange = None
        self._next_request(connection)

    def _respond(
        self, connection: _Connection, status: int, content: tuple[str, str], body: bytes
    ) -> None:
        heads = (*self._heads(), content)
        self._put(connection, connection.http.send_response(status, heads, body))

    def _next_request(self, connection: _Connection) -> None:
        if connection.http.is_reusable:
            self._close_after(connection, IDLE)
            self._receive_request(connection, b"")
        else:
            self._close(connection)

    def _heads(self) -> Headers:
        date = formatdate(self._deadlines.now + self._wall_offset, usegmt=True)
        return (("date", date), ("server", "uvicorn"))

    # Connections

    def _put(self, connection: _Connection, data: bytes) -> None:
        if not data or connection.is_closing:
            return
        if connection.unsent > self._limits.unsent:
            # The client asks for more than it reads.
            connection.out.clear()
            connection.unsent = 0
            self._lost(connection)
            return
        connection.out.append(data)
        connection.unsent += len(data)

    def _close_after(self, connection: _Connection, seconds: float) -> None:
        self._deadlines.start(connection.id, seconds, partial(self._lost, connection))

    def _lost(self, connection: _Connection) -> None:
        """Give up a connection from our side."""
        if not connection.is_closing:
            self._leave(connection)
            self._close(connection)

    def _leave(self, connection: _Connection) -> None:
        """Tell the conversation that this client is gone."""
        self._deadlines.stop(connection.id)
        exchange, connection.exchange = connection.exchange, None
        if exchange is not None:
            self._by_exchange.pop(exchange)
            self._conversation.closed(exchange, self._deadlines.now)

    def _close(self, connection: _Connection) -> None:
        if connection.is_closing:
            return
        self._deadlines.stop(connection.id)
        connection.is_closing = True
        self._commands.append(CloseConnection(connection.id))
        if not connection.out:
            del self._connections[connection.id]
