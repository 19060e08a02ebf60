"""One connection of the engine, and one transfer that uses it."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

import attrs

from sansio_gradio.client.commands import Expect, OpenWebSocket, SendRequest
from sansio_gradio.client.news import News
from sansio_gradio.client.tunnel import Tunnel
from sansio_gradio.client.via import Proxy, Via
from sansio_gradio.errors import ConnectFailed, ConnectionLost, GradioError, RemoteProtocolError
from sansio_gradio.limits import Limits
from sansio_gradio.wire.body import Body, FileSlice
from sansio_gradio.wire.headers import Headers
from sansio_gradio.wire.http import HTTPConnection, ResponseStarted, Role
from sansio_gradio.wire.outbox import Outbox
from sansio_gradio.wire.url import URL, Origin

_IDLE: Final = 408
_CRASHED: Final = 500


class Destination(NamedTuple):
    """Where a connection leads, and how: transfers of one destination may share connections."""

    origin: Origin
    via: Via | None


@attrs.define(eq=False)
class Transfer:
    """A request or a WebSocket that waits for a connection, or is on one.

    ``key``: the number of its session, and the number of its command there.
    """

    key: tuple[int, int]
    command: SendRequest | OpenWebSocket
    url: URL
    attempts: int = 0  # connections that broke on it; those that had rested before do not count
    handed_out: bool = False  # the last byte of the request
    answered: bool = False  # with at least one byte
    aborted: bool = False
    is_read: bool = True  # it is not paused
    is_spent: bool = False  # a part of its body cannot be read again
    destination: Destination = attrs.field(init=False)
    expect: Expect = attrs.field(init=False)
    """The kind of answer to expect; a WebSocket stays open."""

    def __attrs_post_init__(self) -> None:
        command = self.command
        self.destination = Destination(self.url.origin, command.via)
        self.expect = command.expect if isinstance(command, SendRequest) else Expect.STREAM

    @property
    def body(self) -> Body | None:
        """The body, if there are files in it."""
        body = getattr(self.command, "body", None)
        return body if isinstance(body, Body) else None

    @property
    def is_safe(self) -> bool:
        """Whether sending it twice does no harm."""
        return isinstance(self.command, SendRequest) and self.command.method in ("GET", "HEAD")

    @property
    def may_be_repeated(self) -> bool:
        """Whether it goes on another connection when this one breaks: only if not all of it was
        sent, or if sending it twice does no harm. A WebSocket's handshake never does."""
        return (
            isinstance(self.command, SendRequest)
            and self.attempts <= 1
            and not (self.answered or self.is_spent)
            and (self.is_safe or not self.handed_out)
        )


class ConnectionState(enum.Enum):
    OPENING = enum.auto()
    TUNNELLING = enum.auto()  # a proxy is asked to connect to the host
    SECURING = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()  # for the engine; there may still be bytes to send

    @property
    def is_being_made(self) -> bool:
        """Whether the connection is on its way to ``OPEN``."""
        return self not in (ConnectionState.OPEN, ConnectionState.CLOSED)

    @property
    def phase(self) -> str:
        """The phase of errors before a connection is open, and its name in ``Timeouts``."""
        return "tls" if self is ConnectionState.SECURING else "connect"


@attrs.define(eq=False)
class Connection(ABC):
    """One connection, and the transfer that it carries.

    ``opened_for``: the transfer for which it was opened. ``is_gone``: it was lost, so there is
    nothing to close. ``idle_since``: when it became idle. ``has_rested``: it was idle before its
    transfer, so the peer may have closed it. ``is_waking``: it was, and no byte of the transfer was
    handed out yet. ``is_read``: it is not paused. ``tunnel``: the way through a proxy to the host;
    None: none is needed.
    """

    id: int
    destination: Destination
    opened_for: Transfer
    transfer: Transfer | None = None
    state: ConnectionState = ConnectionState.OPENING
    is_gone: bool = False
    has_rested: bool = False
    is_waking: bool = False
    is_read: bool = True
    idle_since: float = 0.0  # monotonic seconds
    error: RemoteProtocolError | None = None
    """What the peer did wrong, seen behind what ``receive`` has returned."""
    tunnel: Tunnel | None = None
    is_forwarded: bool = False
    """A proxy forwards each request: it ends at the proxy, and its end says nothing of the app."""
    _out: Outbox = attrs.field(factory=Outbox, init=False)
    _open: FileSlice | None = attrs.field(default=None, init=False)
    """What is to be sent, behind that, of a file of unknown size."""

    @property
    def origin(self) -> Origin:
        """Scheme, host and port to which it leads."""
        return self.destination.origin

    @property
    def server_name(self) -> str | None:
        """The name of the host for TLS; None: TLS is not spoken.

        No certificate has the dot that may end a name (RFC 6066 section 3).
        """
        scheme, host, _ = self.origin
        return host.removesuffix(".") if scheme == "https" else None

    @property
    @abstractmethod
    def is_reusable(self) -> bool:
        """Whether it can carry another transfer now."""

    @abstractmethod
    def begin(self, transfer: Transfer) -> None:
        """Carry *transfer*."""

    @abstractmethod
    def receive(self, data: bytes) -> Sequence[News]:
        """The news that *data* completes, in order. Empty *data*: the peer's end.

        Raises:
            RemoteProtocolError: the peer broke the protocol.
        """

    def send_text(self, text: str) -> None:
        """Send a text message on a WebSocket."""
        raise AssertionError(f"requests carry no texts: {text!r}")

    @abstractmethod
    def end(self) -> None:
        """Drop the bytes that wait, and end the connection politely where the protocol has a word
        for it."""

    def write(self, data: bytes | FileSlice) -> None:
        """Queue bytes, or a slice of a file, to be sent."""
        self._out.put(data)

    def discard(self) -> None:
        """Drop the bytes that wait."""
        self._out.clear()

    @property
    @abstractmethod
    def has_data(self) -> bool:
        """Whether there is something to send."""

    def take(self, max_bytes: int) -> bytes | FileSlice:
        """Hand out the next bytes, or the next slice of a file, at most *max_bytes*."""
        out = self._out
        data: bytes | FileSlice = out.take(max_bytes)
        if not data and out.slices:
            data = out.take_slice(max_bytes) or b""
        if data:
            self.is_waking = False
        transfer = self.transfer
        if transfer is not None and out.size == 0 and self._open is None:
            transfer.handed_out = self.state is not ConnectionState.TUNNELLING
        return data

    def what_broke(self, error: BaseException | None) -> GradioError:
        """The error for the transfer of this connection."""
        via, state = self.destination.via, self.state
        broke: GradioError
        if isinstance(error, ConnectionLost) and state is ConnectionState.TUNNELLING:
            # To the transport it was a connection, and not to the app.
            broke = ConnectFailed(error, phase=state.phase)
            broke.__cause__ = error
        elif isinstance(error, GradioError):
            broke = error
        else:
            because = "" if error is None else f": {str(error) or type(error).__name__}"
            where = f"{self.origin[1]} port {self.origin[2]}"
            if state is ConnectionState.OPEN:
                through = "" if via is None else f", through {via},"
                broke = ConnectionLost(
                    f"the connection to {where}{through} ended too early{because}"
                )
            else:
                broke = ConnectFailed(f"no connection to {where}{because}", phase=state.phase)
            broke.__cause__ = error
        is_of_proxy = state in (ConnectionState.OPENING, ConnectionState.TUNNELLING)
        return broke.about(f"{via}") if isinstance(via, Proxy) and is_of_proxy else broke


