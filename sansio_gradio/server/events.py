"""What the application behind a served app is told, and what is to be done for the clients.

Events go up, to whoever runs the functions; commands go down, to whoever carries the messages.
``job`` is the number by which the application's verbs name a job; ``exchange`` the number that the
transport gave to a request of a client, whatever becomes of it: a short answer, an event stream, a
WebSocket.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from sansio_gradio.protocol.messages import Message
from sansio_gradio.server.app import Function
from sansio_gradio.wire import json
from sansio_gradio.wire.headers import Headers

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"


@attrs.frozen(kw_only=True)
class JobSubmitted:
    """A job's turn has come and its data is here: ``start`` it.

    ``data`` has one item a parameter, State slots filled in. ``queued``: False for a plain call,
    which has no messages but its result. ``headers``: those of the client's request.
    """

    job: int
    function: Function
    data: list[Any]
    session_hash: str | None
    event_data: Any = None
    trigger_id: int | None = None
    headers: Headers = ()
    queued: bool = True


@attrs.frozen(kw_only=True)
class JobCancelled:
    """Nobody waits for this job any more: stop it. Verbs for it have no effect from now on."""

    job: int


@attrs.frozen(kw_only=True)
class ChunkReceived:
    """The next piece of a streaming input: answer it by ``generate``."""

    job: int
    data: list[Any]


@attrs.frozen(kw_only=True)
class InputEnded:
    """A streaming input is over, and its job with it."""

    job: int


Event: TypeAlias = JobSubmitted | JobCancelled | ChunkReceived | InputEnded


@attrs.frozen
class Answer:
    """Answer a request: ``body`` is to be JSON, unless it is a text of another ``content_type``
    (None: an empty one)."""

    exchange: int
    status: int
    body: Any
    content_type: str | None = JSON

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body) if self.content_type == JSON else self.body.encode()


@attrs.frozen
class Open:
    """Answer a request with an event stream, which stays open, or accept a WebSocket."""

    exchange: int


@attrs.define
class Send:
    """Send a message on an event stream or a WebSocket."""

    exchange: int
    message: Message


@attrs.frozen
class SendAlive:
    """Send the sign of life on a heartbeat stream, which is no message."""

    exchange: int


@attrs.frozen
class End:
    """End an event stream or a WebSocket: properly, or as a server that fails (not *clean*)."""

    exchange: int
    clean: bool = True


Command: TypeAlias = Answer | Open | Send | SendAlive | End
