"""Event streams and WebSockets, by the number of their exchange.

The messages of a job go to the job's own channel, or to its session. There they wait until a
stream takes them. Each message goes to one stream only. The stream that takes the end of the
session's last pending job is closed after it (gradio routes.py: queue_data_helper).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Final, TypeAlias

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import Traits
from sansio_gradio.protocol.states import CLOSE_STREAM, HEARTBEAT, Msg
from sansio_gradio.server.events import (
    EndChannel,
    OpenChannel,
    SendAlive,
    SendMessage,
    SendResponse,
    ServerCommand,
)
from sansio_gradio.server.jobs import ServerJob, ServerSession
from sansio_gradio.server.messages import Messages

__all__ = ["HEARTBEAT_EVERY", "Channels", "Owner"]

HEARTBEAT_EVERY: Final = 15.0  # seconds of a stream's own age (gradio routes.py)

Owner: TypeAlias = ServerJob | ServerSession | str
"""What a channel is for: one job, the messages of a session, or the sign of life of the session of
that name."""


class Channels:
    """All open channels, and the commands for the transport.

    Deadlines: an exchange is due when its next heartbeat is. A session is due at once when more
    than *kept* of its messages wait: it is to be forgotten.
    """

    def __init__(
        self, traits: Traits, messages: Messages, deadlines: Deadlines[Hashable], kept: int
    ) -> None:
        self._traits = traits
        self._messages = messages
        self._deadlines = deadlines
        self._kept = kept
        self._owners: dict[int, Owner] = {}
        self._commands: deque[ServerCommand] = deque()

    def next_command(self) -> ServerCommand | None:
        """What the transport is to do next; None for now."""
        return self._commands.popleft() if self._commands else None

    # Channels

    def owner(self, exchange: int) -> Owner | None:
        """What the channel is for; None if there is none."""
        return self._owners.get(exchange)

    def exchanges(self) -> list[int]:
        """All exchanges that are not over."""
        return list(self._owners)

    def own(self, exchange: int, owner: Owner) -> None:
        """Note what an exchange is for."""
        self._owners[exchange] = owner

    def leave(self, exchange: int) -> Owner | None:
        """Forget an exchange, which is over. Returns what it was for."""
        self._deadlines.stop(exchange)
        return self._owners.pop(exchange, None)

    def open_socket(self, exchange: int) -> None:
        """Accept a WebSocket."""
        self._commands.append(OpenChannel(exchange))

    def open_stream(self, exchange: int, owner: Owner) -> None:
        """Open an event stream and begin its heartbeats."""
        self.own(exchange, owner)
        self._commands.append(OpenChannel(exchange))
        if isinstance(owner, str):
            self.beat(exchange)
        else:
            self._deadlines.start(exchange, HEARTBEAT_EVERY)

    def open_session_stream(self, exchange: int, session: ServerSession | None) -> None:
        """Open an event stream for the messages of a session; None: there is no such session."""
        if session is None or session.messages is None:
            self._commands.append(OpenChannel(exchange))
            self._turn_away(exchange)
            return
        self.open_stream(exchange, session)
        session.streams.append(exchange)
        self._deliver(session)

    def beat(self, exchange: int) -> None:
        """Send a heartbeat: the deadline of this exchange has passed."""
        owner = self._owners[exchange]
        if isinstance(owner, str):
            self._commands.append(SendAlive(exchange))
        else:
            self._commands.append(SendMessage(exchange, self._messages.make(HEARTBEAT)))
        # A job's own stream gets a single one: gradio@4.0.2 compares two different clocks.
        if not isinstance(owner, ServerJob):
            self._deadlines.start(exchange, HEARTBEAT_EVERY)

    def end(self, exchange: int, *, clean: bool = True) -> None:
        """End a channel."""
        self.leave(exchange)
        self._commands.append(EndChannel(exchange, clean))

    def end_of(self, job: ServerJob, *, clean: bool = True) -> None:
        """End the job's own channel, if it has one that is open."""
        if job.exchange in self._owners:
            self.end(job.exchange, clean=clean)

    def close_streams(self, session: ServerSession) -> None:
        """End the streams of a session that is forgotten."""
        session.messages = None
        for exchange in session.streams:
            self.leave(exchange)
            self._turn_away(exchange)
        session.streams.clear()

    # Messages

    def answer(self, answer: SendResponse) -> None:
        """Answer a request."""
        self._commands.append(answer)

    def say(self, job: ServerJob, kind: str, /, **values: Any) -> None:
        """Send a message of a job, made of *values*."""
        self.tell(job, self._messages.make(kind, event_id=job.event_id, **values))

    def tell(self, job: ServerJob, message: Message) -> None:
        """Send this message of a job."""
        if job.exchange is not None:
            self.tell_channel(job.exchange, message)
        elif job.session is not None:
            self.tell_session(job.session, message)

    def tell_channel(self, exchange: int, message: Message) -> None:
        """Send a message on this channel."""
        self._commands.append(SendMessage(exchange, message))

    def tell_session(self, session: ServerSession, message: Message) -> None:
        """Send a message to the stream of the session whose turn it is."""
        if session.messages is None:
            return
        session.messages.append(message)
        self._deliver(session)
        if len(session.messages) > self._kept:
            # Not forgotten at once: a verb does not end the job that it is for.
            session.messages = None
            self._deadlines.start(session, 0)

    def _deliver(self, session: ServerSession) -> None:
        while session.messages and session.streams:
            exchange = session.streams[0]
            session.streams.rotate(-1)
            message = session.messages.popleft()
            self.tell_channel(exchange, message)
            if message.get("msg") == Msg.PROCESS_COMPLETED:
                session.pending.discard(message.get("event_id") or "")
                if not session.pending:
                    session.streams.remove(exchange)
                    if self._traits.close_stream:
                        self.tell_channel(exchange, self._messages.make(CLOSE_STREAM))
                    self.end(exchange)

    def _turn_away(self, exchange: int) -> None:
        self.tell_channel(exchange, self._messages.session_not_found())
        self._commands.append(EndChannel(exchange, clean=False))