@attrs.define(eq=False)
class RequestConnection(Connection):
    """Carries requests, one after the other."""

    wire: HTTPConnection = attrs.field(kw_only=True)
    _is_left: bool = attrs.field(default=False, init=False)
    _is_reading: bool = attrs.field(default=False, init=False)  # the next bytes of it

    @classmethod
    def make(cls, id: int, transfer: Transfer, limits: Limits) -> RequestConnection:
        wire = HTTPConnection(Role.CLIENT, max_header_size=limits.header)
        return cls(id, transfer.destination, transfer, wire=wire)

    @property
    def is_reusable(self) -> bool:
        # If a file is answered before it was sent whole, it is not sent any further.
        return self.wire.is_reusable and not (self._is_left or self._out.slices)

    def begin(self, transfer: Transfer) -> None:
        command, url = transfer.command, transfer.url
        assert isinstance(command, SendRequest)
        self.transfer = transfer
        self.is_waking = self.has_rested
        target: str = url.target
        own: Headers = (("host", url.host_header),)
        via = self.destination.via
        if self.is_forwarded and isinstance(via, Proxy):
            target, own = str(url), (*own, *via.authorization)
        headers = (*own, *command.headers)
        if isinstance(command.body, Body):
            for piece in self.wire.send_pieces(command.method, target, headers, command.body):
                self.write(piece)
            self._open = command.body.open_slice
        else:
            self._out.put(self.wire.send_request(command.method, target, headers, command.body))

    @property
    def has_data(self) -> bool:
        return self._out.size > 0 or (self._open is not None and not self._is_reading)

    def take(self, max_bytes: int) -> bytes | FileSlice:
        data = super().take(max_bytes)
        if data or self._open is None or self._is_reading:
            return data
        assert self.transfer is not None
        self._is_reading = self.transfer.is_spent = True
        return FileSlice(self._open.upload, self._open.offset, max_bytes)

    def send_read(self, data: bytes) -> None:
        """Send the next bytes of the file of unknown size; none: that was all of it."""
        assert self._open is not None
        assert self.transfer is not None
        self._is_reading = False
        upload, offset = self._open.upload, self._open.offset
        if data:
            self.write(self.wire.send_body(data))
            self._open = FileSlice(upload, offset + len(data), None)
            return
        self._open = None
        body = self.transfer.body
        assert body is not None
        for piece in body.behind_open_slice:
            self.write(self.wire.send_body(piece))
        self.write(self.wire.end_body())

    def receive(self, data: bytes) -> Sequence[News]:
        if not data:
            return self.wire.receive_eof()
        if self.transfer is not None:
            if self.is_waking:
                raise RemoteProtocolError("The server spoke without having been asked.")
            self.transfer.answered = True
        events = self.wire.receive_data(data)
        self.error = self.wire.error
        if events and type(events[0]) is ResponseStarted:
            if events[0].status == _IDLE and self.has_rested and self.transfer is not None:
                # Some servers say so before they close an idle connection (RFC 9110 15.5.9). It
                # was on its way before the request came, and is no answer to it.
                self.transfer.answered = False
                self._is_left = True
                raise RemoteProtocolError("The server had waited for too long for a request.")
            # A server may hang up behind "Internal Server Error" without a word (Gradio 6.31.0),
            # and the next POST would meet its end.
            self._is_left = events[0].status == _CRASHED
        return events

    def end(self) -> None:
        self.discard()  # half a request is of no use
        self._open = None
