"""The commands of the client role to the transport.

A ``Conversation`` has commands about requests and WebSockets, for an HTTP library. An ``Engine``
has commands about connections, for sockets.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from sansio_gradio.client.via import Via
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.wire.body import Body
from sansio_gradio.wire.headers import Headers


class Expect(enum.Enum):
    """The kind of answer that a request will get."""

    ANSWER = enum.auto()
    """A short one, soon. ``Engine`` has ``Limits.connections`` for these."""
    CALL = enum.auto()
    """One that takes as long as the app's function. ``Engine`` has ``Limits.calls`` for these."""
    STREAM = enum.auto()
    """One that stays open and arrives bit by bit: it needs a connection of its own."""


def _public(url: str) -> str:
    """How a command shows its URL, and what it carries: without anything that may be a secret."""
    return repr(url.partition("?")[0])


@attrs.frozen
class SendRequest:
    """Send this request, without following redirects. Call ``response``, ``data``, ``ended``.

    Its ``repr`` shows neither the header fields nor the body nor the query, since they may hold
    secrets. ``via``: send it through this proxy or Unix socket; None: to the host of ``url``.

    ``body``: bytes, or a ``Body`` with files in it. Then read each ``FileSlice`` and send it, and
    call ``sent`` after each piece that you have sent; without that, ``Timeouts.send`` counts from
    the start. If a file cannot be read, or not as many bytes as were promised, call ``failed``.
    """

    id: int
    method: str
    url: str = attrs.field(repr=_public)
    headers: Headers = attrs.field(repr=False)
    body: bytes | Body | None = attrs.field(repr=False)
    expect: Expect
    via: Via | None = None


@attrs.frozen
class OpenWebSocket:
    """Open a WebSocket. Call ``response`` (101, or the status of another answer), ``text``,
    ``ended``. For ``via`` see ``SendRequest``."""

    id: int
    url: str = attrs.field(repr=_public)
    headers: Headers = attrs.field(repr=False)
    via: Via | None = None


@attrs.frozen
class SendText:
    """Send a text message on an open WebSocket."""

    id: int
    text: str


@attrs.frozen
class Abort:
    """Drop a request, or close a WebSocket with Close 1000. Tell no more of it."""

    id: int


@attrs.frozen
class Pause:
    """Read no more of the answer to this request until ``Resume``. You may ignore this."""

    id: int


@attrs.frozen
class Resume:
    """Read the answer to this request again."""

    id: int


@attrs.frozen
class ReadFile:
    """Read a whole file. To a ``Conversation`` tell ``data`` and ``ended``, or ``failed``, as of an
    answer; to an ``Engine`` ``body_read`` or ``body_failed``.

    Servers before 3.19, and before 4.0 for an Image, get the content among the arguments. If there
    are more than ``limit`` bytes, you need not read all of them.
    """

    id: int
    upload: GivenFile
    limit: int


ConversationCommand: TypeAlias = (
    SendRequest | OpenWebSocket | SendText | Abort | Pause | Resume | ReadFile
)


@attrs.frozen
class OpenConnection:
    """Connect to ``host`` and ``port``. Call ``connection_made`` or ``connection_lost``.

    ``server_name``: not None if ``StartTLS`` follows. ``via``, if it is not None: connect to this
    instead: the (host, port) of a proxy, or the (path, 0) of a Unix socket. A path starts with a
    slash, and a host never does.
    """

    conn: int
    host: str
    port: int
    server_name: str | None = None
    via: tuple[str, int] | None = None


@attrs.frozen
class StartTLS:
    """Start TLS as a client on an open connection. Call ``tls_made`` or ``connection_lost``."""

    conn: int
    server_name: str


@attrs.frozen
class CloseConnection:
    """Send the rest of ``data_to_send``, then close. Do not call ``connection_lost``."""

    conn: int


@attrs.frozen
class PauseReading:
    """Read no more from this connection until ``ResumeReading``."""

    conn: int


@attrs.frozen
class ResumeReading:
    """Read from this connection again."""

    conn: int


EngineCommand: TypeAlias = (
    OpenConnection | StartTLS | CloseConnection | PauseReading | ResumeReading | ReadFile
)


@attrs.frozen
class HasData:
    """A connection has something to send: send all of ``data_to_send``."""

    conn: int


EngineAction: TypeAlias = EngineCommand | HasData

Observe: TypeAlias = Callable[[float, int | None, str, Any], None]
"""Called with (now, connection or None, direction, what). The directions are ``sent`` and
``received`` for bytes, ``command`` and ``event`` for objects. For a part of a file that is sent,
*what* is the ``FileSlice``."""
