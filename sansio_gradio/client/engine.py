"""The engine of the client role: bytes and time in; commands, bytes and events out.

Use it if you bring your own sockets and clock. ``Engine`` says what you have to do.

Rule 1: network verbs never raise for a mistake of the peer. They close that connection, and an
event tells of the request or the job that it carried.

Rule 2: this file knows connections and requests. ``Conversation`` knows what they mean.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from inspect import Signature, signature
from typing import Any, Unpack

from sansio_gradio.client import commands
from sansio_gradio.client.commands import (
    ConversationCommand,
    EngineAction,
    EngineCommand,
    HasData,
    Observe,
)
from sansio_gradio.client.connection import (
    Connection,
    ConnectionState,
    RequestConnection,
    Transfer,
)
from sansio_gradio.client.conversation import Conversation, SessionOptions
from sansio_gradio.client.news import News, TransferFailed
from sansio_gradio.client.pool import Assign, Open, Pool, is_stale
from sansio_gradio.client.session import Session
from sansio_gradio.client.timers import Timers
from sansio_gradio.client.tunnel import Tunnel
from sansio_gradio.client.via import Proxy
from sansio_gradio.errors import (
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    unforeseen,
)
from sansio_gradio.events import Event, SessionClosed
from sansio_gradio.given import function, one_of
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.given_file import GivenFile, not_read
from sansio_gradio.wire.body import FileSlice
from sansio_gradio.wire.http import BodyReceived, MessageEnded
from sansio_gradio.wire.url import URL, Origin


class Engine:
    """Connections, transfers and timers of any number of sessions.

    ``observe`` is called with all bytes, commands and events. If it raises, it is not called again,
    and each session gets an ``Anomaly``. For the other options see ``Conversation``.

    No bytes of a peer, and no ``json_loads`` that raises, stop an engine. An unexpected exception,
    also a ``MemoryError``, ends only the transfer in which it was raised: in a
    ``RemoteProtocolError`` with that cause, and with an ``Anomaly``. A ``KeyboardInterrupt``, or
    another exception that is not an ``Exception``, passes through.

    After every call, also of a ``Session``, and when ``next_deadline`` has passed, take one step.
    ``now`` is the time in monotonic seconds:

    * each ``next_command``: answer ``OpenConnection`` by ``connection_made`` or ``connection_lost``
      (you look up the host's address, too), ``StartTLS`` by ``tls_made`` or ``connection_lost``;
      before ``CloseConnection`` send the bytes that are left;
    * for each of ``connections_with_data``: send ``data_to_send``, all of it. If ``read_first`` is
      true, read from the socket first, until it would block, and call ``receive_data``. A
      ``FileSlice`` is a part of a file: read it and send it. If the size of the file is not known
      (``upload.size`` is None), call ``body_read`` instead of sending;
    * handle each ``next_event``. It has the number of its session, and of the job in that session.

    ``next_action`` asks all of that in one verb.

    Call ``receive_data`` without bytes when the peer has ended the connection; ``CloseConnection``
    follows. Call ``connection_lost`` when the connection is gone; then it does not follow. Calls
    for a connection that is over are ignored. A mistake of your code raises a
    ``LocalProtocolError``: a connection that the engine never asked for, bytes before
    ``connection_made``, a clock that runs backwards.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        wall_offset: float | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        observe: Observe | None = None,
        strict: bool = False,
        json_loads: Callable[[str | bytes], Any] | None = None,
    ) -> None:
        self._limits = Limits() if limits is None else one_of(limits, Limits, "limits")
        self._timeouts = Timeouts() if timeouts is None else one_of(timeouts, Timeouts, "timeouts")
        self._observe = None if observe is None else function(observe, "observe")
        self._converse = partial(
            Conversation,
            entropy=entropy,
            wall_offset=wall_offset,
            limits=self._limits,
            timeouts=self._timeouts,
            strict=strict,
            json_loads=json_loads,
            on_asked=self._asked_by,
        )
        self._timers: Timers[Connection | Conversation] = Timers()
        self._pool = Pool(self._limits)
        self._commands: deque[EngineCommand] = deque()
        self._sessions: dict[int, Conversation] = {}
        self._touched: dict[int, Conversation] = {}  # may have commands
        self._eventful: dict[int, Conversation] = {}  # may have events
        self._connections: dict[int, Connection] = {}
        self._writable: dict[int, Connection] = {}  # those that have data
        self._to_tell: dict[int, None] = {}  # of those, the ones that were not told as an action
        self._transfers: dict[tuple[int, int], Transfer] = {}
        self._carriers: dict[Transfer, Connection] = {}
        self._reading: dict[GivenFile, tuple[int, int]] = {}  # whole files
        self._open_to: Counter[Origin] = Counter()  # connections
        self._last_connection = 0
        self._last_session = 0
        self._closing = False

    @property
    def is_closed(self) -> bool:
        """Whether all is done after ``close``: every session has had its ``SessionClosed``, and
        every connection is closed. Then you may drop the sockets."""
        return self._closing and not (self._sessions or self._connections or self._commands)

    def close(self) -> None:
        """End all sessions, as ``Session.close`` does. Go on taking steps until ``is_closed``."""
        self._closing = True
        for session in list(self._sessions.values()):
            session.close()
        self._work()

    def session(self, src: str, **options: Unpack[SessionOptions]) -> Session:
        """Begin a session with the app at *src*; for the options see ``Conversation``.

        Raises:
            LocalProtocolError: the engine was closed, or as ``Conversation``.
        """
        if self._closing:
            raise LocalProtocolError("This engine is closed: make a new one for a new session.")
        self._last_session += 1
        conversation = self._converse(src, id=self._last_session, **options)
        self._sessions[conversation.id] = conversation
        self._touch(conversation)
        return conversation

    # Called by the transport: what to do next.

    def next_action(self, now: float | None) -> EngineAction | Event | None:
        """What to do next: a command, something to send, or an event; None: nothing for now.

        In place of ``handle_timer``, ``next_command``, ``connections_with_data`` and
        ``next_event``, in this order. That a connection has data is said once, until all of it was
        taken. *now* None: no deadline passes yet.
        """
        due = self._timers.due
        if now is not None and (self._touched or (due is not None and due <= now)):
            self.handle_timer(now)
        elif self._touched or self._pool.changed:
            self._work()
        if self._commands:
            return self.next_command()
        if self._to_tell:
            conn = next(iter(self._to_tell))
            del self._to_tell[conn]
            return HasData(conn)
        return self.next_event() if self._eventful else None

    def next_command(self) -> EngineCommand | None:
        """The next thing to do with a connection; None: nothing for now."""
        if self._touched or self._pool.changed:
            self._work()
        if not self._commands:
            return None
        command = self._commands.popleft()
        if self._observe is not None:
            conn = None if isinstance(command, commands.ReadFile) else command.conn
            self._tell_observer(conn, "command", command)
        return command

    def connections_with_data(self) -> list[int]:
        """The connections that have something to send."""
        if self._touched or self._pool.changed:
            self._work()
        return list(self._writable)

    def read_first(self, conn: int) -> bool:
        """Whether to read from a connection, until it would block, before ``data_to_send``.

        The connection was idle and will carry a request now. If the peer has closed it, and the
        engine hears of that before it hands out a byte, the request goes on another connection.
        """
        connection = self._writable.get(conn)
        return connection is not None and connection.is_waking

    def data_to_send(
        self, conn: int, max_bytes: int = 65536, now: float | None = None
    ) -> bytes | FileSlice:
        """The next bytes to send on a connection; empty: nothing for now.

        A ``FileSlice`` stands for bytes of a file, which you read. If you cannot, call
        ``body_failed``.

        With *now*, the engine checks once more whether the connection was idle for too long for a
        request that must not be sent twice.
        """
        connection = self._writable.get(conn)
        if connection is None:
            return b""
        if now is not None and connection.is_waking:
            transfer = connection.transfer
            assert transfer is not None
            if is_stale(connection, transfer, now):
                self._timers.tell(now)
                self._broken(connection, None)
                self._work()
                return b""
        data = connection.take(max_bytes)
        if not connection.has_data:
            self._writable.pop(conn, None)
            self._to_tell.pop(conn, None)
            if connection.state is ConnectionState.CLOSED:
                del self._connections[conn]
        if isinstance(data, FileSlice) and data.upload.size is not None:
            self._sent(connection, len(data))
        if self._observe is not None:
            self._tell_observer(conn, "sent", data)
        return data

    def body_read(self, upload: GivenFile, data: bytes) -> None:
        """The bytes of a file: all that ``ReadFile`` asked for, or the next of a ``FileSlice`` of a
        file of unknown size; then none mean its end."""
        self._timers.tell(None)
        if upload in self._reading:
            self._tell_read(upload, data)
        elif (connection := self._sending(upload)) is not None:
            connection.send_read(data)
            self._note_data(connection)
            self._sent(connection, len(data))
        self._work()

    def body_failed(self, upload: GivenFile, error: Exception) -> None:
        """A file cannot be read, or is not as it was. Its upload fails."""
        self._timers.tell(None)
        if upload in self._reading:
            self._tell_read(upload, not_read(upload, error))
        elif (connection := self._sending(upload)) is not None:
            transfer = connection.transfer
            assert transfer is not None
            self._fail(transfer, not_read(upload, error))
            self._release(connection)
        self._work()

    def next_event(self) -> Event | None:
        """The next event for the application; None: nothing for now."""
        for conversation in list(self._eventful.values()):
            event = conversation.next_event()
            if event is not None:
                if type(event) is SessionClosed:
                    del self._sessions[conversation.id], self._eventful[conversation.id]
                    self._timers.stop(conversation)
                    self._work()
                if self._observe is not None:
                    self._tell_observer(None, "event", event)
                return event
            del self._eventful[conversation.id]
        return None

    def next_deadline(self) -> float | None:
        """When ``handle_timer`` is due, in monotonic seconds; it may have passed already."""
        # What was asked of a session is to be done at once.
        return 0.0 if self._touched else self._timers.due

    # What the network tells.

    def connection_made(self, conn: int, now: float) -> None:
        """The connection that ``OpenConnection`` asked for is made."""
        connection = self._known(conn, now)
        if connection is None or connection.state is not ConnectionState.OPENING:
            return
        if connection.tunnel is not None:
            connection.state = ConnectionState.TUNNELLING
            connection.write(connection.tunnel.request())
            self._note_data(connection)
        else:
            self._reached(connection)

    def tls_made(self, conn: int, now: float) -> None:
        """The TLS that ``StartTLS`` asked for protects the connection.

        Raises:
            LocalProtocolError: nothing asked for it.
        """
        connection = self._known(conn, now)
        if connection is None or connection.state is ConnectionState.CLOSED:
            return
        is_early = connection.state in (ConnectionState.OPENING, ConnectionState.TUNNELLING)
        if is_early or connection.origin[0] != "https":
            raise LocalProtocolError(f"No StartTLS asked for TLS on connection {conn}.")
        if connection.state is ConnectionState.SECURING:
            self._opened(connection)

    def receive_data(self, conn: int, data: bytes, now: float) -> None:
        """Bytes have come. No bytes: the peer has ended its side.

        Raises:
            LocalProtocolError: bytes came before ``connection_made``.
        """
        self._timers.tell(now)
        connection = self._connections.get(conn)
        if connection is None:
            self._demand_known(conn)
            return
        if connection.state is ConnectionState.CLOSED:
            return
        if connection.state is ConnectionState.TUNNELLING:
            self._tunnel(connection, data)
            return
        if connection.state is not ConnectionState.OPEN:
            if not data:
                self.connection_lost(conn, None, now)
            elif connection.state is ConnectionState.OPENING:
                raise LocalProtocolError(f"Data came on connection {conn} before connection_made.")
            return  # a server of https may send nothing before TLS
        if self._observe is not None:
            self._tell_observer(conn, "received", data)
        try:
            if news := connection.receive(data):
                self._deliver(connection, news, now)
            error: Exception | None = connection.error
        except RemoteProtocolError as broke:
            # A message that the end cut short was not wrong.
            error = broke if data else EOFError("the server closed it")
        except Exception as fault:  # it ends this transfer, and nothing beside it
            self._fault(connection, fault)
            error = None
        if connection.has_data and conn in self._connections:
            self._note_data(connection)
        if error is not None or not data:
            self._broken(connection, error)
        self._work()

    def connection_lost(self, conn: int, error: BaseException | None, now: float) -> None:
        """A connection is gone, or could not be made. *error* says why; None: the peer ended it."""
        connection = self._known(conn, now)
        for command in list(self._commands):
            if not isinstance(command, commands.ReadFile) and command.conn == conn:
                self._commands.remove(command)  # nothing is left to be done with it
        if connection is None:
            return
        if connection.state is ConnectionState.CLOSED:
            self._forget(connection)  # what it still had to say is lost
            return
        connection.is_gone = True
        if error is None and connection.state is ConnectionState.OPEN:
            self.receive_data(conn, b"", now)
        self._broken(connection, error)
        self._work()

    def handle_timer(self, now: float) -> None:
        """The time is *now*."""
        self._timers.tell(now)
        for conversation in list(self._touched.values()):
            conversation.handle_timer(now)
        while (name := self._timers.next_due()) is not None:
            if isinstance(name, Connection):
                self._late(name)
            else:
                name.handle_timer(now)
                self._touch(name)
        self._work()

    # Connections.

    def _known(self, conn: int, now: float) -> Connection | None:
        self._timers.tell(now)
        connection = self._connections.get(conn)
        if connection is None:
            self._demand_known(conn)
        return connection

    def _demand_known(self, conn: int) -> None:
        if not 0 < conn <= self._last_connection:
            raise LocalProtocolError(f"there never was a connection {conn}")

    def _open(self, transfer: Transfer) -> None:
        id = self._last_connection = self._last_connection + 1
        if isinstance(transfer.command, commands.OpenWebSocket):
            from sansio_gradio.client import websocket_connection as ws  # noqa: PLC0415  # see there

            connection: Connection = ws.SocketConnection.make(id, transfer, self._limits)
            self._carriers[transfer] = connection
        else:
            connection = RequestConnection.make(id, transfer, self._limits)
        self._connections[id] = connection
        (_, host, port), via = connection.destination
        if isinstance(via, Proxy):
            connection.is_forwarded = transfer.url.scheme == "http"
            if not connection.is_forwarded:
                connection.tunnel = Tunnel(via, transfer.url, self._limits)
        tls = connection.server_name
        place = None if via is None else via.place
        self._commands.append(commands.OpenConnection(id, host, port, tls, place))
        self._start_deadline(connection)

    def _tunnel(self, connection: Connection, data: bytes) -> None:
        """A proxy has said something of the connection that it was asked for."""
        assert connection.tunnel is not None
        if self._observe is not None:
            self._tell_observer(connection.id, "received", data)
        try:
            if connection.tunnel.receive(data):
                self._reached(connection)
        except GradioError as error:
            self._broken(connection, error)
        except Exception as fault:  # it ends this connection, and nothing beside it
            self._fault(connection, fault)
        self._work()

    def _reached(self, connection: Connection) -> None:
        """There is a connection to the host."""
        if (name := connection.server_name) is not None:
            connection.state = ConnectionState.SECURING
            self._start_deadline(connection)
            self._commands.append(commands.StartTLS(connection.id, name))
        else:
            self._opened(connection)

    def _start_deadline(self, connection: Connection) -> None:
        seconds = getattr(self._timeouts, connection.state.phase)
        self._timers.start(connection, seconds)

    def _late(self, connection: Connection) -> None:
        try:
            self._broken(connection, DeadlineExceeded(phase=connection.state.phase))
        except Exception as fault:  # it ends this connection, and nothing beside it
            self._fault(connection, fault)

    def _opened(self, connection: Connection) -> None:
        self._timers.stop(connection)
        connection.state = ConnectionState.OPEN
        self._open_to[connection.origin] += 1
        if connection.transfer is None:
            self._pool.opened(connection, self._timers.now)
        else:
            self._send(connection.transfer, connection)
        self._work()

    def _broken(self, connection: Connection, error: BaseException | None) -> None:
        """A connection cannot be used any more. Its transfer fails, or goes on another
        connection."""
        if connection.state is ConnectionState.CLOSED:
            return
        failure = connection.what_broke(error)
        was_open = connection.state is ConnectionState.OPEN
        transfer = connection.transfer
        if transfer is not None:
            if not transfer.handed_out:
                self._sessions[transfer.key[0]].doubt_app(self._timers.now)
            self._release(connection)
        elif was_open:
            self._pool.lost(connection)
            self._close(connection)
        else:
            self._pool.not_opened(connection)
            self._close(connection)
            transfer = connection.opened_for
            if transfer.key not in self._transfers or transfer in self._carriers:
                transfer = None  # another connection was there before this one
        if was_open:
            self._reconsider_waiting(connection)
        if transfer is None or transfer.aborted:
            return
        transfer.attempts += not connection.has_rested
        if was_open and transfer.may_be_repeated:
            if not (connection.is_forwarded or self._is_wanted(transfer)):
                return
            transfer.handed_out = False
            self._pool.want(transfer, first=True)
        else:
            self._fail(transfer, failure)

    def _reconsider_waiting(self, gone: Connection) -> None:
        """A connection is gone: drop the waiting transfers that must not go on another one."""
        if gone.is_forwarded:
            return
        for transfer in self._pool.waiting(gone.destination):
            self._is_wanted(transfer)

    def _is_wanted(self, transfer: Transfer) -> bool:
        """Whether a transfer is to go on another connection; if not, it is dropped."""
        session, id = transfer.key
        conversation = self._sessions[session]
        if conversation.is_wanted(id, self._timers.now):
            return True
        del self._transfers[transfer.key]
        transfer.aborted = True
        self._touch(conversation)
        return False

    def _close(self, connection: Connection) -> None:
        self._timers.stop(connection)
        if connection.state is ConnectionState.OPEN:
            self._closed_to(connection.origin)
        connection.state = ConnectionState.CLOSED
        connection.end()
        if not connection.is_gone:
            self._commands.append(commands.CloseConnection(connection.id))
        if connection.is_gone or not connection.has_data:
            self._forget(connection)
        else:
            self._note_data(connection)

    def _closed_to(self, origin: Origin) -> None:
        self._open_to[origin] -= 1
        if self._open_to[origin]:
            return
        del self._open_to[origin]
        # A connection that is being made shows whether the app is there. Some proxies close each
        # connection behind its answer: without this there would be a doubt behind each.
        others = (other for other in self._connections.values() if other.origin == origin)
        if not any(other.state.is_being_made for other in others):
            for conversation in self._sessions.values():
                if conversation.origin == origin:
                    conversation.doubt_app(self._timers.now)

    def _set_reading(self, connection: Connection, on: bool) -> None:
        if connection.is_read is not on:
            connection.is_read = on
            verb = commands.ResumeReading if on else commands.PauseReading
            self._commands.append(verb(connection.id))

    def _forget(self, connection: Connection) -> None:
        self._writable.pop(connection.id, None)
        self._to_tell.pop(connection.id, None)
        del self._connections[connection.id]

    def _note_data(self, connection: Connection) -> None:
        """Note that a connection may have something to send."""
        self._writable[connection.id] = connection
        self._to_tell[connection.id] = None

    # Exchanges.

    def _tell_read(self, upload: GivenFile, read: bytes | GradioError) -> None:
        """Hand the content of a file to the conversation that has asked for it."""
        session, id = self._reading.pop(upload)
        if (conversation := self._sessions.get(session)) is None:
            return
        if isinstance(read, GradioError):
            conversation.failed(id, read)
        else:
            conversation.receive(id, (BodyReceived(read), MessageEnded()))
        self._touch(conversation)

    def _sending(self, upload: GivenFile) -> RequestConnection | None:
        """The connection on which a file is being sent."""
        for transfer, connection in self._carriers.items():
            if transfer.body is not None and transfer.body.has(upload):
                assert isinstance(connection, RequestConnection)
                return connection
        return None

    def _sent(self, connection: Connection, size: int) -> None:
        """Some bytes of a file were handed out."""
        transfer = connection.transfer
        assert transfer is not None
        session, id = transfer.key
        self._sessions[session].sent(id, size)
        self._touch(self._sessions[session])

    def _work(self) -> None:
        """Carry out the commands of conversations, and the plans of the pool."""
        if self._touched:
            self._carry_out_touched()
        if not self._sessions:
            for unused in list(self._connections.values()):
                self._broken(unused, None)
        if not self._pool.changed:
            return
        for step in self._pool.plan(self._timers.now):
            match step:
                case Assign(transfer, connection):
                    self._send(transfer, connection)
                case Open(transfer):
                    self._open(transfer)
                case _:
                    self._close(step.connection)
                    self._reconsider_waiting(step.connection)

    def _carry_out_touched(self) -> None:
        while self._touched:
            # In the order in which they were touched, so that no session overtakes another.
            conversation = self._touched.pop(next(iter(self._touched)))
            while (command := conversation.next_command()) is not None:
                try:
                    self._carry_out(conversation, command)
                except Exception as fault:  # it ends this transfer, and nothing beside it
                    self._transfers.pop((conversation.id, command.id), None)
                    conversation.fault(command.id, fault)
            # Waking too early does no harm, and saves a timer for each step.
            if (due := conversation.new_deadline()) is not None:
                self._timers.start_by(conversation, due)

    def _carry_out(self, conversation: Conversation, command: ConversationCommand) -> None:
        key = conversation.id, command.id
        if isinstance(command, commands.ReadFile):
            self._reading[command.upload] = key
            self._commands.append(command)
        elif isinstance(command, commands.SendRequest | commands.OpenWebSocket):
            url = URL.parse(command.url)
            transfer = self._transfers[key] = Transfer(key, command, url)
            is_request = isinstance(command, commands.SendRequest)
            (self._pool.want if is_request else self._open)(transfer)
        elif key in self._transfers:
            connection = self._carriers.get(transfer := self._transfers[key])
            if isinstance(command, commands.Abort):
                self._abort(transfer, connection)
            elif isinstance(command, commands.SendText):
                assert connection is not None  # it was open when this was asked
                connection.send_text(command.text)
                self._note_data(connection)
            else:
                transfer.is_read = isinstance(command, commands.Resume)
                if connection is not None:
                    self._set_reading(connection, transfer.is_read)

    def _send(self, transfer: Transfer, connection: Connection) -> None:
        self._carriers[transfer] = connection
        if connection.is_read is not transfer.is_read:
            self._set_reading(connection, transfer.is_read)
        try:
            connection.begin(transfer)
        except Exception as fault:  # it ends this transfer, and nothing beside it
            self._fault(connection, fault)
        else:
            self._note_data(connection)

    def _abort(self, transfer: Transfer, connection: Connection | None) -> None:
        del self._transfers[transfer.key]
        transfer.aborted = True
        if connection is not None:
            self._release(connection)

    def _release(self, connection: Connection) -> None:
        """Take the transfer off its connection, which is reused or closed."""
        transfer, connection.transfer = connection.transfer, None
        assert transfer is not None
        self._carriers.pop(transfer, None)
        # The whole answer to an aborted transfer may have come already.
        is_kept = connection.is_reusable and not connection.is_gone
        self._pool.released(connection, transfer, self._timers.now, is_kept=is_kept)
        if not is_kept:
            self._close(connection)
        elif not connection.is_read:
            self._set_reading(connection, True)

    def _deliver(self, connection: Connection, news: Sequence[News], now: float) -> None:
        transfer = connection.transfer
        assert transfer is not None  # or what came was not asked for, which is an error
        session, id = transfer.key
        conversation = self._sessions[session]
        self._touch(conversation)
        has_ended = isinstance(news[-1], MessageEnded | TransferFailed)
        if has_ended:
            del self._transfers[transfer.key]
        conversation.receive(id, news, now)
        if has_ended:
            # What the conversation says to this is heard before the connection is closed, which
            # may be the last one, and a reason to ask for the app again.
            self._carry_out_touched()
            self._release(connection)

    def _fault(self, connection: Connection, fault: Exception) -> None:
        """Give up a connection on which an unexpected exception was raised, and its transfer."""
        transfer = connection.transfer
        if transfer is not None:
            conversation = self._sessions[transfer.key[0]]
            conversation.fault(transfer.command.id, fault)
            self._touch(conversation)
            self._transfers.pop(transfer.key, None)
            transfer.aborted = True
        self._broken(connection, unforeseen(fault))

    def _fail(self, transfer: Transfer, error: GradioError) -> None:
        transfer.aborted = True  # where it still waits in the pool
        del self._transfers[transfer.key]
        conversation = self._sessions[transfer.key[0]]
        conversation.failed(transfer.command.id, error, self._timers.now)
        self._touch(conversation)

    def _asked_by(self, conversation: Conversation) -> None:
        """The application has asked a session for something, at a time that is not known."""
        self._timers.tell(None)
        self._touch(conversation)

    def _touch(self, conversation: Conversation) -> None:
        self._touched[conversation.id] = conversation
        self._eventful[conversation.id] = conversation

    def _tell_observer(self, conn: int | None, direction: str, what: object) -> None:
        assert self._observe is not None
        try:
            self._observe(self._timers.now, conn, direction, what)
        except Exception as error:  # an observer must not stop the engine
            self._observe = None
            for conversation in self._sessions.values():
                conversation.fault(None, error)
                self._touch(conversation)


def _with_each_option() -> Signature:
    """The signature of ``Engine.session`` for ``help``: each option, as ``Conversation`` has it."""
    short, whole = signature(Engine.session), signature(Conversation).parameters
    given = [short.parameters[name] for name in ("self", "src")]
    options = [whole[name] for name in SessionOptions.__annotations__]
    return short.replace(parameters=[*given, *options])


vars(Engine.session)["__signature__"] = _with_each_option()
