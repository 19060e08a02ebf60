"""What the client role asks its surroundings to do.

``Conversation`` speaks of requests and answers (for those who bring an HTTP library), ``Engine`` of
connections and bytes (for those who bring sockets).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from sansio_gradio.wire.headers import Headers


class Expect(enum.Enum):
    """What kind of answer a request is going to get."""

    ANSWER = enum.auto()
    """A short one, soon. ``Engine`` has ``Limits.connections`` for these."""
    CALL = enum.auto()
    """One that takes as long as the app's function. ``Engine`` has ``Limits.calls`` for these."""
    STREAM = enum.auto()
    """One that stays open and arrives bit by bit: it needs a connection of its own."""


@attrs.frozen
class SendRequest:
    """Send this request, without following redirects; tell ``response``, ``data``, ``ended``."""

    id: int
    method: str
    url: str
    headers: Headers
    body: bytes | None
    expect: Expect


@attrs.frozen
class OpenWebSocket:
    """Open a WebSocket; tell ``response`` (101, or what came instead), ``text``, ``ended``."""

    id: int
    url: str
    headers: Headers


@attrs.frozen
class SendText:
    """Send a text message on an open WebSocket."""

    id: int
    text: str


@attrs.frozen
class Abort:
    """Drop a request, or a WebSocket with Close 1000, wherever it is; say no more of it."""

    id: int


@attrs.frozen
class Pause:
    """Read no more of the answer to this request until ``Resume``; who cannot need not."""

    id: int


@attrs.frozen
class Resume:
    """Read the answer to this request again."""

    id: int


ConversationCommand: TypeAlias = SendRequest | OpenWebSocket | SendText | Abort | Pause | Resume


@attrs.frozen
class OpenConnection:
    """Connect to ``host`` and ``port``; tell ``connection_made``, or ``connection_lost``.

    ``server_name``: not None where TLS will be asked for next. ``via``: the (host, port) of a proxy
    to connect to instead, or None.
    """

    conn: int
    host: str
    port: int
    server_name: str | None = None
    via: tuple[str, int] | None = None


@attrs.frozen
class StartTLS:
    """Start TLS as a client on an open connection; tell ``tls_made``, or ``connection_lost``."""

    conn: int
    server_name: str


@attrs.frozen
class CloseConnection:
    """Send what ``data_to_send`` still has, then close; no ``connection_lost`` is expected."""

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
    OpenConnection | StartTLS | CloseConnection | PauseReading | ResumeReading
)

Observe: TypeAlias = Callable[[float, int | None, str, Any], None]
"""Told (now, connection or None, direction, what): ``sent`` and ``received`` bytes, ``command`` and
``event`` objects, as they pass."""
