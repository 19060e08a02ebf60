"""Events and commands of the server role.

Events tell the application what to run. Commands tell the transport what to send. ``job`` is the
number by which the application's verbs name a job. ``exchange`` is the number that the transport
gave to a request; it stays the same if the request becomes an event stream or a WebSocket.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import Function
from sansio_gradio.server.contents import Content
from sansio_gradio.wire import json
from sansio_gradio.wire.headers import Headers

__all__ = [
    "CSS",
    "EVENTS",
    "HTML",
    "JSON",
    "TEXT",
    "ChunkReceived",
    "EndChannel",
    "InputEnded",
    "JobAbandoned",
    "JobEvent",
    "JobHeld",
    "JobReleased",
    "JobSubmitted",
    "LoginRaised",
    "OpenChannel",
    "SendAlive",
    "SendBytes",
    "SendEvent",
    "SendFile",
    "SendMessage",
    "SendResponse",
    "ServerCommand",
    "ServerEvent",
    "SessionEnded",
    "StorageRaised",
]

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"


@attrs.frozen(kw_only=True)
class JobSubmitted:
    """Run a job: its turn has come and its data is complete. Call ``start`` first.

    ``data`` has one item for each parameter, or fewer if the client sent fewer. State slots are
    filled in. ``queued`` is False for a plain call: its result is its only message. ``headers`` are
    those of the client's request. ``user``: who has logged in; None: nobody.
    """

    job: int
    function: Function
    data: list[Any]
    session_hash: str | None
    event_data: Any = None
    trigger_id: int | None = None
    headers: Headers = attrs.field(default=(), repr=False)
    queued: bool = True
    user: str | None = None


@attrs.frozen(kw_only=True)
class JobAbandoned:
    """Stop a job: nobody waits for it any more. Further verbs for it have no effect."""

    job: int


@attrs.frozen(kw_only=True)
class JobHeld:
    """Let the function wait after its next output: its client is behind with reading."""

    job: int


@attrs.frozen(kw_only=True)
class JobReleased:
    """Let the function go on, which was held: its client has caught up."""

    job: int


@attrs.frozen(kw_only=True)
class ChunkReceived:
    """The next piece of a streaming input has come: answer it by ``generate``."""

    job: int
    data: list[Any]


@attrs.frozen(kw_only=True)
class InputEnded:
    """A streaming input has ended, and its job with it."""

    job: int


@attrs.frozen(kw_only=True)
class SessionEnded:
    """A visitor has gone: nothing is open for this session any more, or it was forgotten.

    Drop what you keep for this session. If the visitor comes back and goes again, this event
    comes again. A client is seen to go only if it keeps a stream open: a heartbeat (4.25 and
    later) or its messages (4.9 and later).
    """

    session_hash: str


@attrs.frozen(kw_only=True)
class LoginRaised:
    """A function that you gave the app for its logins has raised. The client got a 500."""

    error: BaseException


@attrs.frozen(kw_only=True)
class StorageRaised:
    """The storage that you gave for uploads has raised. The client got a 500."""

    error: OSError


JobEvent: TypeAlias = (
    JobSubmitted | JobAbandoned | JobHeld | JobReleased | ChunkReceived | InputEnded
)
ServerEvent: TypeAlias = JobEvent | SessionEnded | LoginRaised | StorageRaised


@attrs.frozen
class SendResponse:
    """Answer a request. ``body`` is sent as JSON, or as it is if ``content_type`` is another one.

    ``content_type`` None: an empty body. ``headers``: further ones.
    """

    exchange: int
    status: int
    body: Any
    content_type: str | None = JSON
    headers: Headers = attrs.field(default=(), repr=False)

    @property
    def data(self) -> bytes:
        """The body in bytes."""
        return json.dumps(self.body) if self.content_type == JSON else self.body.encode()


@attrs.frozen(kw_only=True)
class SendFile:
    """Answer a request with the bytes of *content* from *start* up to *stop*.

    ``length``: what Content-Length says. It may be more than there is: some releases do so, and
    then leave the connection open. ``since``: when the file came, in monotonic seconds, for
    Last-Modified; None: no such field.
    """

    exchange: int
    status: int
    content: Content
    start: int
    stop: int
    length: int
    headers: Headers = attrs.field(repr=False)
    since: float | None = None


@attrs.frozen
class OpenChannel:
    """Answer a request with an event stream, or accept a WebSocket. ``headers``: further ones.

    ``content_type``: what is streamed; a WebSocket has none.
    """

    exchange: int
    headers: Headers = attrs.field(default=(), repr=False)
    content_type: str = EVENTS


@attrs.define
class SendBytes:
    """Send some bytes on an open stream that is not one of events."""

    exchange: int
    data: bytes


@attrs.define
class SendMessage:
    """Send a message on an open event stream or WebSocket."""

    exchange: int
    message: Message


@attrs.define
class SendEvent:
    """Send an event with a name on an open event stream. ``data`` is sent as JSON."""

    exchange: int
    name: str
    data: Any


@attrs.frozen
class SendAlive:
    """Send the sign of life of a heartbeat stream."""

    exchange: int


@attrs.frozen
class EndChannel:
    """End an event stream or a WebSocket. Not *clean*: without its proper end, as a server that
    fails."""

    exchange: int
    clean: bool = True


ServerCommand: TypeAlias = (
    SendResponse
    | SendFile
    | OpenChannel
    | SendMessage
    | SendEvent
    | SendAlive
    | SendBytes
    | EndChannel
)
