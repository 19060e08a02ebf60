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

from sansio_gradio.server.app import App
from sansio_gradio.server.connection import Connection, Gone, Incoming, RequestReceived
from sansio_gradio.server.conversation import Conversation
from sansio_gradio.server.deadlines import Deadlines
from sansio_gradio.server.events import (
    Answer,
    AnswerText,
    Command,
    Event,
    OpenStream,
    Send,
    SendAlive,
)
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.routes import AnswerPage, Request, Router
from sansio_gradio.server.run import Headers
from sansio_gradio.wire import json
from sansio_gradio.wire.websocket import HandshakeRequested

IDLE: Final = 5.0  # seconds between two requests (uvicorn's timeout_keep_alive)
REQUEST_WITHIN: Final = 60.0  # seconds for a connection's first request to arrive whole
CLOSE_WITHIN: Final = 20.0  # seconds for the answer to a Close (websockets' close_timeout)

_JSON: Final = ("content-type", "application/json")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_HTML: Final = ("content-type", "text/html; charset=utf-8")
_STREAM: Final = ("content-type", "text/event-stream; charset=utf-8")


@attrs.frozen
class CloseConnection:
    """Send what ``data_to_send`` still has, then close; no ``connection_lost`` is expected."""

    conn: int


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
        self._connections: dict[int, Connection] = {}
        self._by_exchange: dict[int, Connection] = {}
        self._exchange_count = 0
        self._with_data: set[int] = set()
        self._answered: deque[Connection] = deque()  # what came behind their request is to be read
        self._closing: deque[CloseConnection] = deque()
        self._deadlines = Deadlines()

    # The network

    def connection_made(self, conn: int, now: float) -> None:
        self._deadlines.now = now
        connection = self._connections[conn] = Connection(conn, self._limits)
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
        if data:
            if connection.is_idle:
                connection.is_idle = False
                self._close_after(connection, REQUEST_WITHIN)
            self._came(connection, connection.receive(data))
        else:
            self._give_up(connection)
        self._carry_out()

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:  # noqa: ARG002  # as in the client's engine, which tells it on
        """The connection is closed; nothing can be sent there any more."""
        self._deadlines.now = now
        connection = self._connections.pop(conn, None)
        if connection is not None and not connection.is_closing:
            connection.is_closing = True
            self._leave(connection)
            self._carry_out()
        self._with_data.discard(conn)

    def handle_timer(self, now: float) -> None:
        """Time has passed; to be told when ``next_deadline`` has."""
        self._deadlines.now = now
        self._deadlines.fire()
        self._conversation.handle_timer(now)
        self._carry_out()

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is next of use, in monotonic seconds."""
        times = (self._deadlines.next_deadline(), self._conversation.next_deadline())
        return min((time for time in times if time is not None), default=None)

    def connections_with_data(self) -> list[int]:
        """The connections that have something to be sent."""
        return list(self._with_data)

    def data_to_send(self, conn: int, max_bytes: int = 65536) -> bytes:
        """What is to be sent on that connection now: up to *max_bytes*, all of which must be."""
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        data = connection.take(max_bytes)
        if not connection.has_data:
            self._with_data.discard(conn)
            if connection.is_closing:
                del self._connections[conn]
        return data

    def next_command(self) -> CloseConnection | None:
        return self._closing.popleft() if self._closing else None

    # The application: see Runs

    def next_event(self) -> Event | None:
        """What the application is told next, None for now."""
        return self._conversation.next_event()

    def start(self, job: int, now: float) -> None:
        self._conversation.start(job, now)
        self._carry_out()

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        self._conversation.progress(job, units)
        self._carry_out()

    def log(self, job: int, text: str, **how: Any) -> None:
        self._conversation.log(job, text, **how)
        self._carry_out()

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        self._conversation.send(job, message)
        self._carry_out()

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        self._conversation.generate(job, data, now)
        self._carry_out()

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        self._conversation.complete(job, data, now=now)
        self._carry_out()

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        self._conversation.fail(job, error, now=now)
        self._carry_out()

    def stop(self, now: float) -> None:
        """Go down: every stream is told, every connection closed."""
        self._deadlines.now = now
        self._conversation.stop(now)
        self._carry_out()
        for connection in list(self._connections.values()):
            self._close(connection)

    # What clients send

    def _came(self, connection: Connection, came: list[Incoming]) -> None:
        self._settle(connection)
        for incoming in came:
            if isinstance(incoming, RequestReceived):
                self._request(connection, incoming)
            elif isinstance(incoming, HandshakeRequested):
                self._shake_hands(connection, incoming)
            elif isinstance(incoming, Gone):
                self._give_up(connection)
            elif connection.exchange is not None:
                self._router.text(connection.exchange, incoming.text, self._deadlines.now)

    def _request(self, connection: Connection, received: RequestReceived) -> None:
        head = received.head
        request = Request(
            self._begin(connection),
            head.method,
            head.target,
            head.headers,
            received.body,
            self._deadlines.now,
        )
        answer = self._router.request(request)
        if answer is not None:
            self._answer(connection, answer)

    def _shake_hands(self, connection: Connection, asked: HandshakeRequested) -> None:
        if not self._router.takes_socket(asked.target.partition("?")[0]):
            connection.reject(403, self._heads())
            self._settle(connection)
            self._give_up(connection)
            return
        connection.accept(self._heads())
        exchange = self._begin(connection)
        self._conversation.open_socket(exchange, asked.headers, self._deadlines.now)

    def _begin(self, connection: Connection) -> int:
        """A new exchange on this connection."""
        self._deadlines.stop(connection.id)
        exchange = connection.exchange = self._exchange_count
        self._exchange_count += 1
        self._by_exchange[exchange] = connection
        return exchange

    # What the conversation wants

    def _carry_out(self) -> None:
        while True:
            while (command := self._conversation.next_command()) is not None:
                connection = self._by_exchange.get(command.exchange)
                if connection is not None:
                    self._do(connection, command)
                    self._settle(connection)
            if not self._answered:
                return
            connection = self._answered.popleft()
            if not connection.is_closing:
                self._came(connection, connection.receive(b""))

    def _settle(self, connection: Connection) -> None:
        """See what a connection has to be sent by now."""
        if connection.is_overrun and not connection.is_closing:
            connection.drop_unsent()
            self._give_up(connection)
        if connection.has_data:
            self._with_data.add(connection.id)
        else:
            self._with_data.discard(connection.id)

    def _do(self, connection: Connection, command: Command) -> None:
        if isinstance(command, Answer | AnswerText):
            self._answer(connection, command)
        elif isinstance(command, OpenStream):
            connection.open_stream((*self._heads(), _STREAM))
        elif isinstance(command, SendAlive):
            connection.send_event(b"ALIVE")
        elif isinstance(command, Send):
            message = json.dumps(command.message)
            if connection.is_socket:
                connection.send_text(message.decode())
            else:
                connection.send_event(message)
        else:
            self._finish(connection)
            if not command.clean:
                self._close(connection)
            elif connection.is_socket:
                connection.send_close()
                self._close_after(connection, CLOSE_WITHIN)
            else:
                connection.end_stream()
                self._next_request(connection)

    def _answer(self, connection: Connection, answer: Answer | AnswerText | AnswerPage) -> None:
        heads = self._heads()
        if isinstance(answer, Answer):
            connection.respond(answer.status, (*heads, _JSON), json.dumps(answer.body))
        elif isinstance(answer, AnswerPage):
            connection.respond(200, (*heads, _HTML), answer.text.encode())
        elif answer.text:
            connection.respond(answer.status, (*heads, _TEXT), answer.text.encode())
        else:
            connection.respond(answer.status, heads, b"")
        self._finish(connection)
        self._next_request(connection)
        self._settle(connection)

    def _finish(self, connection: Connection) -> int | None:
        """The exchange on this connection is over; its number."""
        exchange, connection.exchange = connection.exchange, None
        if exchange is not None:
            del self._by_exchange[exchange]
        return exchange

    def _next_request(self, connection: Connection) -> None:
        if connection.is_reusable:
            self._close_after(connection, IDLE)
            connection.is_idle = True
            self._answered.append(connection)
        else:
            self._close(connection)

    def _heads(self) -> Headers:
        date = formatdate(self._deadlines.now + self._wall_offset, usegmt=True)
        return (("date", date), ("server", "uvicorn"))

    # The end of a connection

    def _close_after(self, connection: Connection, seconds: float) -> None:
        self._deadlines.start(connection.id, seconds, partial(self._give_up, connection))

    def _give_up(self, connection: Connection) -> None:
        """Close a connection, whatever it is used for."""
        self._close(connection)
        self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Tell the conversation that this client is gone."""
        self._deadlines.stop(connection.id)
        exchange = self._finish(connection)
        if exchange is not None:
            self._conversation.closed(exchange, self._deadlines.now)

    def _close(self, connection: Connection) -> None:
        if connection.is_closing:
            return
        self._deadlines.stop(connection.id)
        connection.is_closing = True
        self._closing.append(CloseConnection(connection.id))
        if not connection.has_data:
            del self._connections[connection.id]
