"""A Gradio server in bytes: connections, HTTP, WebSockets. No sockets, no clock.

    engine = ServerEngine(app, entropy=os.urandom)
    engine.connection_made(conn, now)
    engine.receive_data(conn, data, now)              # b"" is the peer's end
    for conn in engine.connections_with_data():
        send(conn, engine.data_to_send(conn))
    while event := engine.next_event():               # JobSubmitted, JobAbandoned, ...
        ...                                           # engine.start(job, now), engine.complete(...)
    while command := engine.next_command():           # Disconnect
        ...

Rule 1: the network verbs never raise for what a peer did. They answer it, or close its connection.

Rule 2: ``conn`` is a number of yours. After ``Disconnect`` send what ``data_to_send`` still gives,
then close the connection. Calls for it are ignored from then on.

Rule 3: after every step ask what there is to do (``next_...``, ``connections_with_data``,
``data_to_send``). The engine works out what to send when you ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any, Final

import attrs

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.server.app import App
from sansio_gradio.server.connection import ServerConnection
from sansio_gradio.server.contents import Storage
from sansio_gradio.server.conversation import ServerConversation
from sansio_gradio.server.events import (
    EndChannel,
    OpenChannel,
    SendBytes,
    SendEvent,
    SendFile,
    SendMessage,
    SendResponse,
    ServerCommand,
    ServerEvent,
)
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.requests import Request
from sansio_gradio.wire import json
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.http import BodyReceived, MessageEnded
from sansio_gradio.wire.websocket import TextReceived

__all__ = ["Disconnect", "ServerEngine"]

IDLE: Final = 5.0  # seconds between two requests (uvicorn's timeout_keep_alive)
REQUEST_WITHIN: Final = 60.0  # seconds for a connection's first request to arrive whole
LOOKS: Final = 4  # how often a stalled connection is looked at within ``ServerLimits.stall``
PIECE: Final = 256 * 1024  # bytes of a file that are read at once
CLOSE_WITHIN: Final = 20.0  # seconds for the answer to a Close (websockets' close_timeout)


@attrs.frozen
class Disconnect:
    """Send what ``data_to_send`` still has, then close. No ``connection_lost`` is expected.

    ``at_once``: drop what you have not sent yet. The client does not take it, as ``why`` says. This
    may follow another ``Disconnect`` of the same connection.
    """

    conn: int
    at_once: bool = False
    why: str | None = None


class ServerEngine:
    """Serves one app on any number of connections.

    ``entropy(n)`` gives n random bytes. ``now`` is monotonic seconds. ``now + wall_offset`` is
    POSIX time, for the Date field (None: not known, no such field). ``storage`` keeps the contents
    of uploaded files (default: in memory). ``conversation`` is called with what a
    ``ServerConversation`` takes, and makes one: a class of your own may say other things.

    The verbs for jobs may be called at any time. A job may be over, since its client may leave:
    verbs for it then do nothing. A number that no job ever had is a ``LocalProtocolError``. So is a
    value that JSON cannot express; it leaves the job as it was.
    """

    def __init__(
        self,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        wall_offset: float | None = None,
        limits: ServerLimits | None = None,
        storage: Storage | None = None,
        conversation: Callable[..., ServerConversation] = ServerConversation,
    ) -> None:
        self.app = app
        self._limits = limits or ServerLimits()
        self._wall_offset = wall_offset
        # A connection serves one exchange at a time, so both have the same number.
        self._conversation = conversation(
            app, entropy=entropy, limits=self._limits, storage=storage
        )
        self._deadlines = Deadlines[ServerConnection]()  # a connection is due to be closed
        self._looks = Deadlines[ServerConnection]()  # or to be looked at: does it take anything?
        self._connections: dict[int, ServerConnection] = {}
        self._with_data: set[int] = set()
        self._answered: deque[ServerConnection] = deque()  # their next request may be here already
        self._closing: deque[Disconnect] = deque()

    # The network

    def connection_made(self, conn: int, now: float, *, scheme: str = "http") -> None:
        """A client has connected. *scheme*: "https", if the bytes are those inside of TLS."""
        self._carry_out()  # or this one would get what was meant for an older one of its number
        self._deadlines.now = now
        connection = self._connections[conn] = ServerConnection(conn, self._limits, scheme)
        if len(self._connections) > self._limits.connections:
            self._close(connection)
        else:
            self._deadlines.start(connection, REQUEST_WITHIN)

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        """Bytes have come. No bytes: the client has ended the connection."""
        self._deadlines.now = now
        connection = self._connections.get(conn)
        if connection is None or connection.is_closing:
            return
        if not data:
            self._close(connection)
            return
        if connection.is_idle:
            connection.is_idle = False
            self._deadlines.start(connection, REQUEST_WITHIN)
        self._read(connection, data)

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:  # noqa: ARG002  # the verb of the client's engine, which passes it on
        """The connection is closed. Nothing can be sent there any more."""
        self._deadlines.now = now
        connection = self._connections.pop(conn, None)
        if connection is not None:
            if not connection.is_closing:
                self._leave(connection)
            self._looks.stop(connection)
        self._with_data.discard(conn)

    def connections_with_data(self) -> list[int]:
        """The connections that have something to be sent."""
        self._carry_out()
        return list(self._with_data)

    def data_to_send(self, conn: int, max_bytes: int = 65536) -> bytes:
        """Take up to *max_bytes* to be sent on that connection. All of them must be sent."""
        self._carry_out()
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        data = connection.out.take(max_bytes)
        connection.has_taken = True
        self._fill(connection)
        self._note_data(connection)
        if not connection.out and connection.is_closing:
            self._connections.pop(conn, None)
        return data

    def next_command(self) -> Disconnect | None:
        """The next connection to close; None for now."""
        self._carry_out()
        return self._closing.popleft() if self._closing else None

    def stop(self, now: float) -> None:
        """Go down: tell every stream, and close every connection."""
        self._deadlines.now = now
        self._conversation.stop(now)
        self._carry_out()
        for connection in list(self._connections.values()):
            self._close(connection)

    # Time

    def next_deadline(self) -> float | None:
        """When to call ``handle_timer``, in monotonic seconds; None: not needed."""
        self._carry_out()
        times = (self._deadlines.due, self._looks.due, self._conversation.next_deadline())
        return min((when for when in times if when is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Time has passed. Call it when ``next_deadline`` is over."""
        self._deadlines.now = now
        self._looks.now = now
        self._conversation.handle_timer(now)
        while (connection := self._deadlines.next_due()) is not None:
            self._close(connection)
        while (connection := self._looks.next_due()) is not None:
            self._look_at(connection)

    # The application

    def next_event(self) -> ServerEvent | None:
        """What to run or stop next; None for now."""
        self._carry_out()
        return self._conversation.next_event()

    def start(self, job: int, now: float) -> None:
        """The job runs."""
        self._deadlines.now = now
        self._conversation.start(job, now)

    def progress(self, job: int, units: Sequence[Mapping[str, Any]]) -> None:
        """How far the job is: ``index length unit progress desc`` of each nested loop, outermost
        first."""
        self._conversation.progress(job, units)

    def log(
        self,
        job: int,
        text: str,
        *,
        level: str = "info",
        title: str | None = None,
        duration: float | None = 10,
        visible: bool = True,
    ) -> None:
        """Show the user a notice. ``duration``: seconds; None: until dismissed."""
        self._conversation.log(
            job, text, level=level, title=title, duration=duration, visible=visible
        )

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """Send a message of your own, as it stands.

        ``event_id`` is added if the protocol has one. ``process_completed`` ends the job.
        """
        self._conversation.send(job, message)

    def generate(self, job: int, data: Sequence[Any], now: float) -> None:
        """The job has yielded: one item for each result, whole."""
        self._deadlines.now = now
        self._conversation.generate(job, data, now)

    def complete(self, job: int, data: Sequence[Any] | None = None, *, now: float) -> None:
        """The job has worked. *data* None: its result is what it yielded last."""
        self._deadlines.now = now
        self._conversation.complete(job, data, now=now)

    def fail(self, job: int, error: BaseException | None = None, *, now: float) -> None:
        """The job has raised. An ``AppError`` is shown to the client. Anything else is hidden,
        unless the app shows errors."""
        self._deadlines.now = now
        self._conversation.fail(job, error, now=now)

    # Between connections and conversation

    def _read(self, connection: ServerConnection, data: bytes) -> None:
        """Tell the conversation what has come."""
        came = connection.receive(data)
        self._note_data(connection)
        now = self._deadlines.now
        for incoming in came:
            if connection.is_closing:
                return
            if isinstance(incoming, Request):
                if incoming.is_whole:
                    self._deadlines.stop(connection)
                connection.is_busy = True
                self._conversation.request(incoming, now)
            elif isinstance(incoming, BodyReceived):
                if connection.is_busy:  # or it is answered already, and this is dropped
                    self._deadlines.start(connection, REQUEST_WITHIN)
                    self._conversation.data(connection.id, incoming.data, now)
            elif isinstance(incoming, MessageEnded):
                self._body_ended(connection)
            elif isinstance(incoming, TextReceived):
                self._conversation.text(connection.id, incoming.text, now)
            else:
                self._close(connection)

    def _carry_out(self) -> None:
        """Carry out the commands of the conversation."""
        while True:
            while (command := self._conversation.next_command()) is not None:
                connection = self._connections.get(command.exchange)
                if connection is not None and connection.is_busy:
                    self._do(connection, command)
                    self._note_data(connection)
            if not self._answered:
                return
            connection = self._answered.popleft()
            if not connection.is_closing:
                self._read(connection, b"")

    def _do(self, connection: ServerConnection, command: ServerCommand) -> None:
        match command:
            case SendResponse():
                kind = command.content_type
                content = () if kind is None else (("content-type", kind),)
                headers = (*self._heads(), *content, *command.headers)
                connection.respond(command.status, headers, command.data)
                self._end(connection)
            case SendFile():
                since, offset = command.since, self._wall_offset
                heads = (*self._heads(), *command.headers)
                if since is not None and offset is not None:
                    heads = (*heads, ("last-modified", formatdate(since + offset, usegmt=True)))
                connection.begin_file(command, heads)
                self._fill(connection)
            case OpenChannel():
                connection.open((*self._heads(), *command.headers), command.content_type)
            case SendMessage():
                connection.send(json.dumps(command.message))
            case SendEvent():
                connection.send(json.dumps(command.data), command.name.encode())
            case SendBytes():
                connection.send_bytes(command.data)
            case EndChannel(clean=True):
                connection.end()
                self._end(connection)
            case EndChannel():
                connection.is_busy = False
                self._close(connection)
            case _:
                connection.send(b"ALIVE")

    def _heads(self) -> Headers:
        now, offset = self._deadlines.now, self._wall_offset
        date = () if offset is None else (("date", formatdate(now + offset, usegmt=True)),)
        return (*date, ("server", "uvicorn"))

    def _fill(self, connection: ServerConnection) -> None:
        """Read on in the file that is sent on this connection, if there is one."""
        try:
            is_over = connection.fill(PIECE)
        except OSError as error:
            self._cut(connection, f"its file cannot be read: {error}")
            return
        if is_over:
            if connection.owes_more:
                self._deadlines.start(connection, CLOSE_WITHIN)
            else:
                self._end(connection)

    def _body_ended(self, connection: ServerConnection) -> None:
        """The body of a request has come to its end. It may have been answered before that."""
        if connection.is_busy:
            self._deadlines.stop(connection)
            self._conversation.ended(connection.id, self._deadlines.now)
        else:
            self._end(connection)

    def _end(self, connection: ServerConnection) -> None:
        """The exchange on this connection is over."""
        connection.is_busy = False
        if connection.awaits_close:
            self._deadlines.start(connection, CLOSE_WITHIN)
        elif connection.is_reusable:
            self._deadlines.start(connection, IDLE)
            connection.is_idle = True
            self._answered.append(connection)
        elif connection.is_receiving:
            # To close now would reset the connection, and the client would miss the answer.
            self._deadlines.start(connection, REQUEST_WITHIN)
        else:
            self._close(connection)

    def _note_data(self, connection: ServerConnection) -> None:
        """Note how much a connection has to send."""
        if connection.is_overrun and not connection.is_closing:
            self._cut(connection, f"more than {self._limits.unsent} bytes wait for the client")
        if not connection.out:
            self._with_data.discard(connection.id)
            self._looks.stop(connection)
        elif connection.id not in self._with_data:
            self._with_data.add(connection.id)
            self._begin_to_look(connection)
        size, held_at = connection.out.size, self._limits.held_at
        if size > held_at if not connection.is_behind else size <= held_at // 2:
            connection.is_behind = not connection.is_behind
            self._conversation.set_behind(connection.id, connection.is_behind)

    def _begin_to_look(self, connection: ServerConnection) -> None:
        connection.stalled, connection.has_taken = 0, False
        self._looks.now = self._deadlines.now
        self._looks.start(connection, self._limits.stall / LOOKS)

    def _look_at(self, connection: ServerConnection) -> None:
        """See whether the client takes what is sent."""
        connection.stalled = 0 if connection.has_taken else connection.stalled + 1
        connection.has_taken = False
        if connection.stalled > LOOKS:
            self._cut(connection, f"it took nothing for {self._limits.stall:g} seconds")
        else:
            self._looks.start(connection, self._limits.stall / LOOKS)

    # The end of a connection

    def _leave(self, connection: ServerConnection) -> None:
        """Tell the conversation that this client has gone."""
        connection.is_closing = True
        self._deadlines.stop(connection)
        if connection.is_busy:
            connection.is_busy = False
            self._conversation.closed(connection.id, self._deadlines.now)

    def _close(self, connection: ServerConnection) -> None:
        """Close a connection, whatever it is used for."""
        if not connection.is_closing:
            self._leave(connection)
            self._closing.append(Disconnect(connection.id))
            if not connection.out:
                del self._connections[connection.id]

    def _cut(self, connection: ServerConnection, why: str) -> None:
        """Close a connection without sending what waits."""
        connection.out.clear()
        self._with_data.discard(connection.id)
        self._looks.stop(connection)
        if not connection.is_closing:
            self._leave(connection)
        self._closing.append(Disconnect(connection.id, at_once=True, why=why))
        del self._connections[connection.id]
