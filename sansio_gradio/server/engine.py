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

Rule 3: what the application's verbs send is worked out when somebody asks what there is to do
(``next_...``, ``connections_with_data``, ``data_to_send``): ask after every step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Final

import attrs

from sansio_gradio.server.app import App
from sansio_gradio.server.connection import Connection
from sansio_gradio.server.conversation import Conversation
from sansio_gradio.server.events import Answer, Command, End, Event, Open, Send
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from sansio_gradio.server.runs import Runs
from sansio_gradio.wire import json
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.websocket import TextReceived

IDLE: Final = 5.0  # seconds between two requests (uvicorn's timeout_keep_alive)
REQUEST_WITHIN: Final = 60.0  # seconds for a connection's first request to arrive whole
CLOSE_WITHIN: Final = 20.0  # seconds for the answer to a Close (websockets' close_timeout)


@attrs.frozen
class CloseConnection:
    """Send what ``data_to_send`` still has, then close; no ``connection_lost`` is expected."""

    conn: int


class ServerEngine(Runs):
    """Serves one app on any number of connections.

    ``entropy(n)`` gives n random bytes; ``now + wall_offset`` is POSIX time, for the Date field
    (None: not known, and no such field).
    """

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        wall_offset: float | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._limits = limits or ServerLimits()
        self._wall_offset = wall_offset
        # A connection serves one exchange at a time, so both have the same number.
        self._conversation = Conversation(app, entropy=entropy, limits=self._limits)
        super().__init__(self._conversation.queue)
        self._connections: dict[int, Connection] = {}
        self._with_data: set[int] = set()
        self._answered: deque[Connection] = deque()  # what came behind their request is to be read
        self._closing: deque[CloseConnection] = deque()

    # The network

    def connection_made(self, conn: int, now: float) -> None:
        self._carry_out()  # or this one would get what was meant for an older one of its number
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
        if not data:
            self._close(connection)
            return
        if connection.is_idle:
            connection.is_idle = False
            self._close_after(connection, REQUEST_WITHIN)
        self._read(connection, data)

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:  # noqa: ARG002  # as in the client's engine, which tells it on
        """The connection is closed; nothing can be sent there any more."""
        self._deadlines.now = now
        connection = self._connections.pop(conn, None)
        if connection is not None and not connection.is_closing:
            self._leave(connection)
        self._with_data.discard(conn)

    def next_deadline(self) -> float | None:
        self._carry_out()
        return super().next_deadline()

    def connections_with_data(self) -> list[int]:
        """The connections that have something to be sent."""
        self._carry_out()
        return list(self._with_data)

    def data_to_send(self, conn: int, max_bytes: int = 65536) -> bytes:
        """What is to be sent on that connection now: up to *max_bytes*, all of which must be."""
        self._carry_out()
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        data = connection.out.take(max_bytes)
        if not connection.out:
            self._with_data.discard(conn)
            if connection.is_closing:
                del self._connections[conn]
        return data

    def next_command(self) -> CloseConnection | None:
        self._carry_out()
        return self._closing.popleft() if self._closing else None

    # The application: see Runs

    def next_event(self) -> Event | None:
        self._carry_out()
        return super().next_event()

    def stop(self, now: float) -> None:
        """Go down: every stream is told, every connection closed."""
        self._deadlines.now = now
        self._conversation.stop(now)
        self._carry_out()
        for connection in list(self._connections.values()):
            self._close(connection)

    # Between connections and conversation

    def _read(self, connection: Connection, data: bytes) -> None:
        """Tell the conversation what has come."""
        came = connection.receive(data)
        self._settle(connection)
        now = self._deadlines.now
        for incoming in came:
            if isinstance(incoming, Request):
                self._deadlines.stop(connection)
                connection.is_busy = True
                self._conversation.request(incoming, now)
            elif isinstance(incoming, TextReceived):
                self._conversation.text(connection.id, incoming.text, now)
            else:
                self._close(connection)

    def _carry_out(self) -> None:
        """Do what the conversation wants by now."""
        while True:
            while (command := self._conversation.next_command()) is not None:
                connection = self._connections.get(command.exchange)
                if connection is not None and connection.is_busy:
                    self._do(connection, command)
                    self._settle(connection)
            if not self._answered:
                return
            connection = self._answered.popleft()
            if not connection.is_closing:
                self._read(connection, b"")

    def _do(self, connection: Connection, command: Command) -> None:
        match command:
            case Answer():
                kind = command.content_type
                content = () if kind is None else (("content-type", kind),)
                connection.respond(command.status, (*self._heads(), *content), command.data)
                self._end(connection)
            case Open():
                connection.open(self._heads())
            case Send():
                connection.send(json.dumps(command.message))
            case End(clean=True):
                connection.end()
                self._end(connection)
            case End():
                connection.is_busy = False
                self._close(connection)
            case _:
                connection.send(b"ALIVE")

    def _heads(self) -> Headers:
        now, offset = self._deadlines.now, self._wall_offset
        date = () if offset is None else (("date", formatdate(now + offset, usegmt=True)),)
        return (*date, ("server", "uvicorn"))

    def _end(self, connection: Connection) -> None:
        """The exchange on this connection is over."""
        connection.is_busy = False
        if connection.awaits_close:
            self._close_after(connection, CLOSE_WITHIN)
        elif connection.is_reusable:
            self._close_after(connection, IDLE)
            connection.is_idle = True
            self._answered.append(connection)
        else:
            self._close(connection)

    def _settle(self, connection: Connection) -> None:
        """See what a connection has to be sent by now."""
        if connection.is_overrun and not connection.is_closing:
            connection.out.clear()
            self._close(connection)
        if connection.out:
            self._with_data.add(connection.id)
        else:
            self._with_data.discard(connection.id)

    # The end of a connection

    def _close_after(self, connection: Connection, seconds: float) -> None:
        self._deadlines.start(connection, seconds, partial(self._close, connection))

    def _leave(self, connection: Connection) -> None:
        """Tell the conversation that this client is gone."""
        connection.is_closing = True
        self._deadlines.stop(connection)
        if connection.is_busy:
            connection.is_busy = False
            self._conversation.closed(connection.id, self._deadlines.now)

    def _close(self, connection: Connection) -> None:
        """Close a connection, whatever it is used for."""
        if not connection.is_closing:
            self._leave(connection)
            self._closing.append(CloseConnection(connection.id))
            if not connection.out:
                del self._connections[connection.id]
